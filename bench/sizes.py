"""`python -m bench sizes`: what one target costs, by the number of its jobs. Nothing is compared, nothing is judged."""

from __future__ import annotations

import argparse
import gzip
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from bench import programs, report
from bench.clients import Change, Client

if TYPE_CHECKING:
    from collections.abc import Sequence

JOBS: Final = (100, 1000, 10_000, 100_000)
SCRAPES: Final = 5
"""Of each kind, at each size; the times are their medians."""

NOTE: Final = (
    "Of one target, whose families are scraped with gzip, as Prometheus does. Above 10,000 jobs, `jobs.max` has to be "
    "raised for all of them to have series, as it was here."
)
COLUMNS: Final = (
    "jobs",
    "series",
    "text",
    "gzip",
    "ListJobs requests a scrape",
    "cold scrape",
    "unchanged scrape",
    "resident memory",
    "peak",
)


@dataclass(frozen=True)
class Size:
    """What a target with so many `jobs` costs. Text in bytes, times in milliseconds, memory of the exporter in MiB."""

    jobs: int
    series: int
    text: int
    compressed: int
    requests: int
    cold: float
    unchanged: float
    resident: float
    peak: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table; always 0."""
    parser = argparse.ArgumentParser(prog="python -m bench sizes", description="Tells what a target costs, by jobs.")
    parser.add_argument("--most-jobs", type=report.positive, default=JOBS[-1], metavar="N", help="no target has more")
    parser.add_argument("--json", metavar="FILE", help="write the result there too")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there too")
    options = parser.parse_args(arguments)
    facts = report.facts(scrapes=SCRAPES)
    sizes = [measure(jobs) for jobs in JOBS if jobs <= options.most_jobs]
    text = f"{report.told(facts)}\n\n{NOTE}\n\n{report.markdown(COLUMNS, map(_cells, sizes))}"
    print(text, end="")
    report.write(options.json, {"facts": facts, "sizes": [asdict(size) for size in sizes]})
    report.write(options.markdown, text)
    return 0


def measure(jobs: int) -> Size:
    """The costs of a target with `jobs` jobs, from a fresh exporter."""
    with programs.store(jobs) as store, programs.ours(store) as ours:
        path = programs.probe(programs.regions(1)[0])
        body = ours.get(path, encoding="gzip")
        text = gzip.decompress(body)
        before = programs.requests(store)

        def median(change: Change) -> float:
            client = Client(store, ours, change, "gzip", path)
            client.scrape()  # the first one finds what the scrapes before have left
            return statistics.median(client.scrape() for _ in range(SCRAPES))

        cold, unchanged = median("cold"), median("unchanged")
        return Size(
            jobs=jobs,
            series=sum(1 for line in text.split(b"\n") if line and not line.startswith(b"#")),
            text=len(text),
            compressed=len(body),
            requests=round((programs.requests(store) - before) / (2 * (SCRAPES + 1))),
            cold=cold,
            unchanged=unchanged,
            resident=ours.resident(),
            peak=ours.peak(),
        )


def _cells(size: Size) -> tuple[str, ...]:
    return (
        f"{size.jobs:,}",
        f"{size.series:,}",
        f"{size.text / 1e6:,.2f} MB",
        f"{size.compressed / 1e6:,.2f} MB",
        f"{size.requests:,}",
        f"{size.cold:,.0f} ms",
        f"{size.unchanged:,.0f} ms",
        f"{size.resident:,.0f} MiB",
        f"{size.peak:,.0f} MiB",
    )
