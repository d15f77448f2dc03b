"""The XML that the batch operations of all the services share, as a store writes it. They differ in a `Form`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Style

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

# XML 1.0 cannot hold the rest of the control characters at all, and a reader turns a bare \r into \n.
_NOT_XML: Final = (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_ESCAPES: Final = {
    **dict.fromkeys(_NOT_XML, "\N{REPLACEMENT CHARACTER}"),
    **str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}),
}
_SPECIAL: Final = re.compile("[&<>\\x00-\\x08\\x0b-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")


class Form(NamedTuple):
    """How one service writes.

    `item` is the tag of a job in a page, `time` writes Unix seconds, `fixed` are leaves of a described job (their
    content is XML) that are the same for every job.
    """

    item: str
    time: Callable[[float], object]
    fixed: Mapping[str, str]
    namespace: str = ""
    """Of all elements but an error's; empty: none."""
    elapsed: bool = True
    """The time in status Active is told."""
    suspension: bool = True
    """A described job tells since when and why it is suspended."""
    failure: str = "JobFailure"
    """The tag of a described job's reason to fail."""


def escape(text: str) -> str:
    """`text` as the content of an element; what XML cannot hold becomes U+FFFD."""
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text  # translating costs ten times what looking does


def page(jobs: Sequence[Job], token: str | None, style: Style, form: Form) -> bytes:
    """A page of ListJobs."""
    if token is None and style.empty_last_token:
        token = ""
    next_token = "" if token is None else f"   <NextToken>{escape(token)}</NextToken>\n"
    extra = "   <IsTruncated><Maybe/></IsTruncated>\n" if style.unknown_elements else ""
    listed = ["   <Jobs>\n", *[_descriptor(job, style, form) for job in jobs], "   </Jobs>\n"]
    inner = [next_token, extra, *listed] if style.token_first else [extra, *listed, next_token]
    return _document("ListJobsResult", inner, form)


def described(job: Job, detail: Detail, form: Form) -> bytes:
    """The answer of DescribeJob."""
    code, reason = escape(detail.failure_code), escape(detail.failure_reason)
    failure = f"<FailureCode>{code}</FailureCode><FailureReason>{reason}</FailureReason>" if code or reason else ""
    suspended = detail.suspended if form.suspension else None
    leaves = {
        **form.fixed,
        "ConfirmationRequired": "true" if detail.confirmation_required else "false",
        "CreationTime": _time(job.created, form),
        "Description": _text(job.description),
        "FailureReasons": f"<{form.failure}>{failure}</{form.failure}>",
        "JobId": _text(job.id),
        "Operation": f"<{job.operation}/>" if job.operation and job.operation.isidentifier() else "",
        "Priority": job.priority,
        "Status": _text(job.status),
        "StatusUpdateReason": _text(detail.status_update_reason),
        "SuspendedCause": None if suspended is None else "Waiting for confirmation",
        "SuspendedDate": _time(suspended, form),
        "TerminationDate": _time(job.terminated, form),
    }
    written = {tag: _leaf(tag, content) for tag, content in leaves.items()}
    written["ProgressSummary"] = _progress(job, form, in_timers=True)
    inner = (text for _, text in sorted(written.items()))
    return _document("DescribeJobResult", ["      <Job>\n", *inner, "      </Job>\n"], form)


def error(parts: Mapping[str, str], around: Mapping[str, str] | None = None) -> bytes:
    """An error; `parts` are its elements in their order. `around`: ErrorResponse wraps it and holds these, too."""
    text = f"<Error>\n{_leaves(parts)}</Error>\n"
    if around is not None:
        text = f"<ErrorResponse>\n{text}{_leaves(around)}</ErrorResponse>\n"
    return (_DECLARATION + text).encode()


def _leaves(parts: Mapping[str, str]) -> str:
    return "".join(f"  <{tag}>{escape(value)}</{tag}>\n" for tag, value in parts.items())


def _document(tag: str, inner: Iterable[str], form: Form) -> bytes:
    namespace = f' xmlns="{form.namespace}"' if form.namespace else ""
    pieces = (f"{_DECLARATION}<{tag}{namespace}>\n", *inner, f"</{tag}>\n")
    return b"".join([piece.encode() for piece in pieces])  # joined first, one emoji would widen every character


def _descriptor(job: Job, style: Style, form: Form) -> str:
    inner = (
        _leaf("CreationTime", _time(job.created, form)),
        _leaf("Description", _text(job.description)),
        _leaf("Labels", "<Label><Status>Frozen</Status></Label>" if style.unknown_elements else None),
        _leaf("JobId", _text(job.id)),
        _leaf("Operation", _text(job.operation)),
        _leaf("Priority", job.priority),
        _progress(job, form, in_timers=style.elapsed_in_timers),
        _leaf("Status", _text(job.status)),
        _leaf("TerminationDate", _time(job.terminated, form)),
    )
    return f"      <{form.item}>\n{''.join(inner)}      </{form.item}>\n"


_PAD: Final = " " * 9


def _leaf(tag: str, content: object, pad: str = _PAD) -> str:
    return "" if content is None else f"{pad}<{tag}>{content}</{tag}>\n"


def _text(text: str | None) -> str | None:
    return None if text is None else escape(text)


def _time(time: float | None, form: Form) -> object:
    return None if time is None else form.time(time)


def _progress(job: Job, form: Form, *, in_timers: bool) -> str:
    pad = _PAD + "   "
    elapsed = ""
    if form.elapsed:
        elapsed = _leaf("ElapsedTimeInActiveSeconds", job.elapsed_active, f"{pad}   " if in_timers else pad)
    if elapsed and in_timers:
        elapsed = f"{pad}<Timers>\n{elapsed}{pad}</Timers>\n"
    failed = _leaf("NumberOfTasksFailed", job.failed, pad)
    succeeded = _leaf("NumberOfTasksSucceeded", job.succeeded, pad)
    inner = failed + succeeded + elapsed + _leaf("TotalNumberOfTasks", job.tasks, pad)
    return f"{_PAD}<ProgressSummary>\n{inner}{_PAD}</ProgressSummary>\n" if inner else ""
