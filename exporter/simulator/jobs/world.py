"""Which jobs there are at a moment. A world reads no clock; who asks says what time it is (Unix seconds)."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.core.jobs import TERMINAL_STATUSES, Job
from exporter.simulator.jobs.plan import DECK, LONGEST_LIFE, Detail, Plan, draw, job_id

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    def stream(seed: int | str = 1, *, every: float = 5.0, keep: int = 120, count: int = 0) -> StreamWorld:
        """A new job each `every` seconds, for ever; the newest `keep` are listed, or `count` of which they live."""
        return StreamWorld(seed, every=every, keep=keep, count=count)


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

    So a history stands from the first moment on, and two simulators with the same seed tell the same. The newest `keep`
    jobs live. With a `count`, so many are listed: the others are over and change no more, and a job that would never
    end by itself is cancelled before it becomes one of them.
    """

    def __init__(self, seed: int | str = 1, *, every: float = 5.0, keep: int = 120, count: int = 0) -> None:
        self.seed = seed
        self.keep = keep
        self.count = count
        self._every = round(every * 1000)
        self._age = keep * self._every
        if count and (count < keep or self._age < LONGEST_LIFE):
            raise ValueError(
                f"a count needs {LONGEST_LIFE / 1000:g} s or more in keep times every, and keep of it at most"
            )
        self._lives: dict[int, Plan] = {}
        self._listed = _Listed(-1, [], [])

    def jobs(self, now: float) -> list[Job]:
        """All jobs that are listed at `now`."""
        moment = int(now * 1000)
        listed = self._at(moment)
        living = [known if isinstance(known, Job) else known.at(moment) for known in listed.living]
        return living + listed.over

    def detail(self, job_id: str, now: float) -> Detail:
        """What the job's plan tells at `now`."""
        moment = int(now * 1000)
        listed = self._at(moment)
        places = (place for place, known in enumerate((*listed.living, *listed.over)) if known.id == job_id)
        place = next(places, None)
        return Detail() if place is None else self._plan(listed.newest - place).detail(moment)

    def _at(self, moment: int) -> _Listed:
        """Who is listed. What is known is taken over from the last call, but not from the future."""
        newest, last = moment // self._every, self._listed
        if newest == last.newest:
            return last
        total = self.count or self.keep
        fresh = min(newest - last.newest, total) if newest > last.newest else total
        before = (*(None,) * fresh, *last.living, *last.over)[:total]
        known = [
            job if isinstance(job, Job) else self._known(job or self._plan(newest - place), newest)
            for place, job in enumerate(before)
        ]
        over = [job for job in known[self.keep :] if isinstance(job, Job)]
        self._listed = _Listed(newest, known[: self.keep], over)
        return self._listed

    def _known(self, plan: Plan, newest: int) -> Plan | Job:
        """The job itself once it is over: reading a plan costs fifty times what passing a job on does."""
        job = plan.at(newest * self._every)
        return job if job.status in TERMINAL_STATUSES else plan

    def _plan(self, number: int) -> Plan:
        place = number % _LIVES
        life = self._lives.get(place)
        if life is None:
            life = draw(self.seed, place, 0)
            life = self._lives[place] = life.cancelled_at(self._age) if self.count else life
        digest = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=16).digest()
        return replace(life, id=job_id(int.from_bytes(digest)), created=number * self._every)


class _Listed(NamedTuple):
    """Who is listed while job number `newest` is the newest one, newest first."""

    newest: int
    living: list[Plan | Job]
    over: list[Job]


def make_jobs(count: int, seed: int | str = 1, *, now: float) -> list[Job]:
    """`count` jobs as a service that has run for long would list them at `now`, newest first."""
    moment = int(now * 1000)
    plans = [draw(seed, number, 0) for number in range(min(count, _LIVES))]
    ids = random.Random(f"{seed}:ids")  # noqa: S311 - a simulation, no secret
    return [
        replace(plans[number % _LIVES], id=job_id(ids.getrandbits(128)), created=moment - number * _APART).at(moment)
        for number in range(count)
    ]


_LIVES: Final = 67 * len(DECK)
"""Past so many, lives repeat at other times and under other ids: to draw a hundred thousand would take seconds."""
_APART: Final = 5000
"""Milliseconds."""
