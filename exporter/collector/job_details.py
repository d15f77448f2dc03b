"""DescribeJob: why jobs failed or are suspended, where their reports are, and the jobs that `jobs.ids` names."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from exporter.core.errors import MalformedResponse, Reason, ScrapeError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.client.session import Session
    from exporter.core.jobs import Job, JobDetail

RANKS: Final = {"Failed": 0, "Failing": 0, "Suspended": 1}
"""Which jobs are requested first: the smallest rank, then the newest job. Jobs in all other statuses come last."""

MAX_CALLS: Final = 20
"""DescribeJob calls of one listing, in addition to its pages of ListJobs."""

MAX_CONCURRENT_CALLS: Final = 4
"""DescribeJob calls of one target at the same time, for the jobs of `jobs.ids`."""

EXTRA_CONCURRENT_CALLS: Final = 2
"""The same for the calls that follow a listing.

With more, those of many targets would use up the account's rate limit, and the listings of other targets would wait.
"""

START_SECONDS: Final = 0.5
"""After a listing, DescribeJob calls start for so long; later listings make the rest. Those in progress end in time."""

DENIED_SECONDS: Final = 3600.0
"""If the permission is missing, DescribeJob is not called again for this long."""

OF_ONE_JOB: Final[frozenset[Reason]] = frozenset({"malformed", "http_4xx", "http_5xx", "too_large"})
"""Failures of one job that mean nothing for the others."""


@dataclass(slots=True)
class JobDetails:
    """The answers of some DescribeJob calls."""

    found: dict[str, JobDetail] = field(default_factory=dict)
    """By job id."""
    missing: list[str] = field(default_factory=list)
    """Ids of jobs that do not exist."""
    requested: list[str] = field(default_factory=list)
    """Ids of the jobs that were requested, with or without an answer."""
    error: ScrapeError | None = None
    """Why the other jobs could not be read."""


async def fetch_details(
    ids: Sequence[str],
    session: Session,
    *,
    at_once: int = MAX_CONCURRENT_CALLS,
    start_until: float = float("inf"),
    limit: asyncio.Timeout | None = None,
    tolerate: frozenset[Reason] = frozenset(),
) -> JobDetails:
    """DescribeJob's answers for `ids`, `at_once` of them at a time, as many as come within `limit` (None: no limit).

    After the monotonic time `start_until`, no more are requested. The first error ends it, unless its reason is one of
    `tolerate`: then only that job has no answer.
    """
    details = JobDetails()
    try:
        async with limit or asyncio.timeout(None):
            for start in range(0, len(ids), at_once):
                if start and time.monotonic() >= start_until:
                    break
                calls = [_fetch(job_id, session, details) for job_id in ids[start : start + at_once]]
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

    details.requested.append(job_id)
    try:
        details.found[job_id] = await session.get(provider.describe_request(job_id), parse)
    except ServiceError as error:
        if error.code not in provider.not_found_codes:  # by the code alone: AWS documents several statuses for it
            raise
        details.missing.append(job_id)


class DetailCache:
    """The answers for the jobs of one target that have series. One is kept as long as its job has the same status."""

    def __init__(self) -> None:
        self._kept: dict[str, JobDetail] = {}
        self._vain: dict[str, int] = {}
        """How often a job was requested that still has no answer."""
        self._denied_until = float("-inf")

    def choose(self, jobs: Sequence[Job], now: float) -> list[str]:
        """The ids of those of `jobs` to request at the monotonic time `now`, at most MAX_CALLS; the most urgent first.

        The answers for all other jobs are forgotten.
        """
        self._kept = {job.id: detail for job in jobs if (detail := self.detail(job)) is not None}
        unknown = [job for job in jobs if job.id not in self._kept]
        self._vain = {job.id: self._vain[job.id] for job in unknown if job.id in self._vain}
        if now < self._denied_until:
            return []
        return [job.id for job in nsmallest(MAX_CALLS, unknown, key=self._urgency)]

    def _urgency(self, job: Job) -> tuple[int, float]:
        """Small for jobs that come first. A job loses a rank with each request in vain, so that it blocks no other."""
        return RANKS.get(job.status, 2) + self._vain.get(job.id, 0), -(job.created or 0)

    async def update(
        self, ids: Sequence[str], session: Session, limit: asyncio.Timeout, *, now: float
    ) -> ScrapeError | None:
        """Request the jobs `ids` from the monotonic time `now` on, until `limit`. Returns what ended it early."""
        details = await fetch_details(
            ids,
            session,
            at_once=EXTRA_CONCURRENT_CALLS,
            start_until=now + START_SECONDS,
            limit=limit,
            tolerate=OF_ONE_JOB,
        )
        for job_id in details.requested:
            self._vain[job_id] = self._vain.get(job_id, 0) + 1
        self.keep(details.found)
        if details.error is not None and details.error.reason == "access_denied":
            self._denied_until = now + DENIED_SECONDS
        return details.error

    def keep(self, found: Mapping[str, JobDetail]) -> None:
        """Keep these answers, by job id."""
        self._kept |= found

    def detail(self, job: Job) -> JobDetail | None:
        """The kept answer for `job` in its present status."""
        detail = self._kept.get(job.id)
        return detail if detail is not None and detail.job.status == job.status else None
