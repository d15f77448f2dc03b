"""Rounds, medians and ratios. A row sets a contest up; its two sides take turns, so that noise hits both."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Contest(NamedTuple):
    """Two ways to the same result; each call measures its way once, in the unit of the row."""

    baseline: Callable[[], float]
    ours: Callable[[], float]


@dataclass(frozen=True)
class Bar:
    """The ratio that a row must reach.

    `at least`: the baseline takes so many times what ours takes. `at most`: ours takes that part of the baseline.
    """

    kind: Literal["at least", "at most"]
    bound: float

    def ratio(self, baseline: float, ours: float) -> float:
        """Of what both took, in the direction that `kind` means."""
        return baseline / ours if self.kind == "at least" else ours / baseline

    def reached(self, ratio: float) -> bool:
        """Whether `ratio` is good enough."""
        return ratio >= self.bound if self.kind == "at least" else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    """What the command line calls it."""
    title: str
    jobs: int
    contest: Callable[[int], AbstractContextManager[Contest]]
    """Sets the contest up for so many jobs; it raises Unequal where the two ways do not give the same."""
    bar: Bar
    unit: Literal["ms", "MiB"] = "ms"


@dataclass(frozen=True)
class Result:
    """What a row measured. `judged`: at its own size, so that its bar means something."""

    row: Row
    jobs: int
    baseline: tuple[float, ...]
    ours: tuple[float, ...]

    @property
    def judged(self) -> bool:
        """Whether it was measured at the size that the bar is about."""
        return self.jobs == self.row.jobs

    @property
    def medians(self) -> tuple[float, float]:
        """Of the baseline and of ours."""
        return statistics.median(self.baseline), statistics.median(self.ours)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return self.row.bar.ratio(*self.medians)

    @property
    def missed(self) -> bool:
        """Whether the bar was not reached."""
        return self.judged and not self.row.bar.reached(self.ratio)


class Unequal(Exception):
    """The two ways of a row do not give the same, so that a ratio of them would be a lie."""


def measure(row: Row, *, jobs: int, rounds: int) -> Result:
    """Measure `row` with `jobs` jobs. Raises Unequal."""
    baseline: list[float] = []
    ours: list[float] = []
    with row.contest(jobs) as contest:
        turns = [(contest.baseline, baseline), (contest.ours, ours)]
        for _ in range(rounds):
            for way, taken in turns:
                taken.append(way())
            turns.reverse()
    return Result(row, jobs, tuple(baseline), tuple(ours))


def timed(way: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """`way`, measured in milliseconds of `clock` (seconds), which is the one on the wall."""

    def turn() -> float:
        start = clock()
        way()
        return (clock() - start) * 1000

    return turn


def worked(way: Callable[[], object]) -> Callable[[], float]:
    """`way`, which computes here and waits for nothing, measured in milliseconds of work.

    The clock on the wall would also count what other programs do meanwhile. Collections of cycles are left out: what
    they cost depends on the settings of a whole program, and the rows that scrape one show it.
    """

    def turn() -> float:
        gc.collect()
        gc.disable()
        try:
            start = time.process_time()
            way()
            return (time.process_time() - start) * 1000
        finally:
            gc.enable()

    return turn
