"""What is measured, and the bar that each row must reach, from cheap to dear. A further row is a further entry."""

from __future__ import annotations

from functools import partial
from typing import Final

from bench.computing import parse, render
from bench.crowds import crowd, healthy, requests
from bench.measure import Bar, Row
from bench.memory import memory
from bench.scraping import asking_early, growth, scrape, side_by_side

_UNCHANGED: Final = partial(scrape, change="unchanged")
_CHURN: Final = partial(scrape, change="churn")
_GZIP: Final = partial(scrape, encoding="gzip")
_UNCHANGED_GZIP: Final = partial(scrape, change="unchanged", encoding="gzip")
_TARGETS_10: Final = partial(scrape, targets=10)
_TARGETS_100: Final = partial(side_by_side, targets=100, delay=0.05)
_EARLY: Final = partial(asking_early, delay=0.02)
_MEMORY_GZIP: Final = partial(memory, encoding="gzip")
_MEMORY_CHURN: Final = partial(memory, change="churn", scrapes=4)

ROWS: Final = (
    # What is computed, alone.
    Row("parse-1000", "pages to jobs", 1000, parse, Bar("at most", 0.6)),
    Row("parse-10000", "pages to jobs", 10_000, parse, Bar("at most", 0.6)),
    Row("render-1000", "jobs to text", 1000, render, Bar("at least", 8), against="generate_latest"),
    Row("render-10000", "jobs to text", 10_000, render, Bar("at least", 8), against="generate_latest"),
    # Whole scrapes.
    Row("scrape-1000", "cold", 1000, scrape, Bar("at least", 3.5)),
    Row("scrape-10000", "cold", 10_000, scrape, Bar("at least", 3.5)),
    # On a busy machine this one is steadier; waiting is not in it.
    Row("cpu-10000", "cold, CPU time", 10_000, partial(scrape, cpu=True), Bar("at least", 3.5)),
    Row("gzip-10000", "cold, gzip", 10_000, _GZIP, Bar("at least", 3.5)),
    Row("unchanged-10000", "unchanged", 10_000, _UNCHANGED, Bar("at least", 10)),
    Row("unchanged-gzip-10000", "unchanged, gzip", 10_000, _UNCHANGED_GZIP, Bar("at least", 10)),
    Row("churn-10000", "3 new jobs, running ones changed", 10_000, _CHURN, Bar("at least", 3.5)),
    Row("slow20-10000", "cold, 20 ms a page", 10_000, partial(scrape, delay=0.02), Bar("at least", 3)),
    Row("slow50-10000", "cold, 50 ms a page", 10_000, partial(scrape, delay=0.05), Bar("at least", 3)),
    Row("early-10000", "20 ms a page, token ahead", 10_000, _EARLY, Bar("at least", 1.3), against="token behind"),
    Row("targets10-10000", "10 targets, cold", 10_000, _TARGETS_10, Bar("at least", 3.5)),
    # Requests, and many scrapers at once.
    Row("requests-10000", "one scrape", 10_000, requests, Bar("at most", 1), unit="requests"),
    Row(
        "crowd-1000", "50 scrapes at once", 1000, partial(crowd, delay=0.5), Bar("at most", 1), "requests", "one scrape"
    ),
    Row("healthy-10000", "/-/healthy under 50, 99th perc.", 10_000, healthy, Bar("at most", 1), against="150 ms"),
    # A hundred thousand jobs.
    Row("parse-100000", "pages to jobs", 100_000, parse, Bar("at most", 0.6)),
    Row("render-100000", "jobs to text", 100_000, render, Bar("at least", 8), against="generate_latest"),
    Row("growth-100000", "cold", 100_000, growth, Bar("at most", 11), against="a tenth of it"),
    Row("targets100-100000", "100 targets, 50 ms, less 50 ms", 100_000, _TARGETS_100, Bar("at most", 1.5), "ms", "CPU"),
    Row("scrape-100000", "cold", 100_000, scrape, Bar("at least", 3.5)),
    Row("unchanged-100000", "unchanged", 100_000, _UNCHANGED, Bar("at least", 10)),
    Row("churn-100000", "3 new jobs, running ones changed", 100_000, _CHURN, Bar("at least", 3.5)),
    Row("memory-100000", "peak memory, cold", 100_000, memory, Bar("at most", 0.45), unit="MiB"),
    Row("memory-gzip-100000", "peak memory, cold, gzip", 100_000, _MEMORY_GZIP, Bar("at most", 0.45), unit="MiB"),
    Row("memory-churn-100000", "peak memory, churn", 100_000, _MEMORY_CHURN, Bar("at most", 0.45), unit="MiB"),
)
