"""What DescribeJob adds to a listing: why jobs failed and since when they are suspended; or the watched jobs alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.core.errors import MalformedResponse, Reason, ScrapeError, ServiceError
from exporter.core.jobs import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from exporter.core.http import Request
    from exporter.core.interfaces import Provider
    from exporter.core.jobs import Job, JobDetail

    Read = Callable[[Request], Awaitable[JobDetail]]
    """Sends one request and parses its answer."""

STATUSES_TO_EXPLAIN: Final = frozenset({"Failed", "Failing", "Suspended"})

MAX_CALLS: Final = 20
"""DescribeJob calls of one listing, beside the pages of ListJobs."""

MAX_AT_ONCE: Final = 4
"""DescribeJob calls of one target that are under way at the same time."""

MAX_KEPT: Final = 10_000
"""Answers kept for each target; the one that was not used for longest goes first."""


_OF_ONE_JOB: Final[frozenset[Reason]] = frozenset({"malformed", "http_4xx", "http_5xx", "too_large"})
"""Failures that say nothing of the other jobs."""


@dataclass(slots=True)
class JobDetails:
    """What was told so far. It can be looked at while the calls run, and after they failed."""

    found: dict[str, JobDetail] = field(default_factory=dict)
    """By job id, as they came."""
    gone: list[str] = field(default_factory=list)
    """Ids of jobs that do not exist."""


async def describe(
    ids: Sequence[str], api: Provider, read: Read, into: JobDetails, *, pass_over: frozenset[Reason] = frozenset()
) -> None:
    """Ask for each job of `ids`; a job that is gone is no error.

    Raises ScrapeError where one cannot be told, but for the reasons in `pass_over`.
    """
    for start in range(0, len(ids), MAX_AT_ONCE):
        chunk = ids[start : start + MAX_AT_ONCE]
        answers = await asyncio.gather(*(_one(job_id, api, read, into) for job_id in chunk), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not (
                isinstance(answer, ScrapeError) and answer.reason in pass_over
            ):
                raise answer


async def _one(job_id: str, api: Provider, read: Read, into: JobDetails) -> None:
    try:
        detail = await read(api.describe_request(job_id))
    except ServiceError as error:
        if error.code in api.not_found_codes:  # by the code alone: of the status, AWS's own pages differ
            into.gone.append(job_id)
            return
        raise
    if detail.job.id != job_id:
        raise MalformedResponse("DescribeJob answered with another job than it was asked for")
    into.found[job_id] = detail


class DetailCache:
    """The answers of one target's jobs. One is kept as long as its job has the status that it tells."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, JobDetail] = OrderedDict()
        self._asked: dict[str, int] = {}
        """The listing in which a job was last asked for, of those that still need a reason."""
        self._listings = 0

    async def explain(self, jobs: Sequence[Job], api: Provider, read: Read, *, seconds: float) -> ScrapeError | None:
        """Ask for those of `jobs` that need a reason, at most MAX_CALLS, within `seconds`.

        Those never asked for come first, then those whose asking is longest ago, so that none waits for ever behind
        others; a finished job whose answer is kept is not asked again. The result is what ended it early.
        """
        self._listings += 1
        wanted = [job.id for job in jobs if job.status in STATUSES_TO_EXPLAIN and not self._settled(job)]
        self._asked = {job_id: self._asked[job_id] for job_id in wanted if job_id in self._asked}
        wanted.sort(key=lambda job_id: self._asked.get(job_id, 0))
        asking = wanted[:MAX_CALLS]
        self._asked |= dict.fromkeys(asking, self._listings)
        described = JobDetails()
        try:
            async with asyncio.timeout(seconds):
                await describe(asking, api, read, described, pass_over=_OF_ONE_JOB)
        except TimeoutError:
            return None
        except ScrapeError as error:
            return error
        finally:
            self.keep(described.found)
        return None

    def _settled(self, job: Job) -> bool:
        return job.status in TERMINAL_STATUSES and self.of(job) is not None

    def keep(self, found: Mapping[str, JobDetail]) -> None:
        """Keep these answers, by job id, and forget the oldest where they are too many."""
        self._kept |= found
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def of(self, job: Job) -> JobDetail | None:
        """What is known of `job` in its present status."""
        detail = self._kept.get(job.id)
        if detail is None or detail.job.status != job.status:
            return None
        self._kept.move_to_end(job.id)
        return detail
