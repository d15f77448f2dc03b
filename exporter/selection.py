"""Which of the listed jobs get series of their own, and how many of each status there are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from exporter.model import STATUSES, TERMINAL_STATUSES, Job

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

DROP_REASONS = ("max_age", "statuses", "max")
"""The label `reason` of jobs left out, in the order in which they are tried."""


class Selection(NamedTuple):
    """`counts` is of all jobs; `jobs` and `dropped` (jobs per reason) add up to them. A listing's order is kept."""

    jobs: tuple[Job, ...]
    counts: Mapping[str, int]
    dropped: Mapping[str, int]


def select(jobs: Sequence[Job], *, statuses: Collection[str], max_age: float, most: int, now: float) -> Selection:
    """Keep the jobs of `statuses` (empty: all), of these no finished one older than `max_age` seconds (0: no bound).

    At most `most` jobs stay. Where there are more, the unfinished come first, then the newest. `now` is Unix seconds.
    """
    counts = dict.fromkeys(STATUSES, 0) | Counter(job.status for job in jobs)
    kept: Sequence[Job] = jobs
    dropped = dict.fromkeys(DROP_REASONS, 0)
    if max_age:
        kept = [job for job in kept if not _ended_before(job, now - max_age)]
        dropped["max_age"] = len(jobs) - len(kept)
    if statuses:
        before = len(kept)
        kept = [job for job in kept if job.status in statuses]
        dropped["statuses"] = before - len(kept)
    if len(kept) > most:
        dropped["max"] = len(kept) - most
        first = sorted(range(len(kept)), key=lambda index: _rank(kept[index]))[:most]
        kept = [kept[index] for index in sorted(first)]
    return Selection(tuple(kept), counts, dropped)


def _ended_before(job: Job, time: float) -> bool:
    ended = job.created if job.terminated is None else job.terminated
    return job.status in TERMINAL_STATUSES and ended is not None and ended < time


def _rank(job: Job) -> tuple[bool, float, str]:
    """Unfinished, then newest; the id makes it the same choice at every scrape."""
    return job.status in TERMINAL_STATUSES, -(job.created or 0), job.id
