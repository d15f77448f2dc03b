"""Which of the listed jobs get series of their own, which of these people are shown, and how many of each status."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from itertools import compress
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.core.jobs import OTHER_STATUS, STATUSES, TERMINAL_STATUSES, Job

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

MAX_STATUSES: Final = 50
"""Different statuses that are shown; a service documents 13."""

DROP_REASONS = ("max_age", "statuses", "max")
"""The label `reason` of jobs left out, in the order in which they are tried."""

MAX_UNFINISHED: Final = 20
"""Unfinished jobs of each target that are kept for the landing page."""

MAX_FAILED: Final = 10
"""Failed jobs of each target that are kept for the landing page."""

MAX_TEXT_CHARACTERS: Final = 256
"""Of the description of such a job; what follows is not kept. The longest that services document."""

FAILED_LATELY_SECONDS: Final = 86_400.0
"""A job that failed longer ago is not notable: services list failed jobs for 90 days."""


class Selection(NamedTuple):
    """`counts` is of all jobs; `jobs` and `dropped` (jobs per reason) add up to them. A listing's order is kept."""

    jobs: tuple[Job, ...]
    counts: Mapping[str, int]
    dropped: Mapping[str, int]
    notable: tuple[Job, ...]


def select(jobs: Sequence[Job], *, statuses: Collection[str], max_age: float, maximum: int, now: float) -> Selection:
    """Keep the jobs of `statuses` (empty: all), of these no finished one older than `max_age` seconds (0: no bound).

    At most `maximum` jobs stay: the newest of the unfinished, then the newest of the others. A job without a time of
    creation counts as the oldest. `now` is Unix seconds.
    """
    counts = dict.fromkeys(STATUSES, 0) | Counter(map(attrgetter("status"), jobs))
    if len(counts) > MAX_STATUSES:
        jobs = _with_few_statuses(jobs, counts)
        counts = dict.fromkeys(STATUSES, 0) | Counter(map(attrgetter("status"), jobs))
    kept: Sequence[Job] = jobs
    dropped = dict.fromkeys(DROP_REASONS, 0)
    if max_age:
        kept = [job for job in kept if not _ended_before(job, now - max_age)]
        dropped["max_age"] = len(jobs) - len(kept)
    if statuses:
        before = len(kept)
        kept = [job for job in kept if job.status in statuses]
        dropped["statuses"] = before - len(kept)
    if len(kept) > maximum:
        dropped["max"] = len(kept) - maximum
        kept = _first(kept, maximum)
    return Selection(tuple(kept), counts, dropped, notable(kept, now))


def _with_few_statuses(jobs: Sequence[Job], statuses: Collection[str]) -> list[Job]:
    """`jobs` with at most MAX_STATUSES of `statuses`: the documented ones, then the first by name."""
    others = sorted(set(statuses) - {*STATUSES, OTHER_STATUS})
    shown = {*STATUSES, *others[: MAX_STATUSES - len(STATUSES) - 1]}
    return [job if job.status in shown else job._replace(status=OTHER_STATUS) for job in jobs]


def _ended_before(job: Job, time: float) -> bool:
    ended = job.created if job.terminated is None else job.terminated
    return job.status in TERMINAL_STATUSES and ended is not None and ended < time


def _first(jobs: Sequence[Job], maximum: int) -> list[Job]:
    """The first `maximum` of `jobs`, which are more."""
    over = [job.status in TERMINAL_STATUSES for job in jobs]
    room = maximum - over.count(False)
    if room < 0:
        unfinished = [job for job, ended in zip(jobs, over, strict=True) if not ended]
        return list(compress(unfinished, _newest(unfinished, maximum)))
    newest = iter(_newest(list(compress(jobs, over)), room))
    return [job for job, ended in zip(jobs, over, strict=True) if not ended or next(newest)]


def _newest(jobs: Sequence[Job], number: int) -> list[bool]:
    """For each of `jobs` whether it is among the `number` newest.

    Sorting plain numbers, which come sorted as a rule, costs a fraction of ranking the jobs themselves. Of jobs created
    at the same time the ids decide, so that the choice is the same at every scrape.
    """
    created = [job.created or 0 for job in jobs]
    oldest = sorted(created, reverse=True)[number - 1] if number else math.inf
    newest = [time >= oldest for time in created]
    excess = newest.count(True) - number
    if excess:
        tied = sorted((job.id, place) for place, job in enumerate(jobs) if created[place] == oldest)
        for _, place in tied[-excess:]:
            newest[place] = False
    return newest


def notable(jobs: Sequence[Job], now: float) -> tuple[Job, ...]:
    """The jobs that people look for: unfinished ones, then those that failed lately, both from the newest on.

    Of too many unfinished ones those that wait for a person stay first, then those that fail, then those that run.
    """
    statuses = [*map(attrgetter("status"), jobs)]
    there = frozenset(statuses)
    others = there - TERMINAL_STATUSES - {"Suspended", "Failing", "Active"}
    chosen: list[Job] = []
    for group in ({"Suspended"}, {"Failing"}, {"Active"}, others):
        room = MAX_UNFINISHED - len(chosen)
        if room and group & there:  # each look at all jobs takes time
            found = list(compress(jobs, map(group.__contains__, statuses)))
            stay = compress(found, _newest(found, room)) if len(found) > room else found
            chosen += sorted(stay, key=lambda job: job.created or 0, reverse=True)
    since = now - FAILED_LATELY_SECONDS
    failed = [job for job in jobs if job.status == "Failed" and not _ended_before(job, since)]
    chosen += heapq.nlargest(MAX_FAILED, failed, key=lambda job: job.terminated or job.created or 0)
    return tuple(map(_shortened, chosen))


def _shortened(job: Job) -> Job:
    text = job.description or ""
    return job if len(text) <= MAX_TEXT_CHARACTERS else job._replace(description=text[: MAX_TEXT_CHARACTERS - 1] + "…")
