r"""Listings to exposition text. One renderer for both formats: for gauges without timestamps their lines are the same.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ (text 0.0.4) and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md. In both, a label's value escapes
``\``, ``"`` and line feed; digits are a number; the samples of a family stand together under its HELP and TYPE.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from exporter.core.jobs import Job
from exporter.core.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.core.jobs import JobDetail

LEAST_SLICE: Final = 500
MOST_SLICE: Final = 2000
"""Jobs whose lines are made in one go."""

CUTS: Final = 500
"""One job in so many may begin a slice, so that one has LEAST_SLICE + CUTS jobs as a rule."""


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


class Slice:
    """Some of a listing's jobs, with the parts of their lines that several families share, each made once."""

    def __init__(self, listing: Snapshot, labels: str, jobs: Sequence[Job]) -> None:
        """`labels` are those of the target."""
        self.jobs = jobs
        self.details = listing.details
        self.describe = listing.show_descriptions
        self._start = f'{{{labels},job_id="'

    def _head(self, job_id: str) -> str:
        return f'{self._start}{escape(job_id)}"'

    @cached_property
    def heads(self) -> list[str]:
        """For each job the labels that name it, not yet closed."""
        return [self._head(job.id) for job in self.jobs]

    @cached_property
    def stated_heads(self) -> list[str]:
        """The same with the job's status, closed, and a blank for the value to follow."""
        ends = {status: f',status="{escape(status)}"}} ' for status in {job.status for job in self.jobs}}
        return [head + ends[job.status] for head, job in zip(self.heads, self.jobs, strict=True)]

    def explained(self) -> Iterator[tuple[str, JobDetail]]:
        """The heads of those jobs that DescribeJob told of, with what it told."""
        if self.details:
            for job in self.jobs:
                if (detail := self.details.get(job.id)) is not None:
                    yield self._head(job.id), detail

    def lines(self) -> Iterator[bytes]:
        """For each job family that jobs alone tell its lines, which may be none."""
        return (write(self, family.name).encode() for family, write in _OF_JOBS)

    def detail_lines(self) -> Iterator[bytes]:
        """The same for those families that DescribeJob tells."""
        return (write(self, family.name).encode() for family, write in _OF_DETAILS)


Piece = TypeVar("Piece")


def blocks(listing: Snapshot) -> list[list[bytes]]:
    """The lines of `listing`, for each of FAMILIES in pieces; it needs no other target."""
    return arrange(listing, lambda part: chain(part.lines(), part.detail_lines()))


def arrange(listing: Snapshot, render: Callable[[Slice], Iterable[Piece]]) -> list[list[bytes | Piece]]:
    """`blocks`, where `render` makes the lines of a slice into pieces: one for each job family, in their order.

    What it takes to make them is held for one slice at a time. Where jobs come or go, most slices stay what they were.
    """
    names = zip(TARGET_LABELS, (listing.provider, listing.account, listing.region), strict=True)
    labels = ",".join([f'{name}="{escape(value)}"' for name, value in names])
    found: list[list[bytes | Piece]] = [[write(listing, labels, family.name).encode()] for family, write in _OF_TARGETS]
    by_family: list[list[bytes | Piece]] = [[] for _ in (*_OF_JOBS, *_OF_DETAILS)]
    for start, end in pairwise(_cuts(listing.jobs)):
        part = Slice(listing, labels, listing.jobs[start:end])
        for pieces, piece in zip(by_family, render(part), strict=True):
            pieces.append(piece)
    return found + by_family


def _cuts(jobs: Sequence[Job]) -> Iterator[int]:
    """Where slices begin, then where the last one ends: mostly told by a job itself, wherever it stands."""
    yield 0
    last = 0
    for place in [place for place, job in enumerate(jobs) if hash(job.id) % CUTS == 0] + [len(jobs)]:
        while place - last > MOST_SLICE:
            last += MOST_SLICE
            yield last
        if place - last >= LEAST_SLICE or last < place == len(jobs):
            last = place
            yield last


