"""Rows of what is computed for a scrape, alone: pages to jobs, and jobs to text."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from bench import naive, programs
from bench.agreement import Unequal, agree
from bench.measure import Contest, in_turns, worked
from bench.pages import jobs as make_jobs
from bench.pages import pages
from exporter.collector.selection import select
from exporter.core.snapshot import Snapshot
from exporter.exposition import families
from exporter.providers.oss import Oss
from tests.exposition import oracle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import GaugeMetricFamily


@contextlib.contextmanager
def parse(jobs: int) -> Iterator[Contest]:
    """Pages of `jobs` jobs in all, each let go ahead of the next: defusedxml and `findtext` against the provider's."""
    bodies = list(pages(jobs))
    if [naive.parse(body)[:2] for body in bodies] != [Oss.parse_jobs(body)[:2] for body in bodies]:
        raise Unequal("the two parsers do not find the same jobs")
    times = _times(jobs)
    yield in_turns(
        worked(lambda: deque(map(naive.parse, bodies), maxlen=0), times),
        worked(lambda: deque(map(Oss.parse_jobs, bodies), maxlen=0), times),
    )


@contextlib.contextmanager
def render(jobs: int) -> Iterator[Contest]:
    """A listing as text: `generate_latest` of families that are made already, against our renderer of the jobs."""
    chosen = select(make_jobs(jobs), statuses=(), max_age=0.0, maximum=jobs, now=0.0)
    (region,) = programs.regions(1)
    listing = Snapshot(
        provider=programs.PROVIDER,
        account=programs.ACCOUNT,
        region=region,
        pages=1,
        duration=1.0,
        **chosen._asdict(),
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(oracle.families([listing])))

    def ours() -> bytes:
        return b"".join(families.assemble([list(zip(*families.family_lines(listing), strict=True))]))

    agree(generate_latest(registry), ours())
    times = _times(jobs)
    yield in_turns(worked(lambda: generate_latest(registry), times), worked(ours, times))


def _times(jobs: int) -> int:
    """How often a turn does the same: a few milliseconds could be those of a neighbour."""
    return max(1, min(10, 10_000 // jobs))


class _Fixed(Collector):
    """Families that are made already."""

    def __init__(self, families: Sequence[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Sequence[GaugeMetricFamily]:
        """The same at each call."""
        return self._families
