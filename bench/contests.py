"""What the rows measure: the naive way and ours. Before it is measured, each proves that both give the same."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import re
import time
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from bench import naive, programs
from bench.measure import Contest, Unequal, timed, worked
from bench.pages import jobs as make_jobs
from bench.pages import pages
from exporter import exposition
from exporter.model import Listing
from exporter.providers.oss import Oss
from exporter.selection import select
from tests.exposition import oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from prometheus_client.core import GaugeMetricFamily

    from bench.programs import Program

VARIANTS: Final = 2
"""Listings of the store without a common job: each scrape gets another one than the last, so nothing kept can help."""

SCRAPES_TO_PEAK: Final = 2
"""After so many the peak memory is read: the last one still finds what the one before left."""

_SAMPLE: Final = re.compile(r"(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)", re.DOTALL)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_FAMILIES: Final = frozenset(family.name for family in exposition.FAMILIES)
_OF_THE_MOMENT: Final = frozenset({"batchops_scrape_duration_seconds", "batchops_last_success_timestamp_seconds"})
"""Families whose values differ from scrape to scrape."""


@contextlib.contextmanager
def parse(jobs: int) -> Iterator[Contest]:
    """Pages of `jobs` jobs in all: defusedxml and `findtext` against the provider's own."""
    bodies = list(pages(jobs))
    if [*map(naive.parse, bodies)] != [*map(Oss.parse_jobs, bodies)]:
        raise Unequal("the two parsers do not find the same jobs")
    yield Contest(worked(lambda: [*map(naive.parse, bodies)]), worked(lambda: [*map(Oss.parse_jobs, bodies)]))


@contextlib.contextmanager
def render(jobs: int) -> Iterator[Contest]:
    """A listing as text: `generate_latest` of families that are made already, against our renderer of the jobs."""
    listed = make_jobs(jobs)
    chosen = select(listed, statuses=(), max_age=0.0, most=jobs, now=0.0)
    listing = Listing(
        provider=programs.PROVIDER,
        account=programs.ACCOUNT,
        region=programs.REGION,
        pages=1,
        duration=1.0,
        **chosen._asdict(),
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(oracle.families([listing])))

    def ours() -> bytes:
        return b"".join(exposition.assemble([exposition.blocks(listing)]))

    _agree(generate_latest(registry), ours())
    yield Contest(worked(lambda: generate_latest(registry)), worked(ours))


@contextlib.contextmanager
def scrape(jobs: int, *, encoding: str = "identity", delay: float = 0.0, cpu: bool = False) -> Iterator[Contest]:
    """A whole scrape over HTTP, cold: nothing is as it was at the scrape before.

    `delay` is the seconds that the store takes for each page; `cpu` measures the CPU time of the program instead of
    the time that the scraper waits.
    """
    with (
        programs.store(jobs, variants=VARIANTS, delay=delay) as store,
        programs.naive(store) as baseline,
        programs.ours(store) as ours,
    ):
        for variant in range(VARIANTS):
            programs.show(store, variant)
            _agree(*(_decoded(program.get(encoding=encoding), encoding) for program in (baseline, ours)))
        yield Contest(*(_scraping(store, program, encoding, cpu=cpu) for program in (baseline, ours)))


@contextlib.contextmanager
def memory(jobs: int) -> Iterator[Contest]:
    """The peak memory, in MiB, of a program that is started and scraped."""
    with programs.store(jobs) as store:
        with programs.naive(store) as baseline, programs.ours(store) as ours:
            _agree(baseline.get(), ours.get())
        yield Contest(_peaking(store, programs.naive), _peaking(store, programs.ours))


class _Fixed(Collector):
    """Families that are made already."""

    def __init__(self, families: Sequence[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Sequence[GaugeMetricFamily]:
        """The same at each call."""
        return self._families


def _scraping(store: Program, program: Program, encoding: str, *, cpu: bool) -> Callable[[], float]:
    scrape = timed(lambda: program.get(encoding=encoding), program.cpu if cpu else time.perf_counter)
    variants = itertools.cycle(range(VARIANTS))

    def turn() -> float:
        programs.show(store, next(variants))
        return scrape()

    return turn


def _peaking(store: Program, start: Callable[[Program], AbstractContextManager[Program]]) -> Callable[[], float]:
    def turn() -> float:
        with start(store) as program:
            for _ in range(SCRAPES_TO_PEAK):
                program.get()
            return program.peak()

    return turn


def _decoded(body: bytes, encoding: str) -> bytes:
    return gzip.decompress(body) if encoding == "gzip" else body


def _agree(baseline: bytes, ours: bytes) -> None:
    """Raise Unequal where the two expositions do not hold the same samples of the families of a listing."""
    sides = [sorted(_samples(body)) for body in (baseline, ours)]
    if sides[0] != sides[1]:
        apart = sorted(set(sides[0]) ^ set(sides[1]))[:3]
        counts = " and ".join(str(len(side)) for side in sides)
        raise Unequal(f"the two expositions, of {counts} samples, differ: {apart}")


def _samples(body: bytes) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
    """Name, labels and value of each sample.

    Not by prometheus_client's parser, which would take minutes for the largest rows.
    """
    for line in body.decode().split("\n"):
        sample = _SAMPLE.fullmatch(line)
        if sample and sample["name"] in _FAMILIES:
            labels = tuple(sorted(_LABEL.findall(sample["labels"])))
            value = 0.0 if sample["name"] in _OF_THE_MOMENT else float(sample["value"])
            yield sample["name"], labels, value
