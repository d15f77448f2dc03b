from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.jobs import STATUSES, TERMINAL_STATUSES, Job
from exporter.simulator.jobs.plan import MAX_PRIORITY, OUTCOMES, Detail, draw
from exporter.simulator.jobs.world import World, make_jobs

LEGAL = {
    "New": {"Preparing"},
    "Preparing": {"Ready", "Failing"},
    "Ready": {"Suspended", "Active"},
    "Suspended": {"Active"},
    "Active": {"Pausing", "Completing", "Cancelling", "Failing"},
    "Pausing": {"Paused"},
    "Paused": {"Active"},
    "Completing": {"Complete"},
    "Cancelling": {"Cancelled"},
    "Failing": {"Failed"},
}
TRANSITIONS = {(before, after) for before, followers in LEGAL.items() for after in followers}
NOW = 1_795_000_000.0

seeds = st.integers(0, 2**32)
moments = st.integers(1_600_000_000, 2_100_000_000)


def transitions(statuses):
    return {(before, after) for before, after in itertools.pairwise(statuses) if before != after}


@given(seeds, st.integers(0, 10**9))
@settings(max_examples=60)
def test_a_life_is_legal_and_never_goes_back(seed, index):
    """Every job makes only valid transitions, and its progress grows, adds up, and changes only in Active."""
    plan = draw(seed, index, created=5_000_000)
    life = [plan.at(5_000_000 + step * 250) for step in range(1600)]
    assert transitions([job.status for job in life]) <= TRANSITIONS
    assert life[0].status == "New"
    for job in life:
        assert (job.terminated is not None) == (job.status in TERMINAL_STATUSES)
        assert job.tasks is None or job.status not in ("New", "Preparing")
        assert (job.succeeded is None) == (job.failed is None) == (job.elapsed_active is None)
        if job.tasks is not None and job.succeeded is not None and job.failed is not None:
            assert job.succeeded + job.failed <= job.tasks
        if job.terminated is not None and job.created is not None and job.elapsed_active is not None:
            assert 0 <= job.elapsed_active <= job.terminated - job.created + 1
    for before, after in itertools.pairwise(life):
        for name in ("succeeded", "failed", "elapsed_active"):
            old, new = getattr(before, name), getattr(after, name)
            assert old is None or old <= new
            assert old == new or "Active" in (before.status, after.status)
        if before.status in TERMINAL_STATUSES:
            assert before == after


@given(seeds, moments, st.integers(0, 10_000))
@settings(max_examples=30)
def test_a_stream_is_a_function_of_seed_and_time(seed, now, detour):
    """Two streams with one seed list the same jobs at the same time, whatever was requested before."""
    world, other = World.stream(seed, keep=30), World.stream(seed, keep=30)
    other.jobs(now + detour)
    other.jobs(now - detour)
    assert world.jobs(now) == other.jobs(now)
    assert world.jobs(now) != World.stream(seed + 1, keep=30).jobs(now)


@given(seeds, moments)
@settings(max_examples=5, deadline=None)
def test_five_minutes_show_every_transition(seed, start):
    """Five minutes of the demo's stream show every status and every transition of a job."""
    world = World.stream(seed)
    seen: dict[str, list[str]] = {}
    for second in range(0, 301, 1):
        for job in world.jobs(start + second):
            seen.setdefault(job.id, []).append(job.status)
    assert set(itertools.chain(*seen.values())) == set(STATUSES)
    assert set().union(*map(transitions, seen.values())) == TRANSITIONS


@given(seeds, moments)
@settings(max_examples=20)
def test_a_history_stands_at_once(seed, now):
    """At the first request a stream lists jobs of all outcomes, and all except the running ones are done."""
    jobs = World.stream(seed).jobs(now)
    old = [job for job in jobs if job.created is not None and job.created < now - 250]
    assert {job.status for job in old} == {"Complete", "Failed", "Cancelled", "Suspended", "Active", "Preparing"}
    assert any(job.status == "Complete" and job.failed for job in jobs)
    assert any(job.status == "Failed" and job.elapsed_active == 0 for job in jobs)


def test_a_stream_lists_the_newest_first():
    """A stream lists `keep` jobs, newest first, one every `every` seconds, and a new one replaces the oldest."""
    world = World.stream(7, every=2.5, keep=40)
    jobs = world.jobs(NOW)
    created = [job.created or 0 for job in jobs]
    assert len(jobs) == 40
    assert created == sorted(created, reverse=True)
    assert NOW - 2.5 - 1 <= created[0] <= NOW
    assert created[0] - created[-1] == pytest.approx(39 * 2.5, abs=1)
    later = world.jobs(NOW + 2.5)
    assert [job.id for job in later[1:]] == [job.id for job in jobs[:-1]]


@given(seeds, moments, st.integers(0, 1000), st.integers(0, 3000))
@settings(max_examples=20, deadline=None)
def test_jobs_behind_the_living_are_a_function_of_seed_and_time(seed, now, step, detour):
    """With `count`, too, two streams list the same jobs at the same time, whatever was requested before."""
    world, other = (World.stream(seed, every=8, keep=30, count=150) for _ in range(2))
    for moment in (now - step, now + detour, now - detour, now):
        other.jobs(moment)
    assert world.jobs(now) == other.jobs(now)
    assert world.jobs(now + step) == other.jobs(now + step)


