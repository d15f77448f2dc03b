from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.jobs import Job
from exporter.core.snapshot import Snapshot
from exporter.exposition.families import BATCH_JOBS, FAMILIES, family_lines
from tests.exposition.strategies import scrapes, small_batches, text_of


def snapshot_of(count):
    jobs = (
        Job(f"job-{number}", "Active", "CopyObject", "some words", 1, 1760000000, None, number, 1, 1, 60)
        for number in range(count)
    )
    return Snapshot("oss", "prod", "cn-hangzhou", 1, 0.5, jobs=tuple(jobs))


@given(scrapes, st.integers(1, 3))
def test_the_size_of_batches_does_not_change_the_text(scrape, jobs):
    """For every batch size, the text equals that of rendering all jobs in one batch."""
    whole = text_of(scrape)
    with small_batches(jobs):
        assert text_of(scrape) == whole


@pytest.mark.parametrize(
    ("jobs", "batches"), [(0, 1), (1, 1), (BATCH_JOBS, 1), (BATCH_JOBS + 1, 2), (3 * BATCH_JOBS, 3)]
)
def test_batches_are_consecutive_jobs(jobs, batches):
    """Each batch has up to BATCH_JOBS jobs; only the first one has the lines of the target's own families."""
    status = [family.name for family in FAMILIES].index("batchops_job_status")
    lines = list(family_lines(snapshot_of(jobs)))
    sizes = [batch[status].count(b"\n") for batch in lines]
    assert (len(sizes), sum(sizes)) == (batches, jobs)
    assert all(size == BATCH_JOBS for size in sizes[:-1])
    assert [bool(batch[0]) for batch in lines] == [True] + [False] * (batches - 1)


def test_intermediate_memory_is_that_of_one_batch():
    """In addition to the text itself, rendering many jobs needs only a fraction of its memory."""
    snapshot = snapshot_of(20_000)
    tracemalloc.start()
    try:
        lines = list(family_lines(snapshot))
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(len(piece) for batch in lines for piece in batch) > 15_000_000
    assert peak - kept < 0.1 * kept
