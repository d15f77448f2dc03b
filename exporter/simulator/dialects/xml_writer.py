"""Writes the XML of the batch operations, which all services share up to an `XmlLayout`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Style

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

# XML 1.0 cannot contain these control characters at all, and a parser turns a bare \r into \n.
_NOT_XML: Final = (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_ESCAPES: Final = {
    **dict.fromkeys(_NOT_XML, "\N{REPLACEMENT CHARACTER}"),
    **str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}),
}
_SPECIAL: Final = re.compile("[&<>\\x00-\\x08\\x0b-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")


class XmlLayout(NamedTuple):
    """How the XML of one service differs from the others."""

    item: str
    """The tag of a job in a page."""
    time: Callable[[float], object]
    """Formats Unix seconds."""
    fixed: Mapping[str, str]
    """Elements of a described job that are the same for every job; the values are XML."""
    namespace: str = ""
    """Of every element outside errors; empty: none."""
    elapsed: bool = True
    """The time in status Active is included."""
    suspension: bool = True
    """A described job contains SuspendedDate and SuspendedCause."""
    failure: str = "JobFailure"
    """The tag of a described job's failure reason."""


def escape(text: str) -> str:
    """Returns `text` as the content of an element; characters that XML cannot contain become U+FFFD."""
    return (
        text.translate(_ESCAPES) if _SPECIAL.search(text) else text
    )  # translating costs ten times as much as searching


def page(jobs: Sequence[Job], token: str | None, style: Style, layout: XmlLayout) -> bytes:
    """Returns a page of ListJobs."""
    if token is None and style.empty_last_token:
        token = ""
    next_token = "" if token is None else f"   <NextToken>{escape(token)}</NextToken>\n"
    extra = "   <IsTruncated><Maybe/></IsTruncated>\n" if style.unknown_elements else ""
    listed = ["   <Jobs>\n", *[_job_item(job, style, layout) for job in jobs], "   </Jobs>\n"]
    inner = [next_token, extra, *listed] if style.token_first else [extra, *listed, next_token]
    return _document("ListJobsResult", inner, layout)


def described(job: Job, detail: Detail, layout: XmlLayout) -> bytes:
    """Returns the response of DescribeJob."""
    code, reason = escape(detail.failure_code), escape(detail.failure_reason)
    failure = f"<FailureCode>{code}</FailureCode><FailureReason>{reason}</FailureReason>" if code or reason else ""
    suspended = detail.suspended if layout.suspension else None
    leaves = {
        **layout.fixed,
        "ConfirmationRequired": "true" if detail.confirmation_required else "false",
        "CreationTime": _time(job.created, layout),
        "Description": _text(job.description),
        "FailureReasons": f"<{layout.failure}>{failure}</{layout.failure}>",
        "JobId": _text(job.id),
        "Operation": f"<{job.operation}/>" if job.operation and job.operation.isidentifier() else "",
        "Priority": job.priority,
        "Status": _text(job.status),
        **({} if detail.report else {"Report": "<Enabled>false</Enabled>"}),
        "StatusUpdateReason": _text(detail.status_update_reason),
        "SuspendedCause": None if suspended is None else _text(detail.suspended_cause),
        "SuspendedDate": _time(suspended, layout),
        "TerminationDate": _time(job.terminated, layout),
    }
    written = {tag: _leaf(tag, content) for tag, content in leaves.items()}
    written["ProgressSummary"] = _progress(job, layout, in_timers=True)
    inner = (text for _, text in sorted(written.items()))
    return _document("DescribeJobResult", ["      <Job>\n", *inner, "      </Job>\n"], layout)


def error(parts: Mapping[str, str], around: Mapping[str, str] | None = None) -> bytes:
    """Returns an error with the elements `parts`; with `around`, inside an ErrorResponse that also has those."""
    text = f"<Error>\n{_leaves(parts)}</Error>\n"
    if around is not None:
        text = f"<ErrorResponse>\n{text}{_leaves(around)}</ErrorResponse>\n"
    return (_DECLARATION + text).encode()


def _leaves(parts: Mapping[str, str]) -> str:
    return "".join(f"  <{tag}>{escape(value)}</{tag}>\n" for tag, value in parts.items())


def _document(tag: str, inner: Iterable[str], layout: XmlLayout) -> bytes:
    namespace = f' xmlns="{layout.namespace}"' if layout.namespace else ""
    pieces = (f"{_DECLARATION}<{tag}{namespace}>\n", *inner, f"</{tag}>\n")
    return b"".join(
        [piece.encode() for piece in pieces]
    )  # joining first would let one emoji widen every character in memory


def _job_item(job: Job, style: Style, layout: XmlLayout) -> str:
    inner = (
        _leaf("CreationTime", _time(job.created, layout)),
        _leaf("Description", _text(job.description)),
        _leaf("Labels", "<Label><Status>Frozen</Status></Label>" if style.unknown_elements else None),
        _leaf("JobId", _text(job.id)),
        _leaf("Operation", _text(job.operation)),
        _leaf("Priority", job.priority),
        _progress(job, layout, in_timers=style.elapsed_in_timers),
        _leaf("Status", _text(job.status)),
        _leaf("TerminationDate", _time(job.terminated, layout)),
    )
    return f"      <{layout.item}>\n{''.join(inner)}      </{layout.item}>\n"


_PAD: Final = " " * 9


def _leaf(tag: str, content: object, pad: str = _PAD) -> str:
    return "" if content is None else f"{pad}<{tag}>{content}</{tag}>\n"


def _text(text: str | None) -> str | None:
    return None if text is None else escape(text)


def _time(time: float | None, layout: XmlLayout) -> object:
    return None if time is None else layout.time(time)


def _progress(job: Job, layout: XmlLayout, *, in_timers: bool) -> str:
    pad = _PAD + "   "
    elapsed = ""
    if layout.elapsed:
        elapsed = _leaf("ElapsedTimeInActiveSeconds", job.elapsed_active, f"{pad}   " if in_timers else pad)
    if elapsed and in_timers:
        elapsed = f"{pad}<Timers>\n{elapsed}{pad}</Timers>\n"
    failed = _leaf("NumberOfTasksFailed", job.failed, pad)
    succeeded = _leaf("NumberOfTasksSucceeded", job.succeeded, pad)
    inner = failed + succeeded + elapsed + _leaf("TotalNumberOfTasks", job.tasks, pad)
    return f"{_PAD}<ProgressSummary>\n{inner}{_PAD}</ProgressSummary>\n" if inner else ""
