"""The outcome of one listing of one target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.errors import ScrapeError
    from exporter.core.jobs import Job, JobDetail


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One listing of one target. A failure is data: then `error` is set and there are no jobs."""

    provider: str
    account: str
    region: str
    pages: int
    """Pages read, including those before a failure."""
    duration: float
    """Seconds from the first request to the last byte."""
    jobs: tuple[Job, ...] = ()
    """The jobs that get their own series, each id once."""
    notable: tuple[Job, ...] = ()
    """A few of `jobs` for people, see `selection.notable`."""
    details: Mapping[str, JobDetail] = field(default_factory=dict)
    """DescribeJob's answers for some of `jobs`, by job id."""
    counts: Mapping[str, int] | None = None
    """Jobs listed per status, before any filter; None if the listing failed."""
    dropped: Mapping[str, int] | None = None
    """Jobs listed but not in `jobs`, per reason; None if the listing failed."""
    unreadable: int | None = None
    """Values that could not be read, see `JobPage.unreadable`; None if the listing failed."""
    error: ScrapeError | None = None
    time_left: Mapping[str, float] = field(default_factory=dict)
    """Seconds that some of `notable` still take, by job id. Only of `History.last`, as it may take two listings."""
    ended: float = 0.0
    """Unix seconds of the end of the listing, complete or not."""
    last_success: float | None = None
    """Unix seconds of the end of the last complete listing, this one or an earlier one; None if there was none."""
    show_descriptions: bool = True
    """Whether the jobs' descriptions become labels."""
    credentials_source: str = ""
    credentials_expire: float | None = None
    """Unix seconds; None if the credentials do not expire."""
