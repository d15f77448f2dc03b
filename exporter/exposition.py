r"""Listings to exposition text. One renderer for both formats: for gauges without timestamps their lines are the same.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ (text 0.0.4) and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md. In both, a label's value escapes
``\``, ``"`` and line feed; digits are a number; the samples of a family stand together under its HELP and TYPE.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from exporter.model import Job, Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class Family(NamedTuple):
    """One gauge: what the documentation's table says of it. `labels` are those beside TARGET_LABELS."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


TARGET_LABELS: Final = ("provider", "account", "region")


def escape(value: str) -> str:
    """`value` as it stands between the quotes of a label."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value


class View:
    """A listing with the parts of its lines that several families share, each made once."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        names = zip(TARGET_LABELS, (listing.provider, listing.account, listing.region), strict=True)
        self.labels = ",".join(f'{name}="{escape(value)}"' for name, value in names)

    @cached_property
    def heads(self) -> list[str]:
        """For each job the labels that name it, not yet closed."""
        return [f'{{{self.labels},job_id="{escape(job.id)}"' for job in self.listing.jobs]

    @cached_property
    def stated_heads(self) -> list[str]:
        """The same with the job's status, closed, and a blank for the value to follow."""
        ends = {status: f',status="{escape(status)}"}} ' for status in {job.status for job in self.listing.jobs}}
        return [head + ends[job.status] for head, job in zip(self.heads, self.listing.jobs, strict=True)]


Writer: TypeAlias = "Callable[[View, str], str]"


def blocks(listing: Listing) -> list[bytes]:
    """The lines of `listing`, a block for each of FAMILIES; it needs no other target."""
    view = View(listing)
    return [write(view, family.name).encode() for family, write in _WRITERS]


