"""What is measured, and the bar that each row must reach. A further row is a further entry."""

from __future__ import annotations

from functools import partial
from typing import Final

from bench.contests import memory, parse, render, scrape
from bench.measure import Bar, Row

ROWS: Final = (
    Row("parse", "five pages to jobs", 5000, parse, Bar("at most", 0.6)),
    Row("render-1000", "jobs to text", 1000, render, Bar("at least", 8)),
    Row("render-10000", "jobs to text", 10_000, render, Bar("at least", 8)),
    Row("scrape-1000", "whole scrape, cold", 1000, scrape, Bar("at least", 3.5)),
    Row("scrape-10000", "whole scrape, cold", 10_000, scrape, Bar("at least", 3.5)),
    Row("gzip-10000", "the same, gzip", 10_000, partial(scrape, encoding="gzip"), Bar("at least", 3.5)),
    Row("slow-10000", "the same, 20 ms a page", 10_000, partial(scrape, delay=0.02), Bar("at least", 3)),
    # On a busy machine this one is steadier; waiting is not in it.
    Row("cpu-10000", "the same, CPU time", 10_000, partial(scrape, cpu=True), Bar("at least", 3.5)),
    Row("scrape-100000", "whole scrape, cold", 100_000, scrape, Bar("at least", 3.5)),
    Row("memory-100000", "peak memory", 100_000, memory, Bar("at most", 0.45), unit="MiB"),
)
