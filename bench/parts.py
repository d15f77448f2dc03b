"""`python -m bench parts`: where the CPU time of a cold scrape with gzip goes. It has no baseline."""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING, Final

from bench import report
from bench.clients import proven
from bench.computing import renderer, snapshot_of
from bench.measure import worked
from bench.pages import pages
from exporter.providers.oss import Oss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

JOBS: Final = 10_000
ROUNDS: Final = 5
COLUMNS: Final = ("part", "CPU time", "share")


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table; always 0."""
    parser = argparse.ArgumentParser(prog="python -m bench parts", description="Shows where the time of a scrape goes.")
    parser.add_argument("--jobs", type=report.positive, default=JOBS, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to this file")
    options = parser.parse_args(arguments)
    facts = report.facts(rounds=ROUNDS, jobs=options.jobs)
    milliseconds = measure(options.jobs)
    whole = sum(milliseconds.values())
    rows = [(part, f"{time:,.1f} ms", f"{time / whole:.0%}") for part, time in milliseconds.items()]
    text = f"{report.facts_line(facts)}\n\n{report.markdown(COLUMNS, rows)}"
    print(text, end="")
    report.write(options.json, {"facts": facts, "milliseconds": milliseconds})
    report.write(options.markdown, text)
    return 0


def measure(jobs: int) -> dict[str, float]:
    """The milliseconds of each part of a scrape.

    All but fetching are measured in this process, each alone; fetching is the rest of the exporter's CPU time.
    """
    bodies = list(pages(jobs))
    snapshot = snapshot_of(jobs)
    with renderer(snapshot, compressed=False) as text, renderer(snapshot, compressed=True) as compressed:
        parse = _median(worked(lambda: [Oss.parse_jobs(body) for body in bodies]))
        render = _median(worked(text))
        both = _median(worked(compressed))
    with proven(jobs, encoding="gzip") as client:
        whole = _median(lambda: client.scrape(client.program.cpu))
    return {"parse": parse, "render": render, "gzip": both - render, "fetch": whole - parse - both}


def _median(turn: Callable[[], float]) -> float:
    return statistics.median(turn() for _ in range(ROUNDS))
