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
"""Measures the baseline and ours once: each call is a round and gives what both took, in the unit of the row."""


@dataclass(frozen=True)
class Bar:
    """The ratio that a row must reach.

    `at least`: the baseline takes so many times what ours takes. `at most`: ours takes so many times the baseline.
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
    unit: Literal["ms", "MiB", "requests"] = "ms"
    against: str = "naive"
    """What the baseline is."""


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


def measure(row: Row, *, jobs: int, rounds: int) -> Result:
    """Measure `row` with `jobs` jobs. Raises Unequal."""
    with row.contest(jobs) as contest:
        baseline, ours = zip(*(contest() for _ in range(rounds)), strict=True)
    return Result(row, jobs, baseline, ours)


def in_turns(baseline: Callable[[], float], ours: Callable[[], float]) -> Contest:
    """A contest of two ways to the same. The one that goes first goes second in the next round: noise hits both."""
    baseline_is_first = itertools.cycle((True, False))

    def contest() -> tuple[float, float]:
        if next(baseline_is_first):
            return baseline(), ours()
        took = ours()
        return baseline(), took

    return contest


def timed(way: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """`way`, measured in milliseconds of `clock` (seconds), which is the one on the wall."""

    def turn() -> float:
        start = clock()
        way()
        return (clock() - start) * 1000

    return turn


def worked(way: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """`way`, which computes here and waits for nothing, measured in milliseconds of work, the mean of so many `times`.

    The clock on the wall would also count what other programs do meanwhile. Collections of cycles are left out: what
    they cost depends on the settings of a whole program, and the rows that scrape one show it.
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
