"""Rows of whole scrapes over HTTP: how long the scraper waits, or what CPU time the program takes."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING

from bench import programs
from bench.clients import Change, Client, prove, proven
from bench.measure import Contest, in_turns
from bench.pages import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def scrape(
    jobs: int,
    *,
    targets: int = 1,
    change: Change = "cold",
    encoding: str = "identity",
    delay: float = 0.0,
    cpu: bool = False,
) -> Iterator[Contest]:
    """A scrape of `targets` that have `jobs` jobs in all; both programs were scraped before.

    `delay` is the seconds that the store takes for each page; `cpu` measures the CPU time of the program instead of
    the time that the scraper waits.
    """
    with (
        programs.store(_each(jobs, targets), targets=targets, churn=change == "churn", delay=delay) as store,
        programs.naive(store, targets=targets) as baseline,
        programs.ours(store, targets=targets) as ours,
    ):
        sides = [Client(store, program, change, encoding) for program in (baseline, ours)]
        prove(*sides)
        clocks = [side.program.cpu if cpu else time.perf_counter for side in sides]
        yield in_turns(lambda: sides[0].scrape(clocks[0]), lambda: sides[1].scrape(clocks[1]))


@contextlib.contextmanager
def asking_early(jobs: int, *, delay: float) -> Iterator[Contest]:
    """Ours where the next page's token stands behind the jobs, so that it comes late, against ours where it is ahead.

    That is our own path without early asking: all else is the same.
    """
    with proven(jobs, token_first=False, delay=delay) as late, proven(jobs, delay=delay) as early:
        yield in_turns(late.scrape, early.scrape)


@contextlib.contextmanager
def growth(jobs: int) -> Iterator[Contest]:
    """Ours with a tenth of `jobs`, against ours with all of them."""
    with proven(_each(jobs, 10)) as few, proven(jobs) as many:
        yield in_turns(few.scrape, many.scrape)


@contextlib.contextmanager
def side_by_side(jobs: int, *, targets: int, delay: float) -> Iterator[Contest]:
    """The CPU time of ours for a scrape of `targets`, against the time that the scraper waits for that very scrape.

    Of the wait one target's latency is taken off: the `delay` of its pages, one after the other, and nothing for the
    way there and back. That is the least it can be.
    """
    each = _each(jobs, targets)
    latency = math.ceil(each / PAGE_SIZE) * delay * 1000
    with proven(each, targets=targets, delay=delay) as client:

        def contest() -> tuple[float, float]:
            start = client.program.cpu()
            waited = client.scrape()
            return (client.program.cpu() - start) * 1000, waited - latency

        yield contest


def _each(jobs: int, targets: int) -> int:
    """Each target's part of `jobs`, at least one."""
    return max(1, jobs // targets)
