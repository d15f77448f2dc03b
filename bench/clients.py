"""Who scrapes a program in front of a store that changes from scrape to scrape."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from bench import programs
from bench.agreement import agree
from bench.measure import timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.programs import Program

Change: TypeAlias = Literal["cold", "unchanged", "churn"]
"""What the store shows from scrape to scrape: no job of the scrape before, the same, or its next state."""


@dataclass
class Client:
    """Scrapes `program`, in front of `store`, which shows something else ahead of each scrape, as `change` says."""

    store: Program
    program: Program
    change: Change = "cold"
    encoding: str = "identity"
    path: str = "/metrics"
    _variants: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        variants = {"cold": itertools.cycle((0, 1)), "unchanged": itertools.repeat(0), "churn": itertools.count()}
        self._variants = variants[self.change]

    def scrape(self, clock: Callable[[], float] = time.perf_counter) -> float:
        """One scrape, in milliseconds of `clock`."""
        self._turn_over()
        return timed(lambda: self.program.get(self.path, encoding=self.encoding), clock)()

    def text(self) -> bytes:
        """One scrape's exposition, decoded."""
        self._turn_over()
        body = self.program.get(self.path, encoding=self.encoding)
        return gzip.decompress(body) if self.encoding == "gzip" else body

    def _turn_over(self) -> None:
        programs.show(self.store, next(self._variants))


def prove(baseline: Client, ours: Client) -> None:
    """Raise Unequal where the two do not tell the same, at a first scrape or at a second one. Both are warm then."""
    for _ in range(2):
        agree(baseline.text(), ours.text())


@contextlib.contextmanager
def proven(jobs: int, *, targets: int = 1, token_first: bool = True, delay: float = 0.0) -> Iterator[Client]:
    """A client of ours in front of a store of its own, warm, proven to be told what the naive one tells. Cold scrapes.

    `jobs` are each target's; see `programs.store`.
    """
    with (
        programs.store(jobs, targets=targets, token_first=token_first, delay=delay) as store,
        programs.ours(store, targets=targets) as ours,
    ):
        client = Client(store, ours)
        with programs.naive(store, targets=targets) as baseline:
            prove(Client(store, baseline), client)
        yield client
