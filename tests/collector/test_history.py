from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.collector.history import SUMMARY_SECONDS, History
from exporter.core.errors import TransportError
from exporter.core.jobs import Job, JobDetail
from exporter.core.snapshot import Snapshot

GOOD = Snapshot(
    provider="oss",
    account="prod",
    region="cn-hangzhou",
    pages=1,
    duration=0.5,
    jobs=(Job("a", "Active"),),
    counts={"Active": 1},
    dropped={"max": 0},
    unreadable=2,
    last_success=100.0,
)
FAILED = replace(
    GOOD, jobs=(), counts=None, dropped=None, unreadable=None, error=TransportError("late", reason="timeout")
)


def history(*, min_interval: float = 0.0, serve_stale_for: float = 0.0) -> History:
    return History(min_interval=min_interval, serve_stale_for=serve_stale_for)


@pytest.mark.parametrize("snapshot", [GOOD, FAILED], ids=["good", "failed"])
@pytest.mark.parametrize(("age", "reused"), [(0.0, True), (9.99, True), (10.0, False)])
def test_a_snapshot_is_reused_for_min_interval(snapshot, age, reused):
    """A snapshot younger than `min_interval` is reused, good or failed; an older one is not."""
    kept = history(min_interval=10.0)
    kept.record(snapshot, 50.0)
    assert (kept.reusable(50.0 + age) is snapshot) == reused


def test_nothing_is_kept_by_default():
    """Without intervals no snapshot is reused, no stale jobs are added, and no jobs are held."""
    kept = history()
    kept.record(GOOD, 50.0)
    kept.record(FAILED, 50.0)
    assert kept.reusable(50.0) is None
    assert kept.with_stale_jobs(FAILED, 50.0) is FAILED
    assert kept._good is None
    assert kept._newest is None


@pytest.mark.parametrize(("age", "stale"), [(0.0, True), (59.9, True), (60.0, False)])
def test_stale_jobs_are_served_for_serve_stale_for(age, stale):
    """For `serve_stale_for` after the last good snapshot, a failed one has its jobs and counts, and its own error."""
    kept = history(serve_stale_for=60.0)
    kept.record(GOOD, 50.0)
    kept.record(FAILED, 51.0)
    shown = kept.with_stale_jobs(FAILED, 50.0 + age)
    expected = replace(GOOD, error=FAILED.error) if stale else FAILED
    assert shown == expected


def test_a_stale_snapshot_is_one_object():
    """The same failed snapshot returns the same object each time; a different one returns a different object."""
    kept = history(serve_stale_for=60.0)
    kept.record(GOOD, 50.0)
    shown = kept.with_stale_jobs(FAILED, 51.0)
    assert kept.with_stale_jobs(FAILED, 52.0) is shown
    assert kept.with_stale_jobs(replace(FAILED), 52.0) is not shown


def test_a_good_snapshot_is_shown_unchanged():
    """Stale jobs never replace the jobs of a good snapshot."""
    kept = history(serve_stale_for=60.0)
    kept.record(GOOD, 50.0)
    newer = replace(GOOD, jobs=())
    assert kept.with_stale_jobs(newer, 51.0) is newer


def test_the_last_snapshot_is_kept_without_its_jobs():
    """`last` has everything but the jobs and their details, and the time of the last success outlives a failure."""
    kept = history()
    assert (kept.last, kept.last_success) == (None, None)
    kept.record(GOOD, 50.0)
    assert kept.last == replace(GOOD, jobs=())
    kept.record(FAILED, 51.0)
    assert (kept.last, kept.last_success) == (FAILED, 100.0)


def test_the_last_snapshot_has_what_people_look_for():
    """`last` has the notable jobs, their details and their time left, and no other job; after a failure nothing."""
    jobs = tuple(Job(job_id, "Active", tasks=30, succeeded=10, elapsed_active=5) for job_id in "abc")
    kept = history()
    kept.record(replace(GOOD, jobs=jobs, notable=jobs[:1], details={job.id: JobDetail(job) for job in jobs}), 50.0)
    assert kept.last is not None
    assert (kept.last.jobs, kept.last.notable) == ((), jobs[:1])
    assert (kept.last.details, kept.last.time_left) == ({"a": JobDetail(jobs[0])}, {"a": 10.0})
    kept.record(FAILED, 51.0)
    assert (kept.last.notable, kept.last.details, kept.last.time_left) == ((), {}, {})


def test_a_change_is_reported_once():
    """A state is a change if it differs from the previous one of the same subject, which is None at first."""
    kept = history()
    states = [None, "auth", "auth", "timeout", None, None]
    assert [kept.changed("listing", state) for state in states] == [False, True, False, True, True, False]
    assert kept.changed("DescribeJob", "auth")


def test_failures_are_summarised():
    """The first failure of a reason has a log line, those after it one in SUMMARY_SECONDS, which says how many."""
    history = History(min_interval=0, serve_stale_for=0)
    assert [history.failures_to_log("connect", now) for now in (0, 1, 2, SUMMARY_SECONDS - 1)] == [1, 0, 0, 0]
    assert history.failures_to_log("connect", SUMMARY_SECONDS) == 4
    assert history.failures_to_log("connect", SUMMARY_SECONDS + 1) == 0
    assert history.failures_to_log("auth", SUMMARY_SECONDS + 2) == 1
    assert history.changed("listing", None)
    assert history.failures_to_log("auth", SUMMARY_SECONDS + 3) == 1
