"""Which jobs there are at a moment. A world reads no clock; who asks says what time it is (Unix seconds)."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exporter.simulator.plan import Detail, Plan, draw, job_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.model import Job


class World(ABC):
    """Jobs over time."""

    @abstractmethod
    def jobs(self, now: float) -> list[Job]:
        """All jobs that are listed at `now`, newest first."""

    @abstractmethod
    def detail(self, job_id: str, now: float) -> Detail:
        """What DescribeJob adds for a listed job."""

    @staticmethod
    def fixed(jobs: Iterable[Job] = ()) -> FixedWorld:
        """Jobs that change only where somebody edits the list `listed`."""
        return FixedWorld(jobs)

    @staticmethod
    def stream(seed: int | str = 1, *, every: float = 5.0, keep: int = 120) -> StreamWorld:
        """A new job each `every` seconds, for ever; the newest `keep` are listed."""
        return StreamWorld(seed, every=every, keep=keep)


class FixedWorld(World):
    """Edit `listed` and `details` (by job id) at any time; the order in `listed` is the order on the wire."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self.listed: list[Job] = list(jobs)
        self.details: dict[str, Detail] = {}

    def jobs(self, now: float) -> list[Job]:  # noqa: ARG002 - these jobs do not age
        """The list itself."""
        return self.listed

    def detail(self, job_id: str, now: float) -> Detail:  # noqa: ARG002 - likewise
        """What `details` holds, else nothing to tell."""
        return self.details.get(job_id, Detail())


class StreamWorld(World):
    """A function of seed and time alone: job number n is created at n times `every`, whenever the world was made.

    So a history stands from the first moment on, and two simulators with the same seed tell the same.
    """

    def __init__(self, seed: int | str = 1, *, every: float = 5.0, keep: int = 120) -> None:
        self.seed = seed
        self.keep = keep
        self._every = round(every * 1000)
        self._plans: dict[int, Plan] = {}

    def jobs(self, now: float) -> list[Job]:
        """The newest `keep` jobs at `now`."""
        moment = int(now * 1000)
        return [plan.at(moment) for plan in self._listed(moment)]

    def detail(self, job_id: str, now: float) -> Detail:
        """What the job's plan tells at `now`."""
        moment = int(now * 1000)
        return next((plan.detail(moment) for plan in self._listed(moment) if plan.id == job_id), Detail())

    def _listed(self, moment: int) -> list[Plan]:
        newest = moment // self._every
        numbers = range(newest, newest - self.keep, -1)
        # Drawing a plan costs twenty times what reading it does, so the listed ones are kept.
        self._plans = {n: self._plans.get(n) or draw(self.seed, n, n * self._every) for n in numbers}
        return list(self._plans.values())


def make_jobs(count: int, seed: int | str = 1, *, now: float) -> list[Job]:
    """`count` jobs as a service that has run for long would list them at `now`, newest first."""
    moment = int(now * 1000)
    # A hundred thousand would take seconds to draw; past the first thousand, lives repeat at other times.
    plans = [draw(seed, number, 0) for number in range(min(count, _LIVES))]
    ids = random.Random(f"{seed}:ids")  # noqa: S311 - a simulation, no secret
    return [
        replace(plans[number % _LIVES], id=job_id(ids), created=moment - number * _APART).at(moment)
        for number in range(count)
    ]


_LIVES: Final = 1000
_APART: Final = 5000
"""Milliseconds."""
