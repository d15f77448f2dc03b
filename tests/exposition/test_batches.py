from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.jobs import Job
from exporter.core.snapshot import Snapshot
from exporter.exposition.families import LEAST_SLICE, MOST_SLICE, _cuts, assemble, blocks
from tests.exposition.strategies import scrapes, small_slices

BASE = Snapshot(provider="oss", account="prod", region="cn-hangzhou", pages=1, duration=0.5)


def numbered(first, end):
    return tuple(
        Job(f"job-{number}", "Active", "CopyObject", "some words", 1, 1760000000, None, number, 1, 1, 60)
        for number in range(first, end)
    )


def slices(jobs):
    """The jobs of each slice."""
    return [jobs[start:end] for start, end in pairwise(_cuts(jobs))]


@given(scrapes, st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))
def test_slices_do_not_show(scrape, least, more, cuts):
    """Whatever the slices, the text is that of rendering all jobs in one go."""
    whole = b"".join(assemble([*map(blocks, scrape)]))
    with small_slices(least, least + more, cuts):
        assert b"".join(assemble([*map(blocks, scrape)])) == whole


@pytest.mark.parametrize("count", [0, 1, LEAST_SLICE, MOST_SLICE, MOST_SLICE + 1, 20_000])
def test_slices_are_all_jobs_in_their_order(count):
    """The slices one after the other are the jobs; none is empty or too large, and only the last one may be small."""
    jobs = numbered(0, count)
    parts = slices(jobs)
    assert tuple(job for part in parts for job in part) == jobs
    assert all(0 < len(part) <= MOST_SLICE for part in parts)
    assert all(len(part) >= LEAST_SLICE for part in parts[:-1])


def test_slices_stay_where_jobs_come_and_go():
    """Jobs that come in front, or go at the end, leave the slices between as they were, but for a few."""
    jobs = numbered(0, 50_000)
    before = set(map(tuple, slices(jobs)))
    after = slices((*numbered(100_000, 100_003), *jobs[:-3]))
    assert len([part for part in after if part not in before]) < len(after) / 4


def test_what_rendering_takes_is_for_one_slice():
    """Beside the text that it makes, rendering many jobs takes no more memory than a fraction of it."""
    listing = Snapshot("oss", "prod", "cn-hangzhou", 1, 0.5, jobs=numbered(0, 20_000))
    tracemalloc.start()
    try:
        made = blocks(listing)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(len(piece) for block in made for piece in block) > 15_000_000
    assert peak - kept < 0.1 * kept
