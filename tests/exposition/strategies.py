"""Snapshots of every kind, for property tests."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import strategies as st

from exporter.collector.selection import DROP_REASONS
from exporter.core.errors import REASONS, ScrapeError, ServiceError
from exporter.core.jobs import STATUSES, Job, JobDetail
from exporter.core.snapshot import Snapshot
from exporter.exposition import families, gzip_pieces
from exporter.exposition.families import assemble, family_lines
from tests.exposition.oracle import without_line_breaks

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
    "a\rb\vc\fd\x1ce\x1df\x1eg",
    "\x85\u2028\u2029",
    "\u3000\xa0",
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
reasons = st.sampled_from(REASONS)
errors = st.builds(ScrapeError, texts, reason=reasons) | st.builds(
    ServiceError, texts, reason=reasons, status=st.just(403), code=st.none() | texts
)


def with_details(snapshot, details):
    """`snapshot` with a detail for some of its jobs; None: no detail for this job."""
    rows = zip(snapshot.jobs, details, strict=False)
    return replace(snapshot, details={job.id: detail._replace(job=job) for job, detail in rows if detail is not None})


details = st.builds(
    JobDetail,
    job=st.just(FULL_JOB),
    failure_code=st.none() | texts,
    failure_reason=st.none() | texts,
    suspended=st.none() | times,
    suspended_cause=st.none() | texts,
    status_reason=st.none() | texts,
    report_bucket=st.none() | texts,
    report_prefix=st.none() | texts,
)
counts_by_status = st.lists(
    st.tuples(words, counts), max_size=4, unique_by=lambda pair: without_line_breaks(pair[0])
).map(lambda more: dict.fromkeys(STATUSES, 0) | dict(more))
# A failed snapshot can have the jobs of the last good one; the renderer accepts every combination.
snapshots = st.builds(
    Snapshot,
    provider=st.sampled_from(("oss", "cos", "s3")),
    account=texts,
    region=texts,
    pages=st.integers(0, 1000),
    duration=st.floats(0, 1e6),
    jobs=st.lists(jobs, max_size=4, unique_by=lambda job: without_line_breaks(job.id)).map(tuple),
    counts=st.none() | counts_by_status,
    dropped=st.none() | st.fixed_dictionaries(dict.fromkeys(DROP_REASONS, counts)),
    unreadable=st.none() | counts,
    error=st.none() | errors,
    last_success=st.none() | times,
    show_descriptions=st.booleans(),
    credentials_source=texts,
    credentials_expire=st.none() | times,
)
snapshots = st.builds(with_details, snapshots, st.lists(st.none() | details, max_size=4))
scrapes = st.lists(
    snapshots,
    max_size=3,
    unique_by=lambda snapshot: tuple(map(without_line_breaks, (snapshot.provider, snapshot.account, snapshot.region))),
)


def text_of(scrape):
    """The exposition of the snapshots `scrape`."""
    return b"".join(assemble([list(zip(*family_lines(snapshot), strict=True)) for snapshot in scrape]))


@contextlib.contextmanager
def small_batches(jobs=2):
    """Batches of few jobs, and pieces that are deflated from a few lines on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "BATCH_JOBS", jobs)
        patch.setattr(gzip_pieces, "MIN_BYTES", 200)
        yield
