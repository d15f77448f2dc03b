r"""Snapshots to exposition text. Both formats share one renderer: the lines of gauges without timestamps are equal.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ (text 0.0.4) and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md. In both, a label value escapes
``\``, ``"`` and line feed (`labels`), and all samples of a family follow its HELP and TYPE.
"""

from __future__ import annotations

from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from exporter.core.errors import ServiceError
from exporter.core.jobs import Job
from exporter.exposition.labels import escape, escape_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from exporter.core.jobs import JobDetail
    from exporter.core.snapshot import Snapshot

BATCH_JOBS: Final = 1000
"""Jobs rendered in one go: 3 ms, and as much memory as their lines take."""


class Family(NamedTuple):
    """One gauge, as in the documentation's table. `labels` come after TARGET_LABELS."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


TARGET_LABELS: Final = ("provider", "account", "region")


class JobBatch:
    """Consecutive jobs of a snapshot, with the labels that several families share."""

    def __init__(self, snapshot: Snapshot, labels: str, jobs: Sequence[Job]) -> None:
        """`labels` are those of the target."""
        self.jobs = jobs
        self.show_descriptions = snapshot.show_descriptions
        self._details = snapshot.details
        self._start = f'{{{labels},job_id="'

    @cached_property
    def labels(self) -> list[str]:
        """The labels of each job up to its id, without the closing brace."""
        start = self._start
        return [f'{start}{job_id}"' for job_id in escape_all([job.id for job in self.jobs])]

    @cached_property
    def status_labels(self) -> list[str]:
        """The labels of each job up to its status, with the closing brace and a space."""
        ends = {status: f',status="{escape(status)}"}} ' for status in {job.status for job in self.jobs}}
        return [labels + ends[job.status] for labels, job in zip(self.labels, self.jobs, strict=True)]

    @cached_property
    def details(self) -> list[tuple[str, JobDetail]]:
        """The labels and the details of those jobs that have details."""
        if not self._details:
            return []
        rows = ((labels, self._details.get(job.id)) for labels, job in zip(self.labels, self.jobs, strict=True))
        return [(labels, detail) for labels, detail in rows if detail is not None]


Piece = TypeVar("Piece")


def family_lines(snapshot: Snapshot) -> Iterator[list[bytes]]:
    """For each batch of jobs, the lines of each of FAMILIES, in their order.

    The target's own families have their lines in the first batch and none in the others.
    """
    names = zip(TARGET_LABELS, (snapshot.provider, snapshot.account, snapshot.region), strict=True)
    labels = ",".join([f'{name}="{escape(value)}"' for name, value in names])
    target_lines = [write(snapshot, labels, family.name).encode() for family, write in _TARGET_FAMILIES]
    for start in range(0, len(snapshot.jobs) or 1, BATCH_JOBS):
        batch = JobBatch(snapshot, labels, snapshot.jobs[start : start + BATCH_JOBS])
        yield [*target_lines, *(write(batch, family.name).encode() for family, write in _JOB_FAMILIES)]
        target_lines = [b""] * len(_TARGET_FAMILIES)


def assemble(targets: Sequence[Sequence[Sequence[Piece]]]) -> Iterator[bytes | Piece]:
    """The exposition of some targets, in pieces; for each target, `targets` has the pieces of each of FAMILIES.

    The caller, who may have more families, adds the end mark of OpenMetrics.
    """
    for family, *pieces in zip(FAMILIES, *targets, strict=True):
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n".encode()
        for target_pieces in pieces:
            yield from filter(None, target_pieces)


TargetWriter: TypeAlias = "Callable[[Snapshot, str, str], str]"
JobWriter: TypeAlias = "Callable[[JobBatch, str], str]"


def _target_number(read: Callable[[Snapshot], float | None]) -> TargetWriter:
    """One sample per target; none if `read` returns None."""

    def write(snapshot: Snapshot, labels: str, name: str) -> str:
        value = read(snapshot)
        return "" if value is None else f"{name}{{{labels}}} {value}\n"

    return write


def _target_map(label: str, read: Callable[[Snapshot], Mapping[str, float] | None]) -> TargetWriter:
    """One sample per key of the mapping that `read` returns, with the key as `label`."""

    def write(snapshot: Snapshot, labels: str, name: str) -> str:
        start = f"{name}{{{labels},{label}="
        return "".join([f'{start}"{escape(key)}"}} {value}\n' for key, value in (read(snapshot) or {}).items()])

    return write


def _job_number(field: str, *, status: bool) -> JobWriter:
    """One sample per job whose `field` is not None; `status` adds the label status."""
    index = Job._fields.index(field)

    def write(batch: JobBatch, name: str) -> str:
        if status:
            rows = zip(batch.status_labels, batch.jobs, strict=True)
            return "".join([f"{name}{labels}{job[index]}\n" for labels, job in rows if job[index] is not None])
        rows = zip(batch.labels, batch.jobs, strict=True)
        return "".join([f"{name}{labels}}} {job[index]}\n" for labels, job in rows if job[index] is not None])

    return write


def _job_status(batch: JobBatch, name: str) -> str:
    return "".join([f"{name}{labels}1\n" for labels in batch.status_labels])


def _job_info(batch: JobBatch, name: str) -> str:
    operations = {word: f',operation="{escape(word or "")}"' for word in {job.operation for job in batch.jobs}}
    starts = [labels + operations[job.operation] for labels, job in zip(batch.labels, batch.jobs, strict=True)]
    if not batch.show_descriptions:
        return "".join([f"{name}{start}}} 1\n" for start in starts])
    descriptions = escape_all([job.description or "" for job in batch.jobs])
    rows = zip(starts, descriptions, strict=True)
    return "".join([f'{name}{start},description="{description}"}} 1\n' for start, description in rows])


def _detail_info(**fields: str) -> JobWriter:
    """One sample per job whose details have any of `fields`, each of which is shown as the label of its keyword."""
    readers = [(label, attrgetter(field)) for label, field in fields.items()]

    def write(batch: JobBatch, name: str) -> str:
        lines = []
        for labels, detail in batch.details:
            values = [(label, read(detail) or "") for label, read in readers]
            if any(value for _, value in values):
                more = "".join([f',{label}="{escape(value)}"' for label, value in values])
                lines.append(f"{name}{labels}{more}}} 1\n")
        return "".join(lines)

    return write


def _suspended(batch: JobBatch, name: str) -> str:
    rows = [(labels, detail.suspended) for labels, detail in batch.details if detail.suspended is not None]
    return "".join([f"{name}{labels}}} {suspended}\n" for labels, suspended in rows])


def _error(snapshot: Snapshot, labels: str, name: str) -> str:
    error = snapshot.error
    if error is None:
        return ""
    code = escape(error.code or "") if isinstance(error, ServiceError) else ""
    return f'{name}{{{labels},reason="{error.reason}",code="{code}"}} 1\n'


def _expirations(snapshot: Snapshot) -> dict[str, float] | None:
    expire = snapshot.credentials_expire
    return None if expire is None else {snapshot.credentials_source: expire}


_JOB_ID: Final = ("job_id",)
_JOB_STATUS: Final = ("job_id", "status")
_TARGET_FAMILIES: Final[tuple[tuple[Family, TargetWriter], ...]] = (
    (
        Family("batchops_up", "Whether the last listing of the target was complete (1) or not (0)."),
        _target_number(lambda snapshot: int(snapshot.error is None)),
    ),
    (
        Family(
            "batchops_scrape_error",
            "Reason why the last listing of the target failed; no series if it succeeded.",
            ("reason", "code"),
        ),
        _error,
    ),
    (
        Family("batchops_scrape_duration_seconds", "Duration of the last listing of the target, in seconds."),
        _target_number(lambda snapshot: snapshot.duration),
    ),
    (
        Family("batchops_scrape_pages", "Number of pages read by the last listing of the target."),
        _target_number(lambda snapshot: snapshot.pages),
    ),
    (
        Family(
            "batchops_scrape_jobs_dropped",
            "Number of jobs listed without series of their own, by the setting that dropped them.",
            ("reason",),
        ),
        _target_map("reason", lambda snapshot: snapshot.dropped),
    ),
    (
        Family(
            "batchops_scrape_unreadable_values",
            "Number of values in the last listing of the target that could not be read; they have no samples.",
        ),
        _target_number(lambda snapshot: snapshot.unreadable),
    ),
    (
        Family(
            "batchops_last_success_timestamp_seconds",
            "Unix time at which the last complete listing of the target ended.",
        ),
        _target_number(lambda snapshot: snapshot.last_success),
    ),
    (
        Family(
            "batchops_credentials_expiration_timestamp_seconds",
            "Unix time at which the credentials expire; no series if they do not.",
            ("source",),
        ),
        _target_map("source", _expirations),
    ),
    (
        Family("batchops_jobs", "Number of jobs listed, before any filter or limit, by status.", ("status",)),
        _target_map("status", lambda snapshot: snapshot.counts),
    ),
)
_JOB_FAMILIES: Final[tuple[tuple[Family, JobWriter], ...]] = (
    (
        Family("batchops_job_status", "Current status of the job; always 1.", _JOB_STATUS),
        _job_status,
    ),
    (
        Family("batchops_job_tasks", "Total number of tasks of the job.", _JOB_STATUS),
        _job_number("tasks", status=True),
    ),
    (
        Family("batchops_job_tasks_succeeded", "Number of tasks of the job that succeeded.", _JOB_STATUS),
        _job_number("succeeded", status=True),
    ),
    (
        Family("batchops_job_tasks_failed", "Number of tasks of the job that failed.", _JOB_STATUS),
        _job_number("failed", status=True),
    ),
    (
        Family("batchops_job_elapsed_active_seconds", "Time spent in status Active, in seconds.", _JOB_STATUS),
        _job_number("elapsed_active", status=True),
    ),
    (
        Family(
            "batchops_job_info",
            "Static properties of the job; always 1.",
            ("job_id", "operation", "description"),
        ),
        _job_info,
    ),
    (
        Family("batchops_job_priority", "Priority of the job; higher priorities run first.", _JOB_ID),
        _job_number("priority", status=False),
    ),
    (
        Family("batchops_job_created_timestamp_seconds", "Unix time at which the job was created.", _JOB_ID),
        _job_number("created", status=False),
    ),
    (
        Family(
            "batchops_job_termination_timestamp_seconds",
            "Unix time at which the job ended; no series while it runs.",
            _JOB_ID,
        ),
        _job_number("terminated", status=False),
    ),
    (
        Family(
            "batchops_job_failure_info",
            "Reason why the job failed, as returned by DescribeJob; always 1.",
            ("job_id", "failure_code", "failure_reason"),
        ),
        _detail_info(failure_code="failure_code", failure_reason="failure_reason"),
    ),
    (
        Family(
            "batchops_job_suspended_timestamp_seconds",
            "Unix time at which the job was suspended, as returned by DescribeJob.",
            _JOB_ID,
        ),
        _suspended,
    ),
    (
        Family(
            "batchops_job_suspended_info",
            "Cause of the job's suspension, as returned by DescribeJob; always 1.",
            ("job_id", "cause"),
        ),
        _detail_info(cause="suspended_cause"),
    ),
    (
        Family(
            "batchops_job_status_reason_info",
            "Reason for the job's status, as returned by DescribeJob; always 1.",
            ("job_id", "reason"),
        ),
        _detail_info(reason="status_reason"),
    ),
    (
        Family(
            "batchops_job_report_info",
            "Place of the job's completion report, as returned by DescribeJob; always 1.",
            ("job_id", "bucket", "prefix"),
        ),
        _detail_info(bucket="report_bucket", prefix="report_prefix"),
    ),
)

FAMILIES: Final[tuple[Family, ...]] = tuple(family for family, _ in (*_TARGET_FAMILIES, *_JOB_FAMILIES))
"""Every family, in the order of the exposition; all are gauges."""
