"""What is measured, and the bar that each row must reach, from short to long. A new row is a new entry."""

from __future__ import annotations

from functools import partial
from typing import Final

from bench.computing import parse, parse_and_expat, render
from bench.crowds import HEALTHY_MS, crowd, healthy
from bench.measure import Bar, Row
from bench.memory import memory
from bench.scraping import first, growth, page_ahead, scrape, side_by_side, waiting
from bench.starting import START_MS, start

_RATE: Final = 20e6
"""Bytes a second of a page."""

_PARSE_OTHER: Final = partial(parse, order="other")
_RENDER_GZIP: Final = partial(render, compressed=True)
_FIRST_GZIP: Final = partial(first, encoding="gzip")
_GZIP: Final = partial(scrape, encoding="gzip")
_UNCHANGED: Final = partial(scrape, change="unchanged", encoding="gzip")
_CHURN: Final = partial(scrape, change="churn", encoding="gzip")
_WAITING: Final = partial(waiting, delay=0.02)
_AHEAD: Final = partial(page_ahead, delay=0.05, rate=_RATE)
_CROWD: Final = partial(crowd, delay=0.5)
_TARGETS: Final = partial(side_by_side, targets=100, delay=0.05)
_MEMORY_GZIP: Final = partial(memory, encoding="gzip")

ROWS: Final = (
    # Computations.
    Row("parse-10000", "pages to jobs", 10_000, parse, Bar("at most", 0.2)),
    Row("parse-other-10000", "pages in another order to jobs", 10_000, _PARSE_OTHER, Bar("at most", 0.25)),
    Row("parse-expat-10000", "pages to jobs", 10_000, parse_and_expat, Bar("at most", 2.2), against="expat"),
    Row("render-10000", "jobs to text", 10_000, render, Bar("at least", 20), against="generate_latest"),
    Row("render-gzip-10000", "jobs to gzip", 10_000, _RENDER_GZIP, Bar("at least", 15), against="generate_latest"),
    # Whole scrapes.
    Row("start-0", "start to ready, CPU time", 0, start, Bar("at most", 1), against=f"{START_MS:.0f} ms"),
    Row("first-1000", "first scrape", 1000, first, Bar("at least", 3)),
    Row("first-gzip-10000", "first scrape, gzip", 10_000, _FIRST_GZIP, Bar("at least", 5)),
    Row("cold-10000", "cold", 10_000, scrape, Bar("at least", 7)),
    Row("cold-gzip-10000", "cold, gzip", 10_000, _GZIP, Bar("at least", 7)),
    Row("unchanged-gzip-10000", "unchanged, gzip", 10_000, _UNCHANGED, Bar("at least", 7)),
    Row("churn-gzip-10000", "churn, gzip", 10_000, _CHURN, Bar("at least", 7)),
    Row("waiting-gzip-10000", "cold, gzip, 20 ms a page", 10_000, _WAITING, Bar("at most", 1.5), against="waiting"),
    Row("ahead-10000", "50 ms and 20 MB/s a page", 10_000, _AHEAD, Bar("at least", 1.3), against="none ahead"),
    # Many scrapers.
    Row("crowd-1000", "50 scrapes at once", 1000, _CROWD, Bar("at most", 1), unit="requests", against="one scrape"),
    Row(
        "healthy-10000",
        "/-/healthy under 50, 99th perc.",
        10_000,
        healthy,
        Bar("at most", 1),
        against=f"{HEALTHY_MS:.0f} ms",
    ),
    # A hundred thousand jobs.
    Row("growth-100000", "cold, gzip", 100_000, growth, Bar("at most", 11), against="a tenth of it"),
    Row("targets-100000", "100 targets, 50 ms, less 50 ms", 100_000, _TARGETS, Bar("at most", 1.4), against="CPU time"),
    Row("cold-100000", "cold", 100_000, scrape, Bar("at least", 7)),
    Row("cold-gzip-100000", "cold, gzip", 100_000, _GZIP, Bar("at least", 7)),
    Row("memory-100000", "peak memory", 100_000, memory, Bar("at most", 0.25), unit="MiB"),
    Row("memory-gzip-100000", "peak memory, gzip", 100_000, _MEMORY_GZIP, Bar("at most", 0.25), unit="MiB"),
)
