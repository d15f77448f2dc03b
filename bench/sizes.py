"""`python -m bench sizes`: what a scrape of one target costs, by the number of its jobs. It has no baseline."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from bench import programs, report
from bench.clients import Client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.programs import Program

JOBS: Final = (1000, 10_000, 100_000)
SCRAPES: Final = 5
"""Of each kind, for each number of jobs; times are medians."""

NOTE: Final = (
    "One target, scraped with gzip, as Prometheus does; from scrape to scrape, every page differs. With more than "
    "10,000 jobs, all of them have series only if `jobs.max` is raised, as it was here."
)
COLUMNS: Final = (
    "jobs",
    "requests",
    "series",
    "text",
    "gzip",
    "first scrape",
    "next scrape",
    "CPU time",
    "peak memory",
)


@dataclass(frozen=True)
class Size:
    """The costs for so many `jobs`. Text in bytes, times in milliseconds, memory of the exporter in MiB."""

    jobs: int
    requests: int
    series: int
    text: int
    compressed: int
    first: float
    """Of a process that has just started."""
    next: float
    cpu: float
    """Of the exporter, for one more scrape."""
    peak: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table; always 0."""
    parser = argparse.ArgumentParser(prog="python -m bench sizes", description="Shows what a scrape costs, by jobs.")
    parser.add_argument("--most-jobs", type=report.positive, default=JOBS[-1], metavar="N", help="maximum jobs")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to this file")
    options = parser.parse_args(arguments)
    facts = report.facts(scrapes=SCRAPES)
    sizes = [measure(jobs) for jobs in JOBS if jobs <= options.most_jobs]
    text = f"{report.facts_line(facts)}\n\n{NOTE}\n\n{report.markdown(COLUMNS, map(_cells, sizes))}"
    print(text, end="")
    report.write(options.json, {"facts": facts, "sizes": [asdict(size) for size in sizes]})
    report.write(options.markdown, text)
    return 0


def measure(jobs: int) -> Size:
    """The costs for `jobs` jobs."""
    with programs.store(jobs) as store:
        first = statistics.median(_first(store) for _ in range(SCRAPES))
        with programs.ours(store) as ours:
            client = _client(store, ours)
            text = client.text()
            before = programs.requests(store)
            return Size(
                jobs=jobs,
                series=sum(1 for line in text.split(b"\n") if line and not line.startswith(b"#")),
                text=len(text),
                compressed=len(ours.get(client.path, encoding=client.encoding)),
                requests=programs.requests(store) - before,
                first=first,
                next=statistics.median(client.scrape() for _ in range(SCRAPES)),
                cpu=statistics.median(client.scrape(ours.cpu) for _ in range(SCRAPES)),
                peak=ours.peak(),
            )


def _first(store: Program) -> float:
    with programs.ours(store) as ours:
        return _client(store, ours).scrape()


def _client(store: Program, program: Program) -> Client:
    """Scrapes the target without the exporter's own metrics, so that their size is not included."""
    return Client(store, program, encoding="gzip", path=programs.probe(programs.regions(1)[0]))


def _cells(size: Size) -> tuple[str, ...]:
    return (
        f"{size.jobs:,}",
        f"{size.requests:,}",
        f"{size.series:,}",
        f"{size.text / 1e6:,.2f} MB",
        f"{size.compressed / 1e6:,.2f} MB",
        f"{size.first:,.0f} ms",
        f"{size.next:,.0f} ms",
        f"{size.cpu:,.0f} ms",
        f"{size.peak:,.0f} MiB",
    )
