"""DescribeJob: why jobs failed or are suspended, and the jobs that `jobs.ids` names."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.core.errors import MalformedResponse, Reason, ScrapeError, ServiceError
from exporter.core.jobs import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.client.session import Session
    from exporter.core.jobs import Job, JobDetail

STATUSES_TO_DESCRIBE: Final = frozenset({"Failed", "Failing", "Suspended"})

MAX_CALLS: Final = 20
"""DescribeJob calls of one listing, in addition to its pages of ListJobs."""

MAX_CONCURRENT_CALLS: Final = 4
"""DescribeJob calls of one target at the same time."""

MAX_KEPT: Final = 10_000
"""Answers kept for each target; the least recently used one goes first."""

OF_ONE_JOB: Final[frozenset[Reason]] = frozenset({"malformed", "http_4xx", "http_5xx", "too_large"})
"""Failures of one job that mean nothing for the others."""


@dataclass(slots=True)
class JobDetails:
    """The answers of some DescribeJob calls."""

    found: dict[str, JobDetail] = field(default_factory=dict)
    """By job id."""
    missing: list[str] = field(default_factory=list)
    """Ids of jobs that do not exist."""
    error: ScrapeError | None = None
    """Why the other jobs could not be read."""


async def fetch_details(
    ids: Sequence[str], session: Session, *, seconds: float | None = None, tolerate: frozenset[Reason] = frozenset()
) -> JobDetails:
    """DescribeJob's answers for `ids`, as many as come within `seconds` (None: no limit).

    The first error ends it, unless its reason is one of `tolerate`: then only that job has no answer.
    """
    details = JobDetails()
    try:
        async with asyncio.timeout(seconds):
            for start in range(0, len(ids), MAX_CONCURRENT_CALLS):
                calls = [_fetch(job_id, session, details) for job_id in ids[start : start + MAX_CONCURRENT_CALLS]]
                for error in await asyncio.gather(*calls, return_exceptions=True):
                    if error is not None and not (isinstance(error, ScrapeError) and error.reason in tolerate):
                        raise error
    except TimeoutError:
        pass
    except ScrapeError as error:
        details.error = error.detached()
    return details


async def _fetch(job_id: str, session: Session, details: JobDetails) -> None:
    """Add the answer for one job to `details`. Raises ScrapeError."""
    provider = session.target.provider

    def parse(body: bytes) -> JobDetail:
        detail = provider.parse_job(body)
        if detail.job.id != job_id:
            raise MalformedResponse("DescribeJob returned another job than the requested one")
        return detail

    try:
        details.found[job_id] = await session.get(provider.describe_request(job_id), parse)
    except ServiceError as error:
        if error.code not in provider.not_found_codes:  # by the code alone: AWS documents several statuses for it
            raise
        details.missing.append(job_id)


class DetailCache:
    """The answers for the jobs of one target. One is kept as long as its job has the same status."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, JobDetail] = OrderedDict()
        self._requested: dict[str, int] = {}
        """The listing in which a job without an answer was last requested."""
        self._listings = 0

    async def update(self, jobs: Sequence[Job], session: Session, *, seconds: float) -> ScrapeError | None:
        """Request those of `jobs` that need it, at most MAX_CALLS, within `seconds`. Returns what ended it early.

        Jobs that were never requested come first, then the least recently requested ones, so that each gets its turn.
        A finished job whose answer is kept is not requested again.
        """
        self._listings += 1
        wanted = [job.id for job in jobs if job.status in STATUSES_TO_DESCRIBE and not self._is_final(job)]
        self._requested = {job_id: self._requested[job_id] for job_id in wanted if job_id in self._requested}
        wanted.sort(key=lambda job_id: self._requested.get(job_id, 0))
        ids = wanted[:MAX_CALLS]
        self._requested |= dict.fromkeys(ids, self._listings)
        details = await fetch_details(ids, session, seconds=seconds, tolerate=OF_ONE_JOB)
        self.keep(details.found)
        return details.error

    def _is_final(self, job: Job) -> bool:
        return job.status in TERMINAL_STATUSES and self.detail(job) is not None

    def keep(self, found: Mapping[str, JobDetail]) -> None:
        """Keep these answers, by job id, and drop the least recently used ones if they are too many."""
        self._kept |= found
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def detail(self, job: Job) -> JobDetail | None:
        """The kept answer for `job` in its present status."""
        detail = self._kept.get(job.id)
        if detail is None or detail.job.status != job.status:
            return None
        self._kept.move_to_end(job.id)
        return detail
