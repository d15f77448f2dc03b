"""What is told about jobs: `Job`, `Listing`, and the `Secret` that never shows itself. Values only, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.errors import ListingError

STATUSES: Final = (
    "New",
    "Preparing",
    "Ready",
    "Suspended",
    "Active",
    "Pausing",
    "Paused",
    "Completing",
    "Complete",
    "Cancelling",
    "Cancelled",
    "Failing",
    "Failed",
)
"""The 13 documented statuses of a job, in the order of its life. A service may add others."""

TERMINAL_STATUSES: Final = frozenset({"Complete", "Cancelled", "Failed"})
"""A job with one of these does not change any more."""


class Secret:
    """A string that shows itself only through `reveal()`; `str()`, `repr()`, f-strings and pickles do not hold it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself. Call it where it is used, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys as one source gave them. `expires`: Unix seconds, None where they do not expire."""

    key_id: str
    secret: Secret
    token: Secret | None = None
    expires: float | None = None


class Job(NamedTuple):
    """One batch job as ListJobs tells it; None where the service was silent.

    A named tuple, because a listing holds up to a million of them and nothing else is as cheap to make.
    """

    id: str
    status: str
    """As the service spells it, one of STATUSES or a newer word."""
    operation: str | None = None
    description: str | None = None
    priority: int | None = None
    created: float | None = None
    """Unix seconds; an int where the service gives whole seconds."""
    terminated: float | None = None
    """Unix seconds; None while the job runs."""
    tasks: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    elapsed_active: int | None = None
    """Seconds spent in status Active."""


class JobPage(NamedTuple):
    """One page of ListJobs. `next_token` is None on the last page."""

    jobs: list[Job]
    next_token: str | None


class JobDetail(NamedTuple):
    """One job as DescribeJob tells it; None where the service was silent."""

    job: Job
    failure_code: str | None = None
    failure_reason: str | None = None
    suspended: float | None = None
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The outcome of one listing of one target. "Failed" is data: then `error` is set and there are no jobs."""

    provider: str
    account: str
    region: str
    pages: int
    """Pages read, also those before a failure."""
    duration: float
    """Seconds from the first request to the last byte."""
    jobs: tuple[Job, ...] = ()
    """The jobs that get series of their own, each id once."""
    details: Mapping[str, JobDetail] = field(default_factory=dict)
    """What DescribeJob told of some of `jobs`, by their ids."""
    counts: Mapping[str, int] | None = None
    """Jobs listed per status, before any filter; None where the listing failed."""
    dropped: Mapping[str, int] | None = None
    """Jobs listed but left out of `jobs`, per reason; None where the listing failed."""
    error: ListingError | None = None
    last_success: float | None = None
    """Unix seconds of the end of the last complete listing, this one or an earlier one; None: there was none."""
    describe: bool = True
    """Whether the jobs' descriptions are shown."""
    credentials_source: str = ""
    credentials_expire: float | None = None
    """Unix seconds; None where the keys do not expire."""
