"""`python -m bench parts`: where the CPU time of a cold scrape with gzip goes. It has no baseline."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Final

from bench import naive, programs, report
from bench.clients import proven
from bench.computing import renderer, snapshot_of
from bench.measure import worked
from bench.pages import pages
from exporter.client.session import MAX_PAGE_BYTES
from exporter.client.transport import Transport
from exporter.providers.oss import Oss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.programs import Program

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
    rows = [(part, f"{spent:,.1f} ms", f"{spent / whole:.0%}") for part, spent in milliseconds.items()]
    text = f"{report.facts_line(facts)}\n\n{report.markdown(COLUMNS, rows)}"
    print(text, end="")
    report.write(options.json, {"facts": facts, "milliseconds": milliseconds})
    report.write(options.markdown, text)
    return 0


def measure(jobs: int) -> dict[str, float]:
    """The milliseconds of each part of a scrape, measured alone in this process; the rest is the exporter's."""
    bodies = list(pages(jobs))
    snapshot = snapshot_of(jobs)
    with (
        renderer(snapshot, compressed=False) as text,
        renderer(snapshot, compressed=True) as compressed,
        proven(jobs, encoding="gzip") as client,
        _fetcher(client.store) as fetch,
    ):
        render = _median(worked(text))
        times = {
            "fetch": _median(worked(fetch)),
            "parse": _median(worked(lambda: [Oss.parse_jobs(body) for body in bodies])),
            "render": render,
            "gzip": _median(worked(compressed)) - render,
        }
        whole = _median(lambda: client.scrape(client.program.cpu))
    return times | {"rest": whole - sum(times.values())}


@contextlib.contextmanager
def _fetcher(store: Program) -> Iterator[Callable[[], None]]:
    """Signs the requests for all pages of `store`, sends them and reads the responses."""
    (region,) = programs.regions(1)
    provider = Oss(naive.endpoint(store.url), region)
    transport = Transport()

    async def fetch() -> None:
        token: str | None = None
        while True:
            request = provider.sign(provider.list_request(token), naive.CREDENTIALS, time.time())
            page = await transport.fetch(
                request, max_bytes=MAX_PAGE_BYTES, seconds=programs.SCRAPE_SECONDS, direct=True
            )
            token = provider.peek_next_token(page.body)
            if token is None:
                return

    with asyncio.Runner() as runner:
        try:
            yield lambda: runner.run(fetch())
        finally:
            runner.run(transport.close())


def _median(turn: Callable[[], float]) -> float:
    return statistics.median(turn() for _ in range(ROUNDS))
