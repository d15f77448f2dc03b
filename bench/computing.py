"""Rows of the computations of a scrape, in this process: pages to jobs, and jobs to text or gzip."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections import deque
from typing import TYPE_CHECKING
from xml.parsers import expat

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from bench import naive, programs
from bench.agreement import Unequal, agree
from bench.measure import Contest, in_turns, worked
from bench.pages import Order, pages
from bench.pages import jobs as make_jobs
from exporter.collector.selection import select
from exporter.core.snapshot import Snapshot
from exporter.core.workers import Turns
from exporter.exposition.renderer import Renderer, ResponseFormat
from exporter.exposition.self_metrics import SelfMetrics
from exporter.providers.oss import Oss
from tests.exposition import oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client.core import GaugeMetricFamily


@contextlib.contextmanager
def parse(jobs: int, *, order: Order = "documented") -> Iterator[Contest]:
    """Pages of `jobs` jobs in total, each released before the next: defusedxml and `findtext`, and the provider."""
    bodies = list(pages(jobs, order=order))
    if [naive.parse(body)[:2] for body in bodies] != [Oss.parse_jobs(body)[:2] for body in bodies]:
        raise Unequal("the two parsers return different jobs")
    times = _times(jobs)
    yield in_turns(_each(naive.parse, bodies, times), _each(Oss.parse_jobs, bodies, times))


@contextlib.contextmanager
def parse_and_expat(jobs: int) -> Iterator[Contest]:
    """The same pages: expat without handlers, which returns nothing, and the provider."""
    bodies = list(pages(jobs))
    times = _times(jobs)
    yield in_turns(
        _each(lambda body: expat.ParserCreate().Parse(body, True), bodies, times),  # noqa: FBT003 - takes no keywords
        _each(Oss.parse_jobs, bodies, times),
    )


@contextlib.contextmanager
def render(jobs: int, *, compressed: bool = False) -> Iterator[Contest]:
    """A snapshot as text, `compressed` or not: `generate_latest` of complete families, and the renderer of the jobs.

    The text of `generate_latest` is compressed at gzip's level 9, as prometheus_client does.
    """
    snapshot = snapshot_of(jobs)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(oracle.families([snapshot])))

    def baseline() -> bytes:
        text = generate_latest(registry)
        return gzip.compress(text, 9) if compressed else text

    with renderer(snapshot, compressed=compressed) as ours:
        decoded = gzip.decompress if compressed else bytes
        agree(decoded(baseline()), decoded(ours()))
        times = _times(jobs)
        yield in_turns(worked(baseline, times), worked(ours, times))


@contextlib.contextmanager
def renderer(snapshot: Snapshot, *, compressed: bool) -> Iterator[Callable[[], bytes]]:
    """Returns the body for `snapshot`, rendered as for a scrape but without the exporter's own metrics."""
    response_format = ResponseFormat(openmetrics=False, gzip=compressed, with_self_metrics=False)
    rendering = Renderer(SelfMetrics(version="", revision="", process=False), Turns())

    async def body() -> bytes:
        return b"".join(await rendering.body([await rendering.lines(snapshot, response_format)], response_format))

    with asyncio.Runner() as runner:
        loop = runner.get_loop()  # as `runner.run` would write the whole body in a debugging text
        yield lambda: loop.run_until_complete(body())


def snapshot_of(jobs: int) -> Snapshot:
    """A snapshot of `jobs` jobs."""
    chosen = select(make_jobs(jobs), statuses=(), max_age=0.0, maximum=jobs, now=0.0)
    (region,) = programs.regions(1)
    return Snapshot(
        provider=programs.PROVIDER,
        account=programs.ACCOUNT,
        region=region,
        pages=1,
        duration=1.0,
        **chosen._asdict(),
    )


def _each(parser: Callable[[bytes], object], bodies: Sequence[bytes], times: int) -> Callable[[], float]:
    return worked(lambda: deque(map(parser, bodies), maxlen=0), times)


def _times(jobs: int) -> int:
    """The repetitions in a turn: other programs could distort a measurement of a few milliseconds."""
    return max(1, min(10, 10_000 // jobs))


class _Fixed(Collector):
    """Families that are complete already."""

    def __init__(self, families: Sequence[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Sequence[GaugeMetricFamily]:
        """The same at each call."""
        return self._families
