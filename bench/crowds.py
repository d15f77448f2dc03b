"""Rows of many scrapers at once, and of the requests that a scrape costs."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from bench import programs
from bench.clients import Client, prove, proven
from bench.measure import Contest, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.programs import Program

SCRAPERS: Final = 50

HEALTHY_MS: Final = 150.0
"""`/-/healthy` has to answer within this, at the 99th percentile."""
PROBE_EVERY: Final = 0.01
PROBE_SECONDS: Final = 3.0

ENCODINGS: Final = ("identity", "gzip")


@contextlib.contextmanager
def requests(jobs: int) -> Iterator[Contest]:
    """Requests that reach the store for one scrape."""
    with programs.store(jobs) as store, programs.naive(store) as baseline, programs.ours(store) as ours:
        sides = [Client(store, program) for program in (baseline, ours)]
        prove(*sides)
        yield in_turns(lambda: _sent(store, sides[0].scrape), lambda: _sent(store, sides[1].scrape))


@contextlib.contextmanager
def crowd(jobs: int, *, delay: float) -> Iterator[Contest]:
    """Requests that reach the store for one scrape, against those for SCRAPERS scrapes of one target at once.

    `delay`, the seconds for each page, is what lets them all come while the listing of the first is under way.
    """
    with proven(jobs, delay=delay) as client:

        def all_at_once() -> None:
            start = threading.Barrier(SCRAPERS)

            def scrape() -> None:
                start.wait()
                client.program.get()

            with ThreadPoolExecutor(SCRAPERS) as pool:
                for scraper in [pool.submit(scrape) for _ in range(SCRAPERS)]:
                    scraper.result()

        yield in_turns(lambda: _sent(client.store, client.scrape), lambda: _sent(client.store, all_at_once))


@contextlib.contextmanager
def healthy(jobs: int) -> Iterator[Contest]:
    """HEALTHY_MS against the 99th percentile of what `/-/healthy` takes while SCRAPERS scrape again and again.

    Each of them has the store show another listing before it scrapes, and every other one asks for gzip.
    """
    with proven(jobs) as client:

        def percentile() -> float:
            ended = threading.Event()

            def scrape(number: int) -> None:
                while not ended.is_set():
                    programs.show(client.store, number % 2)
                    client.program.get(encoding=ENCODINGS[number % 2])

            with ThreadPoolExecutor(SCRAPERS) as pool:
                scrapers = [pool.submit(scrape, number) for number in range(SCRAPERS)]
                try:
                    latencies = _probed(client.program)
                finally:
                    ended.set()
                for scraper in scrapers:
                    scraper.result()
            return statistics.quantiles(latencies, n=100)[98]

        yield in_turns(lambda: HEALTHY_MS, percentile)


def _sent(store: Program, way: Callable[[], object]) -> float:
    before = programs.requests(store)
    way()
    return programs.requests(store) - before


def _probed(program: Program) -> list[float]:
    """What `/-/healthy` takes, in milliseconds, asked for by a process that does nothing else."""
    url = f"{program.url}/-/healthy"
    command = [sys.executable, "-m", "bench.prober", f"--every={PROBE_EVERY}", f"--seconds={PROBE_SECONDS}", url]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own program
    latencies: list[float] = json.loads(done.stdout)
    return latencies
