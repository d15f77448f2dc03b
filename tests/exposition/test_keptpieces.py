from __future__ import annotations

import gzip
import sys
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.jobs import Job, JobDetail
from exporter.core.snapshot import Snapshot
from exporter.exposition.families import MOST_SLICE, assemble, blocks
from exporter.exposition.gzip_pieces import Packed, join
from exporter.exposition.keptpieces import JOB_BYTES, KEPT_BYTES, KeptPieces
from tests.exposition import strategies

BASE = Snapshot(provider="oss", account="prod", region="cn-hangzhou", pages=1, duration=0.5)


def numbered(count, first=0):
    return tuple(
        Job(f"job-{number}", "Active", "CopyObject", "some words", 1, 1760000000, None, number, 1, 1, 60)
        for number in range(first, first + count)
    )


JOBS = numbered(200)


def copy(job):
    """An equal job that is another object."""
    return Job(*job)


def unpacked(rendered):
    """The text of a target."""
    return gzip.decompress(b"".join(join(assemble([rendered]))))


def text(listing):
    return b"".join(assemble([blocks(listing)]))


def packed(rendered):
    """The packed pieces, as objects."""
    return {id(piece): piece for piece in chain(*rendered) if isinstance(piece, Packed)}


def held(kept):
    """Bytes that are kept, counted anew."""
    return sum(
        sum(len(piece.data if isinstance(piece, Packed) else piece) for piece in one.pieces)
        + sum(JOB_BYTES + sys.getsizeof(job.description) for job in one.jobs)
        for slices in kept._targets.values()
        for one in slices.values()
    )


known = [strategies.FULL_JOB._replace(id=f"job-{number}") for number in range(12)]
runs = st.builds(lambda first, end: known[first:end], st.integers(0, 3), st.integers(0, 12))
mixtures = st.lists(
    st.sampled_from(known)  # the same object again
    | st.sampled_from(known).map(copy)
    | st.builds(lambda job, changed: changed._replace(id=job.id), st.sampled_from(known), strategies.jobs)
    | strategies.jobs,
    max_size=12,
    unique_by=lambda job: job.id,
)
listings = st.builds(
    lambda jobs, region, describe, details: strategies.explained(
        replace(BASE, jobs=tuple(jobs), region=region, show_descriptions=describe), details
    ),
    runs | mixtures,
    st.sampled_from(("one", "two")),
    st.booleans(),
    st.lists(st.none() | strategies.details, max_size=12),
)


@given(st.lists(listings, max_size=6), st.sampled_from((0, 2_000, 10_000, KEPT_BYTES)))
def test_what_is_kept_does_not_show(sequence, budget):
    """Whatever was rendered before, a listing's packed lines are those of its rendering from nothing.

    And what is kept never takes more than the budget.
    """
    kept = KeptPieces(budget)
    with strategies.small_slices():
        for listing in sequence:
            assert unpacked(kept.blocks(listing)) == text(listing)
            assert kept._free == budget - held(kept) >= 0


def test_unchanged_jobs_keep_their_pieces():
    """Of a listing with the same jobs nothing is packed again, also where details are others."""
    kept, jobs = KeptPieces(), numbered(3 * MOST_SLICE)
    first = packed(kept.blocks(replace(BASE, jobs=jobs)))
    details = {jobs[0].id: JobDetail(jobs[0], "AccessDenied", "no role")}
    second = packed(kept.blocks(replace(BASE, duration=2.0, jobs=(*jobs[:1], *jobs[1:]), details=details)))
    assert first
    assert first.keys() == second.keys()


def test_jobs_in_front_leave_the_other_pieces():
    """A few jobs more, a few less and one that changed cost the slices around them, not the others."""
    kept, jobs = KeptPieces(), numbered(5 * MOST_SLICE)
    first = packed(kept.blocks(replace(BASE, jobs=jobs)))
    changed = (*numbered(3, first=100_000), jobs[0]._replace(succeeded=7), *jobs[1:-3])
    second = packed(kept.blocks(replace(BASE, jobs=changed)))
    assert len(first.keys() & second.keys()) > 0.4 * len(first)


@pytest.mark.parametrize("same", [1.0, True])
def test_equal_is_not_enough(same):
    """A job that is equal and reads otherwise (1 and 1.0) is rendered anew."""
    kept, jobs = KeptPieces(), numbered(200)
    kept.blocks(replace(BASE, jobs=jobs))
    other = replace(BASE, jobs=(jobs[0]._replace(priority=same), *jobs[1:]))
    assert other.jobs == jobs
    assert unpacked(kept.blocks(other)) == text(other) != text(replace(BASE, jobs=jobs))


@pytest.mark.parametrize(
    "change",
    [
        {"jobs": JOBS[:-1]},
        {"jobs": (*JOBS, *numbered(1, first=1000))},
        {"jobs": (JOBS[0], *reversed(JOBS[1:]))},
        {"describe": False},
        {"provider": "s3"},
        {"account": "other"},
        {"region": "other"},
    ],
    ids=["fewer", "more", "reordered", "describe", "provider", "account", "region"],
)
def test_lines_are_taken_over_for_what_they_were_made_of(change):
    """Of the same objects, fewer, more or others in between, or under other labels, are rendered anew."""
    kept, before = KeptPieces(), replace(BASE, jobs=JOBS)
    kept.blocks(before)
    after = replace(before, **change)
    assert unpacked(kept.blocks(after)) == text(after) != text(before)


def test_who_comes_first_keeps_its_pieces():
    """What does not fit is not kept and pushes nothing out; when what was there shrinks, there is room."""
    large, small = replace(BASE, jobs=numbered(1000)), replace(BASE, region="other", jobs=numbered(200))
    budget = held_by(large) + held_by(small) - 1
    kept = KeptPieces(budget)
    first = packed(kept.blocks(large))
    second = packed(kept.blocks(small))
    assert packed(kept.blocks(large)).keys() == first.keys()
    assert not packed(kept.blocks(small)).keys() & second.keys()
    kept.blocks(replace(large, jobs=()))
    second = packed(kept.blocks(small))
    assert packed(kept.blocks(small)).keys() == second.keys()


def test_long_descriptions_count():
    """What is held of a job counts with its description, however well that is compressed."""
    kept = KeptPieces(1_000_000)
    listing = replace(BASE, jobs=tuple(job._replace(description="x" * 10_000) for job in JOBS))
    first = packed(kept.blocks(listing))
    assert not packed(kept.blocks(listing)).keys() & first.keys()


def held_by(listing):
    kept = KeptPieces()
    kept.blocks(listing)
    return held(kept)