def assemble(targets: Sequence[Sequence[Sequence[Piece]]]) -> Iterator[bytes | Piece]:
    """The exposition of some targets, each given as its `blocks`, in pieces.

    The end mark of OpenMetrics is left to the caller, who may have more families.
    """
    for index, family in enumerate(FAMILIES):
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n".encode()
        for target in targets:
            yield from filter(None, target[index])


TargetWriter: TypeAlias = "Callable[[Snapshot, str, str], str]"
JobWriter: TypeAlias = "Callable[[Slice, str], str]"


def _target_number(read: Callable[[Snapshot], float | None]) -> TargetWriter:
    """One sample a target; none where `read` gives None."""

    def write(listing: Snapshot, labels: str, name: str) -> str:
        value = read(listing)
        return "" if value is None else f"{name}{{{labels}}} {value}\n"

    return write


def _target_map(label: str, read: Callable[[Snapshot], Mapping[str, float] | None]) -> TargetWriter:
    """A sample for each key of what `read` gives, the key as `label`."""

    def write(listing: Snapshot, labels: str, name: str) -> str:
        start = f"{name}{{{labels},{label}="
        return "".join([f'{start}"{escape(key)}"}} {value}\n' for key, value in (read(listing) or {}).items()])

    return write


def _job_number(field: str, *, stated: bool) -> JobWriter:
    """A sample for each job whose `field` is not None; `stated` adds the label status."""
    index = Job._fields.index(field)

    def write(part: Slice, name: str) -> str:
        if stated:
            rows = zip(part.stated_heads, part.jobs, strict=True)
            return "".join([f"{name}{head}{job[index]}\n" for head, job in rows if job[index] is not None])
        rows = zip(part.heads, part.jobs, strict=True)
        return "".join([f"{name}{head}}} {job[index]}\n" for head, job in rows if job[index] is not None])

    return write


def _job_status(part: Slice, name: str) -> str:
    return "".join([f"{name}{head}1\n" for head in part.stated_heads])


def _job_info(part: Slice, name: str) -> str:
    rows = zip(part.heads, part.jobs, strict=True)
    label = {word: f',operation="{escape(word or "")}"' for word in {job.operation for job in part.jobs}}
    if not part.describe:
        return "".join([f"{name}{head}{label[job.operation]}}} 1\n" for head, job in rows])
    return "".join(
        [
            f'{name}{head}{label[job.operation]},description="{escape(job.description or "")}"}} 1\n'
            for head, job in rows
        ]
    )


def _failure_info(part: Slice, name: str) -> str:
    lines = []
    for head, detail in part.explained():
        if detail.failure_code or detail.failure_reason:
            code, reason = escape(detail.failure_code or ""), escape(detail.failure_reason or "")
            lines.append(f'{name}{head},failure_code="{code}",failure_reason="{reason}"}} 1\n')
    return "".join(lines)


def _suspended(part: Slice, name: str) -> str:
    explained = part.explained()
    return "".join([f"{name}{head}}} {one.suspended}\n" for head, one in explained if one.suspended is not None])


def _errors(listing: Snapshot) -> dict[str, float] | None:
    return None if listing.error is None else {listing.error.reason: 1}


def _expirations(listing: Snapshot) -> dict[str, float] | None:
    expire = listing.credentials_expire
    return None if expire is None else {listing.credentials_source: expire}


_STATED: Final = ("job_id", "status")
_OF_TARGETS: Final[tuple[tuple[Family, TargetWriter], ...]] = (
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
)
_OF_JOBS: Final[tuple[tuple[Family, JobWriter], ...]] = (
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
)
_OF_DETAILS: Final[tuple[tuple[Family, JobWriter], ...]] = (
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

FAMILIES: Final[tuple[Family, ...]] = tuple(family for family, _ in (*_OF_TARGETS, *_OF_JOBS, *_OF_DETAILS))
"""Every family, in the order of the exposition; all are gauges."""
