"""Rows of the peak memory of a program that is started and scraped."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from bench import programs
from bench.clients import Client, prove
from bench.measure import Contest, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bench.programs import Program

SCRAPES: Final = 2
"""The second one starts with what the first one has left."""


@contextlib.contextmanager
def memory(jobs: int, *, encoding: str = "identity") -> Iterator[Contest]:
    """The peak of each of the two programs in MiB, after SCRAPES cold scrapes."""
    with programs.store(jobs) as store:

        def peak(start: Callable[[Program], AbstractContextManager[Program]]) -> float:
            with start(store) as program:
                client = Client(store, program, encoding=encoding)
                for _ in range(SCRAPES):
                    client.scrape()
                return program.peak()

        with programs.naive(store) as baseline, programs.ours(store) as ours:
            prove(Client(store, baseline, encoding=encoding), Client(store, ours, encoding=encoding))
        yield in_turns(lambda: peak(programs.naive), lambda: peak(programs.ours))
