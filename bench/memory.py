"""Rows of the peak memory of a program that is started and scraped."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bench import programs
from bench.clients import Change, Client, prove
from bench.measure import Contest, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bench.programs import Program


@contextlib.contextmanager
def memory(jobs: int, *, scrapes: int = 2, change: Change = "cold", encoding: str = "identity") -> Iterator[Contest]:
    """The peak, in MiB, after so many `scrapes`: all but the first still find what the one before has left."""
    with programs.store(jobs, churn=change == "churn") as store:

        def client(program: Program) -> Client:
            return Client(store, program, change, encoding)

        def peak(start: Callable[[Program], AbstractContextManager[Program]]) -> float:
            with start(store) as program:
                scraper = client(program)
                for _ in range(scrapes):
                    scraper.scrape()
                return program.peak()

        with programs.naive(store) as baseline, programs.ours(store) as ours:
            prove(client(baseline), client(ours))
        yield in_turns(lambda: peak(programs.naive), lambda: peak(programs.ours))