@given(seeds, moments)
@settings(max_examples=10, deadline=None)
def test_jobs_come_to_their_end_before_they_leave_the_living(seed, start):
    """With `count`, each job makes only valid transitions, is cancelled if it would not end, and stays so."""
    world = World.stream(seed, every=8, keep=30, count=60)
    seen: dict[str, list[Job]] = {}
    for second in range(0, 400, 2):
        jobs = world.jobs(start + second)
        assert len({job.id for job in jobs}) == 60
        assert all(job.status in TERMINAL_STATUSES for job in jobs[30:])
        for job in jobs:
            seen.setdefault(job.id, []).append(job)
    lives = [transitions([job.status for job in life]) for life in seen.values()]
    assert set().union(*lives) <= TRANSITIONS | {("Preparing", "Cancelling"), ("Suspended", "Cancelling")}
    assert ("Suspended", "Cancelling") in set().union(*lives)
    for life in seen.values():
        ends = [job for job in life if job.status in TERMINAL_STATUSES]
        assert len(set(ends)) <= 1
        assert life[len(life) - len(ends) :] == ends


def test_jobs_that_are_over_can_be_described():
    """DescribeJob knows a done job: a failed one has its reason, a cancelled one who cancelled it."""
    world = World.stream(3, every=8, keep=30, count=150)
    over = world.jobs(NOW)[30:]
    for job in over:
        detail = world.detail(job.id, NOW)
        assert bool(detail.failure_code) == (job.status == "Failed")
        assert bool(detail.status_update_reason) == (job.status != "Complete")
    assert {job.status for job in over} == TERMINAL_STATUSES
    assert world.detail("nobody", NOW) == Detail()


@pytest.mark.parametrize("settings", [{"every": 1, "keep": 239, "count": 500}, {"every": 10, "keep": 50, "count": 49}])
def test_too_short_a_time_to_live_is_refused(settings):
    """A stream raises ValueError if its jobs cannot end in time, or if count is less than keep."""
    with pytest.raises(ValueError, match="240 s"):
        World.stream(**settings)


def test_made_jobs_hold_what_is_hard_to_show():
    """A thousand made jobs include counts over 32 bits, extreme priorities, awkward and missing texts."""
    jobs = make_jobs(1000, now=NOW)
    assert any((job.succeeded or 0) > 2**32 for job in jobs)
    assert any(job.tasks == 10_000_000_000 for job in jobs)
    assert {0, MAX_PRIORITY} <= {job.priority for job in jobs}
    assert len({job.operation for job in jobs}) == 5
    text = "".join(job.description or "" for job in jobs)
    assert set('"\\\n\r\t<&>é🚚') - {"é"} <= set(text)
    assert any(job.description == "" for job in jobs)
    assert any(job.description is None for job in jobs)
    assert any(job.status == "Complete" and job.tasks is None and job.succeeded is None for job in jobs)


def test_many_jobs_can_be_made():
    """Made jobs have the requested number, are reproducible, have unique ids, and none is from the future."""
    jobs = make_jobs(5000, "some seed", now=NOW)
    assert len(jobs) == len({job.id for job in jobs}) == 5000
    assert jobs == make_jobs(5000, "some seed", now=NOW)
    assert all(len(job.id) == 44 and job.id.rstrip("=").isalnum() for job in jobs)
    assert all(job.created is not None and job.created <= NOW for job in jobs)
    assert all(job.terminated is None or job.terminated <= NOW for job in jobs)
    assert make_jobs(0, now=NOW) == []


def test_a_fixed_world_is_edited_like_a_list():
    """A fixed world lists the jobs in its list, in order, at any time."""
    world = World.fixed([Job("a", "New")])
    world.listed.insert(0, Job("b", "Active"))
    world.details["b"] = Detail(failure_code="Why")
    assert [job.id for job in world.jobs(0)] == ["b", "a"]
    assert world.detail("b", 0).failure_code == "Why"
    assert world.detail("a", 0) == Detail()


@given(seeds)
@settings(max_examples=10)
def test_failed_jobs_say_why_and_suspended_ones_since_when(seed):
    """DescribeJob has a code and a reason for each failed job and no other, and a time for each suspended one."""
    world = World.stream(seed)
    for job in world.jobs(NOW):
        detail = world.detail(job.id, NOW)
        assert bool(detail.failure_code and detail.failure_reason) == (job.status in ("Failing", "Failed"))
        assert (detail.suspended is not None) == (job.status == "Suspended")
        if detail.suspended is not None and job.created is not None:
            assert detail.confirmation_required
            assert job.created < detail.suspended <= NOW


def test_each_run_of_jobs_has_all_outcomes():
    """In each aligned run of OUTCOMES' length, each outcome appears as often as in OUTCOMES."""
    plans = [draw(3, index, 0) for index in range(len(OUTCOMES) * 7, len(OUTCOMES) * 8)]
    last = sorted(plan.phases[-1][0] for plan in plans)
    assert last == sorted(["Complete"] * 8 + ["Failed"] * 3 + ["Cancelled", "Suspended", "Active", "Preparing"])