def assemble(targets: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    """The exposition of some targets, each given as its `blocks`, in pieces.

    The end mark of OpenMetrics is left to the caller, who may have more families.
    """
    for index, family in enumerate(FAMILIES):
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n".encode()
        for target in targets:
            if target[index]:
                yield target[index]


def _target_number(read: Callable[[Listing], float | None]) -> Writer:
    """One sample a target; none where `read` gives None."""

    def write(view: View, name: str) -> str:
        value = read(view.listing)
        return "" if value is None else f"{name}{{{view.labels}}} {value}\n"

    return write


def _target_map(label: str, read: Callable[[Listing], Mapping[str, float] | None]) -> Writer:
    """A sample for each key of what `read` gives, the key as `label`."""

    def write(view: View, name: str) -> str:
        values = read(view.listing) or {}
        return "".join(f'{name}{{{view.labels},{label}="{escape(key)}"}} {value}\n' for key, value in values.items())

    return write


def _job_number(field: str, *, stated: bool) -> Writer:
    """A sample for each job whose `field` is not None; `stated` adds the label status."""
    index = Job._fields.index(field)

    def write(view: View, name: str) -> str:
        jobs = view.listing.jobs
        if stated:
            rows = zip(view.stated_heads, jobs, strict=True)
            return "".join([f"{name}{head}{job[index]}\n" for head, job in rows if job[index] is not None])
        rows = zip(view.heads, jobs, strict=True)
        return "".join([f"{name}{head}}} {job[index]}\n" for head, job in rows if job[index] is not None])

    return write


def _job_status(view: View, name: str) -> str:
    return "".join([f"{name}{head}1\n" for head in view.stated_heads])


def _job_info(view: View, name: str) -> str:
    rows = zip(view.heads, view.listing.jobs, strict=True)
    if not view.listing.describe:
        return "".join([f'{name}{head},operation="{escape(job.operation or "")}"}} 1\n' for head, job in rows])
    return "".join(
        [
            f'{name}{head},operation="{escape(job.operation or "")}"'
            f',description="{escape(job.description or "")}"}} 1\n'
            for head, job in rows
        ]
    )


def _failure_info(view: View, name: str) -> str:
    lines = []
    for head, job in zip(view.heads, view.listing.jobs, strict=True):
        detail = view.listing.details.get(job.id)
        if detail is not None and (detail.failure_code or detail.failure_reason):
            code, reason = escape(detail.failure_code or ""), escape(detail.failure_reason or "")
            lines.append(f'{name}{head},failure_code="{code}",failure_reason="{reason}"}} 1\n')
    return "".join(lines)


def _suspended(view: View, name: str) -> str:
    lines = []
    for head, job in zip(view.heads, view.listing.jobs, strict=True):
        detail = view.listing.details.get(job.id)
        if detail is not None and detail.suspended is not None:
            lines.append(f"{name}{head}}} {detail.suspended}\n")
    return "".join(lines)


def _errors(listing: Listing) -> dict[str, float] | None:
    return None if listing.error is None else {listing.error.reason: 1}


def _expirations(listing: Listing) -> dict[str, float] | None:
    expire = listing.credentials_expire
    return None if expire is None else {listing.credentials_source: expire}


_STATED: Final = ("job_id", "status")
_WRITERS: Final[tuple[tuple[Family, Writer], ...]] = (
    (
        Family("batchops_up", "Whether the last listing of the target was complete (1) or not (0)."),
        _target_number(lambda listing: int(listing.error is None)),
    ),
    (
        Family(
            "batchops_scrape_error",
            "Why the last listing of the target failed; no series where it did not.",
            ("reason",),
        ),
        _target_map("reason", _errors),
    ),
    (
        Family("batchops_scrape_duration_seconds", "How long the last listing of the target took."),
        _target_number(lambda listing: listing.duration),
    ),
    (
        Family("batchops_scrape_pages", "Pages read in the last listing of the target."),
        _target_number(lambda listing: listing.pages),
    ),
    (
        Family(
            "batchops_scrape_jobs_dropped",
            "Jobs listed that have no series of their own, by the bound that left them out.",
            ("reason",),
        ),
        _target_map("reason", lambda listing: listing.dropped),
    ),
    (
        Family(
            "batchops_last_success_timestamp_seconds",
            "Unix time of the end of the last complete listing of the target.",
        ),
        _target_number(lambda listing: listing.last_success),
    ),
    (
        Family(
            "batchops_credentials_expiration_timestamp_seconds",
            "Unix time at which the credentials expire; no series where they do not.",
            ("source",),
        ),
        _target_map("source", _expirations),
    ),
    (
        Family("batchops_jobs", "Jobs listed, before any filter or bound, by status.", ("status",)),
        _target_map("status", lambda listing: listing.counts),
    ),
    (
        Family("batchops_job_status", "1 for the current status of the job.", _STATED),
        _job_status,
    ),
    (
        Family("batchops_job_tasks", "Tasks of the job in all.", _STATED),
        _job_number("tasks", stated=True),
    ),
    (
        Family("batchops_job_tasks_succeeded", "Tasks of the job that succeeded.", _STATED),
        _job_number("succeeded", stated=True),
    ),
    (
        Family("batchops_job_tasks_failed", "Tasks of the job that failed.", _STATED),
        _job_number("failed", stated=True),
    ),
    (
        Family("batchops_job_elapsed_active_seconds", "Time that the job has spent in status Active.", _STATED),
        _job_number("elapsed_active", stated=True),
    ),
    (
        Family(
            "batchops_job_info",
            "What never changes in the job's life; always 1.",
            ("job_id", "operation", "description"),
        ),
        _job_info,
    ),
    (
        Family("batchops_job_priority", "Priority of the job; a higher one runs first.", ("job_id",)),
        _job_number("priority", stated=False),
    ),
    (
        Family("batchops_job_created_timestamp_seconds", "Unix time at which the job was created.", ("job_id",)),
        _job_number("created", stated=False),
    ),
    (
        Family(
            "batchops_job_termination_timestamp_seconds",
            "Unix time at which the job ended; no series while it runs.",
            ("job_id",),
        ),
        _job_number("terminated", stated=False),
    ),
    (
        Family(
            "batchops_job_failure_info",
            "Why the job failed, where DescribeJob is asked; always 1.",
            ("job_id", "failure_code", "failure_reason"),
        ),
        _failure_info,
    ),
    (
        Family(
            "batchops_job_suspended_timestamp_seconds",
            "Unix time at which the job was suspended, where DescribeJob is asked and tells it.",
            ("job_id",),
        ),
        _suspended,
    ),
)

FAMILIES: Final[tuple[Family, ...]] = tuple(family for family, _ in _WRITERS)
"""Every family, in the order of the exposition; all are gauges."""
