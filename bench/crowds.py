"""Rows of many scrapers at once."""

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
from bench.clients import proven
from bench.measure import Contest, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.programs import Program

SCRAPERS: Final = 50

HEALTHY_MS: Final = 60.0
"""The limit of the response time of `/-/healthy`, at the 99th percentile."""
PROBE_EVERY: Final = 0.01
PROBE_SECONDS: Final = 3.0

ENCODINGS: Final = ("identity", "gzip")


@contextlib.contextmanager
def crowd(jobs: int, *, delay: float) -> Iterator[Contest]:
    """Requests that reach the store for one scrape, and for SCRAPERS concurrent scrapes of one target.

    `delay` is the seconds for each page, so that all of them arrive while the first one's listing is in progress.
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
    """HEALTHY_MS, and the 99th percentile of the response time of `/-/healthy` while SCRAPERS scrape continuously.

    Each of them has the store show another listing before it scrapes, and every other one requests gzip.
    """
    with proven(jobs) as client:

        def percentile() -> float:
            stopped = threading.Event()

            def scrape(number: int) -> None:
                while not stopped.is_set():
                    programs.show(client.store, number % 2)
                    client.program.get(encoding=ENCODINGS[number % 2])

            with ThreadPoolExecutor(SCRAPERS) as pool:
                scrapers = [pool.submit(scrape, number) for number in range(SCRAPERS)]
                try:
                    latencies = _probed(client.program)
                finally:
                    stopped.set()
                for scraper in scrapers:
                    scraper.result()
            return statistics.quantiles(latencies, n=100)[98]

        yield in_turns(lambda: HEALTHY_MS, percentile)


def _sent(store: Program, way: Callable[[], object]) -> float:
    before = programs.requests(store)
    way()
    return programs.requests(store) - before


def _probed(program: Program) -> list[float]:
    """The response times of `/-/healthy` in milliseconds, measured by a process that does nothing else."""
    url = f"{program.url}/-/healthy"
    command = [sys.executable, "-m", "bench.prober", f"--every={PROBE_EVERY}", f"--seconds={PROBE_SECONDS}", url]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own program
    latencies: list[float] = json.loads(done.stdout)
    return latencies
