"""The XML that OSS answers with, in its documented form.

Source: https://www.alibabacloud.com/help/en/oss/developer-reference/listjobs and describejob.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.model import Job
    from exporter.simulator.plan import Detail
    from exporter.simulator.wire import Style

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

# XML 1.0 cannot hold the rest of the control characters at all, and a reader turns a bare \r into \n.
_NOT_XML: Final = (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_ESCAPES: Final = {
    **dict.fromkeys(_NOT_XML, "\N{REPLACEMENT CHARACTER}"),
    **str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}),
}
_SPECIAL: Final = re.compile("[&<>\\x00-\\x08\\x0b-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")


def escape(text: str) -> str:
    """`text` as the content of an element; what XML cannot hold becomes U+FFFD."""
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text  # translating costs ten times what looking does


def page(jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
    """A page of ListJobs."""
    if token is None and style.empty_last_token:
        token = ""
    next_token = "" if token is None else f"   <NextToken>{escape(token)}</NextToken>\n"
    extra = "   <IsTruncated><Maybe/></IsTruncated>\n" if style.unknown_elements else ""
    listed = f"   <Jobs>\n{''.join([_descriptor(job, style) for job in jobs])}   </Jobs>\n"
    inner = next_token + extra + listed if style.token_first else extra + listed + next_token
    return f"{_DECLARATION}<ListJobsResult>\n{inner}</ListJobsResult>\n".encode()


def described(job: Job, detail: Detail) -> bytes:
    """The answer of DescribeJob."""
    code, reason = escape(detail.failure_code), escape(detail.failure_reason)
    failure = f"<FailureCode>{code}</FailureCode><FailureReason>{reason}</FailureReason>" if code or reason else ""
    operation = f"<{job.operation}/>" if job.operation and job.operation.isalpha() else ""
    inner = (
        _leaf("ConfirmationRequired", "true" if detail.confirmation_required else "false"),
        _leaf("CreationTime", _seconds(job.created)),
        _leaf("Description", _text(job.description)),
        _leaf("FailureReasons", f"<JobFailure>{failure}</JobFailure>"),
        _leaf("JobId", _text(job.id)),
        _leaf("Manifest", "<Location><Bucket>inventory</Bucket><Object>manifest.json</Object></Location>"),
        _leaf("Operation", operation),
        _leaf("Priority", job.priority),
        _progress(job, in_timers=True),
        _leaf("Report", "<Bucket>reports</Bucket><Enabled>true</Enabled><Format>Report_CSV_20250115</Format>"),
        _leaf("RoleArn", "acs:ram::1234567890123456:role/batch"),
        _leaf("Status", _text(job.status)),
        _leaf("StatusUpdateReason", _text(detail.status_update_reason)),
        _leaf("TerminationDate", _seconds(job.terminated)),
    )
    body = f"<DescribeJobResult>\n      <Job>\n{''.join(inner)}      </Job>\n</DescribeJobResult>\n"
    return (_DECLARATION + body).encode()


def error(parts: Mapping[str, str]) -> bytes:
    """An error; `parts` are its elements in their order."""
    inner = "".join(f"  <{tag}>{escape(value)}</{tag}>\n" for tag, value in parts.items())
    return f"{_DECLARATION}<Error>\n{inner}</Error>\n".encode()


def _descriptor(job: Job, style: Style) -> str:
    inner = (
        _leaf("CreationTime", _seconds(job.created)),
        _leaf("Description", _text(job.description)),
        _leaf("Labels", "<Label><Status>Frozen</Status></Label>" if style.unknown_elements else None),
        _leaf("JobId", _text(job.id)),
        _leaf("Operation", _text(job.operation)),
        _leaf("Priority", job.priority),
        _progress(job, in_timers=style.elapsed_in_timers),
        _leaf("Status", _text(job.status)),
        _leaf("TerminationDate", _seconds(job.terminated)),
    )
    return f"      <JobListDescriptor>\n{''.join(inner)}      </JobListDescriptor>\n"


_PAD: Final = " " * 9


def _leaf(tag: str, content: object, pad: str = _PAD) -> str:
    return "" if content is None else f"{pad}<{tag}>{content}</{tag}>\n"


def _text(text: str | None) -> str | None:
    return None if text is None else escape(text)


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)


def _progress(job: Job, *, in_timers: bool) -> str:
    pad = _PAD + "   "
    elapsed = _leaf("ElapsedTimeInActiveSeconds", job.elapsed_active, f"{pad}   " if in_timers else pad)
    if elapsed and in_timers:
        elapsed = f"{pad}<Timers>\n{elapsed}{pad}</Timers>\n"
    failed = _leaf("NumberOfTasksFailed", job.failed, pad)
    succeeded = _leaf("NumberOfTasksSucceeded", job.succeeded, pad)
    inner = failed + succeeded + elapsed + _leaf("TotalNumberOfTasks", job.tasks, pad)
    return f"{_PAD}<ProgressSummary>\n{inner}{_PAD}</ProgressSummary>\n" if inner else ""
