"""The jobs at a given time. A world reads no clock: the caller passes the time, in Unix seconds."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.core.jobs import TERMINAL_STATUSES, Job
from exporter.simulator.jobs.plan import LONGEST_LIFE, OUTCOMES, Detail, Plan, draw, job_id

if TYPE_CHECKING:
    from collections.abc import Iterable


class World(ABC):
    """A list of jobs that changes with time."""

    @abstractmethod
    def jobs(self, now: float) -> list[Job]:
        """Returns the jobs at `now`, newest first."""

    @abstractmethod
    def detail(self, job_id: str, now: float) -> Detail:
        """Returns what DescribeJob adds for a listed job."""

    @staticmethod
    def fixed(jobs: Iterable[Job] = ()) -> FixedWorld:
        """Returns a world whose jobs change only when the list `listed` is edited."""
        return FixedWorld(jobs)

    @staticmethod
    def stream(seed: int | str = 1, *, every: float = 5.0, keep: int = 120, count: int = 0) -> StreamWorld:
        """Returns a world with a new job every `every` seconds, which lists the newest `keep` jobs, or `count`."""
        return StreamWorld(seed, every=every, keep=keep, count=count)


class FixedWorld(World):
    """Edit `listed` and `details` (by job id) at any time; ListJobs returns the order of `listed`."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self.listed: list[Job] = list(jobs)
        self.details: dict[str, Detail] = {}

    def jobs(self, now: float) -> list[Job]:  # noqa: ARG002 - these jobs do not age
        """Returns the list itself."""
        return self.listed

    def detail(self, job_id: str, now: float) -> Detail:  # noqa: ARG002 - these jobs do not age
        """Returns the entry in `details`, or an empty Detail."""
        return self.details.get(job_id, Detail())


class StreamWorld(World):
    """A pure function of seed and time: job number n is created at n times `every`, however old the world is.

    So there is a history from the first moment, and two simulators with the same seed list the same jobs. The newest
    `keep` jobs progress. With `count`, that many jobs are listed; all others are done and no longer change, and a job
    that would never end is cancelled before it becomes one of them.
    """

    def __init__(self, seed: int | str = 1, *, every: float = 5.0, keep: int = 120, count: int = 0) -> None:
        self.seed = seed
        self.keep = keep
        self.count = count
        self._every = round(every * 1000)
        self._age = keep * self._every
        if count and (count < keep or self._age < LONGEST_LIFE):
            raise ValueError(
                f"count needs keep times every to be at least {LONGEST_LIFE / 1000:g} s, and must not be less than keep"
            )
        self._plans: dict[int, Plan] = {}
        self._listed = _Listed(-1, [], [])

    def jobs(self, now: float) -> list[Job]:
        """Returns the jobs at `now`."""
        moment = int(now * 1000)
        listed = self._at(moment)
        live = [entry if isinstance(entry, Job) else entry.at(moment) for entry in listed.live]
        return live + listed.done

    def detail(self, job_id: str, now: float) -> Detail:
        """Returns what the job's plan has at `now`."""
        moment = int(now * 1000)
        listed = self._at(moment)
        indices = (index for index, entry in enumerate((*listed.live, *listed.done)) if entry.id == job_id)
        index = next(indices, None)
        return Detail() if index is None else self._plan(listed.newest - index).detail(moment)

    def _at(self, moment: int) -> _Listed:
        """Returns the jobs listed at `moment`; reuses those of the last call, unless its time was later."""
        newest, last = moment // self._every, self._listed
        if newest == last.newest:
            return last
        total = self.count or self.keep
        added = min(newest - last.newest, total) if newest > last.newest else total
        before = (*(None,) * added, *last.live, *last.done)[:total]
        entries = [
            job if isinstance(job, Job) else self._job_if_done(job or self._plan(newest - index), newest)
            for index, job in enumerate(before)
        ]
        done = [job for job in entries[self.keep :] if isinstance(job, Job)]
        self._listed = _Listed(newest, entries[: self.keep], done)
        return self._listed

    def _job_if_done(self, plan: Plan, newest: int) -> Plan | Job:
        """Returns the job itself once it is done: evaluating a plan is fifty times slower than reusing a job."""
        job = plan.at(newest * self._every)
        return job if job.status in TERMINAL_STATUSES else plan

    def _plan(self, number: int) -> Plan:
        index = number % _DISTINCT_PLANS
        plan = self._plans.get(index)
        if plan is None:
            plan = draw(self.seed, index, 0)
            plan = self._plans[index] = plan.cancelled_at(self._age) if self.count else plan
        digest = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=16).digest()
        return replace(plan, id=job_id(int.from_bytes(digest)), created=number * self._every)


class _Listed(NamedTuple):
    """The jobs listed while job number `newest` is the newest; newest first."""

    newest: int
    live: list[Plan | Job]
    done: list[Job]


def make_jobs(count: int, seed: int | str = 1, *, now: float) -> list[Job]:
    """Returns `count` jobs, as an old account would list them at `now`, newest first."""
    moment = int(now * 1000)
    plans = [draw(seed, number, 0) for number in range(min(count, _DISTINCT_PLANS))]
    ids = random.Random(f"{seed}:ids")  # noqa: S311 - a simulation, no secret
    return [
        replace(
            plans[number % _DISTINCT_PLANS], id=job_id(ids.getrandbits(128)), created=moment - number * _INTERVAL
        ).at(moment)
        for number in range(count)
    ]


_DISTINCT_PLANS: Final = 67 * len(OUTCOMES)
"""Number of distinct plans; then they repeat with other times and ids: drawing 100,000 would take seconds."""
_INTERVAL: Final = 5000
"""Milliseconds between two jobs."""
