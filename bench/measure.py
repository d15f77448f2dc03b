"""Rounds, medians and ratios."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


Contest: TypeAlias = "Callable[[], tuple[float, float]]"
"""Measures the baseline and ours once: each call is a round and returns both results, in the unit of the row."""


@dataclass(frozen=True)
class Bar:
    """The ratio that a row must reach: of the baseline to ours (`at least`), or of ours to the baseline (`at most`)."""

    kind: Literal["at least", "at most"]
    bound: float

    def ratio(self, baseline: float, ours: float) -> float:
        """The ratio of the two results, in the direction of `kind`."""
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
    """On the command line."""
    title: str
    jobs: int
    contest: Callable[[int], AbstractContextManager[Contest]]
    """Prepares the contest for so many jobs. Raises Unequal if the two sides have different results."""
    bar: Bar
    unit: Literal["ms", "MiB", "requests"] = "ms"
    against: str = "naive"
    """The name of the baseline."""


@dataclass(frozen=True)
class Result:
    """The results of a row."""

    row: Row
    jobs: int
    baseline: tuple[float, ...]
    ours: tuple[float, ...]

    @property
    def judged(self) -> bool:
        """Whether it was measured with the row's number of jobs; the bar is for no other."""
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


def measure(row: Row, *, jobs: int, rounds: int) -> Result:
    """Measure `row` with `jobs` jobs. Raises Unequal."""
    with row.contest(jobs) as contest:
        baseline, ours = zip(*(contest() for _ in range(rounds)), strict=True)
    return Result(row, jobs, baseline, ours)


def in_turns(baseline: Callable[[], float], ours: Callable[[], float]) -> Contest:
    """A contest of two sides. The one that is first is second in the next round, so that noise affects both."""
    baseline_is_first = itertools.cycle((True, False))

    def contest() -> tuple[float, float]:
        if next(baseline_is_first):
            return baseline(), ours()
        took = ours()
        return baseline(), took

    return contest


def timed(way: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """Runs `way` and returns its duration in milliseconds; `clock` returns seconds."""

    def turn() -> float:
        start = clock()
        way()
        return (clock() - start) * 1000

    return turn


def worked(way: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """Runs `way` so many `times` and returns its mean CPU time in milliseconds.

    Wall-clock time would include what other programs do meanwhile. There is no garbage collection: its cost depends on
    the settings of a whole program, and the rows of whole scrapes include it.
    """

    def turn() -> float:
        gc.collect()
        gc.disable()
        try:
            start = time.process_time()
            for _ in range(times):
                way()
            return (time.process_time() - start) * 1000 / times
        finally:
            gc.enable()

    return turn
