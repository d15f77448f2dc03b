"""A scraper of a program, whose store changes from scrape to scrape."""

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
"""From scrape to scrape the store shows: none of the jobs of the last scrape, the same jobs, or their next state."""


@dataclass
class Client:
    """Scrapes `program`, and before each scrape has its `store` show what `change` says."""

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
        """The duration of one scrape, in milliseconds of `clock`."""
        self._turn_over()
        return timed(lambda: self.program.get(self.path, encoding=self.encoding), clock)()

    def text(self) -> bytes:
        """The exposition of one scrape, decoded."""
        self._turn_over()
        body = self.program.get(self.path, encoding=self.encoding)
        return gzip.decompress(body) if self.encoding == "gzip" else body

    def _turn_over(self) -> None:
        programs.show(self.store, next(self._variants))


def prove(baseline: Client, ours: Client) -> None:
    """Scrape both twice, which also warms them up. Raises Unequal if their samples differ."""
    for _ in range(2):
        agree(baseline.text(), ours.text())


@contextlib.contextmanager
def proven(
    jobs: int,
    *,
    targets: int = 1,
    token_first: bool = True,
    delay: float = 0.0,
    rate: float = 0.0,
    encoding: str = "identity",
) -> Iterator[Client]:
    """A client of the exporter with a store of its own, warm, whose samples are proven to be those of the baseline.

    Its scrapes are cold. `jobs` are each target's; see `programs.store`.
    """
    with (
        programs.store(jobs, targets=targets, token_first=token_first, delay=delay, rate=rate) as store,
        programs.ours(store, targets=targets) as ours,
    ):
        client = Client(store, ours, encoding=encoding)
        with programs.naive(store, targets=targets) as baseline:
            prove(Client(store, baseline), client)
        yield client
