"""Rows of whole scrapes over HTTP: the time that the scraper waits."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

from bench import programs
from bench.clients import Change, Client, prove, proven
from bench.measure import Contest, in_turns
from bench.pages import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bench.programs import Program


@contextlib.contextmanager
def scrape(jobs: int, *, change: Change = "cold", encoding: str = "identity") -> Iterator[Contest]:
    """A scrape of one target by each of the two programs; both were scraped before."""
    with (
        programs.store(jobs, churn=change == "churn") as store,
        programs.naive(store) as baseline,
        programs.ours(store) as ours,
    ):
        sides = [Client(store, program, change, encoding) for program in (baseline, ours)]
        prove(*sides)
        yield in_turns(sides[0].scrape, sides[1].scrape)


@contextlib.contextmanager
def first(jobs: int, *, encoding: str = "identity") -> Iterator[Contest]:
    """The first scrape of each of the two programs: both are started again for each round."""
    with programs.store(jobs) as store:

        def turn(start: Callable[[Program], AbstractContextManager[Program]]) -> float:
            with start(store) as program:
                return Client(store, program, encoding=encoding).scrape()

        with programs.naive(store) as baseline, programs.ours(store) as ours:
            prove(Client(store, baseline), Client(store, ours))
        yield in_turns(lambda: turn(programs.naive), lambda: turn(programs.ours))


@contextlib.contextmanager
def waiting(jobs: int, *, delay: float) -> Iterator[Contest]:
    """The `delay` of all pages, one after the other, which is not measured; and our scrape with gzip."""
    with proven(jobs, delay=delay, encoding="gzip") as client:
        yield in_turns(lambda: _latency(jobs, delay), client.scrape)


@contextlib.contextmanager
def page_ahead(jobs: int, *, delay: float, rate: float) -> Iterator[Contest]:
    """Our scrape if the token follows the jobs, so that no page is requested ahead; and if it precedes them."""
    with (
        proven(jobs, token_first=False, delay=delay, rate=rate) as late,
        proven(jobs, delay=delay, rate=rate) as early,
    ):
        yield in_turns(late.scrape, early.scrape)


@contextlib.contextmanager
def growth(jobs: int) -> Iterator[Contest]:
    """Our scrape of a tenth of `jobs` with gzip, and of all of them."""
    with proven(_part(jobs, 10), encoding="gzip") as few, proven(jobs, encoding="gzip") as many:
        yield in_turns(few.scrape, many.scrape)


@contextlib.contextmanager
def side_by_side(jobs: int, *, targets: int, delay: float) -> Iterator[Contest]:
    """The exporter's CPU time for a scrape of `targets`, and the time that the scraper waits for the same scrape.

    One target's latency is subtracted from the latter: the `delay` of its pages, one after the other.
    """
    part = _part(jobs, targets)
    with proven(part, targets=targets, delay=delay) as client:

        def contest() -> tuple[float, float]:
            start = client.program.cpu()
            waited = client.scrape()
            return (client.program.cpu() - start) * 1000, waited - _latency(part, delay)

        yield contest


def _latency(jobs: int, delay: float) -> float:
    """Milliseconds that a store with `delay` seconds a page takes for the pages of `jobs` jobs."""
    return math.ceil(jobs / PAGE_SIZE) * delay * 1000


def _part(jobs: int, parts: int) -> int:
    """The jobs of one of so many equal parts; at least one."""
    return max(1, jobs // parts)
