"""Jobs as the services return them. Values only, no behaviour."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

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

OTHER_STATUS: Final = "Other"
"""Shown for the statuses beyond the first 50 different ones, so that a service cannot create series without end."""

TERMINAL_STATUSES: Final = frozenset({"Complete", "Cancelled", "Failed"})
"""A job with one of these does not change any more."""


class Job(NamedTuple):
    """One batch job as returned by ListJobs; None if omitted.

    A named tuple, because a listing holds up to a million of them and nothing else is as cheap to make.
    """

    id: str
    status: str
    """As the service spells it: one of STATUSES, or a newer one."""
    operation: str | None = None
    description: str | None = None
    priority: int | None = None
    created: float | None = None
    """Unix seconds; an int if the service returns whole seconds."""
    terminated: float | None = None
    """Unix seconds; None while the job runs."""
    tasks: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    elapsed_active: int | None = None
    """Seconds spent in status Active."""


Parser: TypeAlias = Literal["pattern", "xml"]
"""What parsed a page, see `providers.batch_pattern`."""


class JobPage(NamedTuple):
    """One page of ListJobs. `next_token` is None on the last page."""

    jobs: list[Job]
    next_token: str | None
    unreadable: tuple[str, ...] = ()
    """Each value that could not be read, as in "Priority of job 4f1c…"; the job has None in its place."""
    parser: Parser = "xml"


class JobDetail(NamedTuple):
    """One job as returned by DescribeJob; None if omitted."""

    job: Job
    failure_code: str | None = None
    failure_reason: str | None = None
    suspended: float | None = None
    """Unix seconds."""
    suspended_cause: str | None = None
    status_reason: str | None = None
    """Why the job has its status, as given by the user or the service that changed it."""
    report_bucket: str | None = None
    """Where the completion report is written, in the service's own notation; None if the job writes none."""
    report_prefix: str | None = None
    unreadable: tuple[str, ...] = ()
    """As in `JobPage`."""
