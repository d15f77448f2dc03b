"""What DescribeJob adds to a listing: why jobs failed and since when they are suspended; or the watched jobs alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.errors import ListingError, MalformedResponse, ServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from exporter.jobapi import JobApi, Request
    from exporter.model import Job, JobDetail

    Read = Callable[[Request], Awaitable[JobDetail]]
    """Sends one request and parses its answer."""

STATUSES_TO_EXPLAIN: Final = frozenset({"Failed", "Failing", "Suspended"})

MAX_CALLS: Final = 20
"""DescribeJob calls of one listing, beside the pages of ListJobs."""

MAX_AT_ONCE: Final = 4
"""DescribeJob calls of one target that are under way at the same time."""

MAX_KEPT: Final = 10_000
"""Answers kept for each target; the one that was not used for longest goes first."""


@dataclass(slots=True)
class Described:
    """What was told so far. It can be looked at while the calls run, and after they failed."""

    found: dict[str, JobDetail] = field(default_factory=dict)
    """By job id, in the order asked."""
    gone: list[str] = field(default_factory=list)
    """Ids of jobs that do not exist."""


async def describe(ids: Sequence[str], api: JobApi, read: Read, into: Described) -> None:
    """Ask for each job of `ids`. Raises ListingError where one cannot be told; a job that is gone is none."""
    for start in range(0, len(ids), MAX_AT_ONCE):
        chunk = ids[start : start + MAX_AT_ONCE]
        answers = await asyncio.gather(*(_one(job_id, api, read) for job_id in chunk), return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        for job_id, answer in zip(chunk, answers, strict=True):
            if answer is None:
                into.gone.append(job_id)
            elif not isinstance(answer, BaseException):
                into.found[job_id] = answer
        if errors:
            raise errors[0]


async def _one(job_id: str, api: JobApi, read: Read) -> JobDetail | None:
    try:
        detail = await read(api.describe_job(job_id))
    except ServiceError as error:
        if error.code in api.gone_codes:  # by the code alone: of the status, AWS's own pages differ
            return None
        raise
    if detail.job.id != job_id:
        raise MalformedResponse("DescribeJob answered with another job than it was asked for")
    return detail


class Reasons:
    """The answers of one target's jobs. One is kept as long as its job has the status that it tells."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, JobDetail] = OrderedDict()

    async def explain(self, jobs: Sequence[Job], api: JobApi, read: Read, *, seconds: float) -> ListingError | None:
        """Ask for those of `jobs` that need a reason and have none kept, at most MAX_CALLS, within `seconds`.

        What did not fit is asked for by a later call. The result is what ended it early.
        """
        wanted = [job.id for job in jobs if job.status in STATUSES_TO_EXPLAIN and self.of(job) is None]
        described = Described()
        try:
            async with asyncio.timeout(seconds):
                await describe(wanted[:MAX_CALLS], api, read, described)
        except TimeoutError:
            return None
        except ListingError as error:
            return error
        finally:
            self.keep(described.found)
        return None

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
