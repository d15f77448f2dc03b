"""Listings of every kind, for property tests."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import strategies as st

from exporter.collector.selection import DROP_REASONS
from exporter.core.errors import REASONS, ScrapeError
from exporter.core.jobs import STATUSES, Job, JobDetail
from exporter.core.snapshot import Snapshot
from exporter.exposition import families, gzip_pieces

AWKWARD = (
    "",
    " ",
    '"',
    "\\",
    "\n",
    "\\n",
    '\\"',
    "a\\",
    '",job_id="b"} 1',
    "{}",
    "\r\n",
    "\x85\u2028",
    "\0",
    "# EOF",
    "批量 🚚",
)
FULL_JOB = Job("job-1", "Active", "PutObjectTagging", "archive", 10, 1760000000, 1760000100, 1000, 990, 10, 60)

texts = st.sampled_from(AWKWARD) | st.text(max_size=8)
words = st.sampled_from(STATUSES) | texts.filter(bool)
counts = st.integers(0, 2**63 - 1)
times = st.integers(0, 2**63 - 1) | st.floats(0, 1e12)
jobs = st.builds(
    Job,
    id=texts.filter(bool),
    status=words,
    operation=st.none() | texts,
    description=st.none() | texts,
    priority=st.none() | counts,
    created=st.none() | times,
    terminated=st.none() | times,
    tasks=st.none() | counts,
    succeeded=st.none() | counts,
    failed=st.none() | counts,
    elapsed_active=st.none() | counts,
)
errors = st.builds(ScrapeError, texts, reason=st.sampled_from(REASONS))


def explained(listing, details):
    """`listing` with a detail for some of its jobs; None is a job that nobody explained."""
    told = zip(listing.jobs, details, strict=False)
    return replace(listing, details={job.id: detail._replace(job=job) for job, detail in told if detail is not None})


details = st.builds(
    JobDetail,
    job=st.just(FULL_JOB),
    failure_code=st.none() | texts,
    failure_reason=st.none() | texts,
    suspended=st.none() | times,
)
# A failed listing may hold the jobs of the last good one; what goes with what is not the renderer's to judge.
listings = st.builds(
    Snapshot,
    provider=st.sampled_from(("oss", "cos", "s3")),
    account=texts,
    region=texts,
    pages=st.integers(0, 1000),
    duration=st.floats(0, 1e6),
    jobs=st.lists(jobs, max_size=4, unique_by=lambda job: job.id).map(tuple),
    counts=st.none() | st.dictionaries(words, counts, max_size=4).map(lambda more: dict.fromkeys(STATUSES, 0) | more),
    dropped=st.none() | st.fixed_dictionaries(dict.fromkeys(DROP_REASONS, counts)),
    error=st.none() | errors,
    last_success=st.none() | times,
    describe=st.booleans(),
    credentials_source=texts,
    credentials_expire=st.none() | times,
)
listings = st.builds(explained, listings, st.lists(st.none() | details, max_size=4))
scrapes = st.lists(listings, max_size=3, unique_by=lambda one: (one.provider, one.account, one.region))


@contextlib.contextmanager
def small_slices(least=1, most=4, cuts=2):
    """Slices of few jobs, and pieces that are packed from a few lines on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "LEAST_SLICE", least)
        patch.setattr(families, "MOST_SLICE", most)
        patch.setattr(families, "CUTS", cuts)
        patch.setattr(gzip_pieces, "LEAST_BYTES", 200)
        yield
