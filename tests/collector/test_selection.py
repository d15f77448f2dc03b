from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collector.selection import (
    DROP_REASONS,
    FAILED_LATELY_SECONDS,
    MAX_FAILED,
    MAX_STATUSES,
    MAX_TEXT_CHARACTERS,
    MAX_UNFINISHED,
    Selection,
    notable,
    select,
)
from exporter.core.jobs import STATUSES, TERMINAL_STATUSES, Job

NOW = 1_000_000.0

examples = settings(max_examples=100, deadline=None)
statuses = st.sampled_from([*STATUSES, "Hibernating"])
times = st.none() | st.integers(0, 1_000_000) | st.integers(0, 2)
listings = st.lists(st.tuples(statuses, times, times), max_size=8).map(
    lambda rows: [
        Job(str(number), status, created=created, terminated=terminated)
        for number, (status, created, terminated) in enumerate(rows)
    ]
)
crowds = st.tuples(st.integers(0, 300), st.integers(1, 40), st.randoms(use_true_random=False)).map(
    lambda crowd: [
        Job(str(number), crowd[2].choice(STATUSES), created=crowd[2].choice((None, *range(crowd[1]))))
        for number in range(crowd[0])
    ]
)
"""Up to 300 jobs, many of them created at the same time."""
policies = st.fixed_dictionaries(
    {
        "statuses": st.frozensets(st.sampled_from(["Active", "Complete", "Failed", "Hibernating", "New"])),
        "max_age": st.sampled_from([0.0, 1.0, 500_000.0, 2_000_000.0]),
        "maximum": st.integers(0, 8),
    }
)
ANY: dict[str, Any] = {"statuses": frozenset(), "max_age": 0.0, "maximum": 10_000, "now": NOW}
"""A policy that drops nothing."""


@examples
@given(listings, policies)
def test_each_job_is_kept_or_dropped_for_one_reason(jobs, policy):
    """Kept and dropped jobs add up to those listed, and every reason has a number, including 0."""
    selection = select(jobs, **policy, now=NOW)
    assert len(selection.jobs) + sum(selection.dropped.values()) == len(jobs)
    assert tuple(selection.dropped) == DROP_REASONS
    assert min(selection.dropped.values()) >= 0


@examples
@given(listings, policies)
def test_counts_are_of_all_jobs(jobs, policy):
    """Jobs per status are counted before any filter: each documented status, including 0, then unknown ones."""
    counts = select(jobs, **policy, now=NOW).counts
    assert tuple(counts)[: len(STATUSES)] == STATUSES
    assert {status: number for status, number in counts.items() if number} == Counter(job.status for job in jobs)
    assert type(counts) is dict


@examples
@given(listings, policies)
def test_the_order_of_the_listing_is_kept(jobs, policy):
    """The kept jobs are unchanged and in the order in which they were listed."""
    kept = select(jobs, **policy, now=NOW).jobs
    assert list(kept) == [job for job in jobs if job in kept]


@examples
@given(listings | crowds, policies, st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order(jobs, policy, random):
    """Jobs listed in a different order give the same selection, so no series comes and goes."""
    shuffled = list(jobs)
    random.shuffle(shuffled)
    original, reordered = select(jobs, **policy, now=NOW), select(shuffled, **policy, now=NOW)
    assert set(original.jobs) == set(reordered.jobs)
    assert (original.counts, original.dropped) == (reordered.counts, reordered.dropped)


@examples
@given(listings, policies)
def test_selecting_twice_changes_nothing(jobs, policy):
    """Selecting from a selection changes nothing."""
    kept = select(jobs, **policy, now=NOW).jobs
    again = select(kept, **policy, now=NOW)
    assert again.jobs == kept
    assert set(again.dropped.values()) == {0}


@examples
@given(listings, policies)
def test_filters_leave_only_what_they_allow(jobs, policy):
    """A job is kept exactly if its status is allowed and it did not end too long ago, up to `maximum` jobs."""
    selection = select(jobs, **policy, now=NOW)

    def allowed(job: Job) -> bool:
        ended = job.created if job.terminated is None else job.terminated
        old = policy["max_age"] and job.status in TERMINAL_STATUSES and ended is not None
        recent = not (old and ended < NOW - policy["max_age"])
        return recent and (not policy["statuses"] or job.status in policy["statuses"])

    fit = [job for job in jobs if allowed(job)]
    assert set(selection.jobs) <= set(fit)
    assert len(selection.jobs) == min(len(fit), policy["maximum"])
    assert selection.dropped["max"] == max(0, len(fit) - policy["maximum"])


def first(jobs, maximum):
    """The documented rule: unfinished first, then newest, then by id; the order of the listing is kept."""

    def rank(job: Job) -> tuple[bool, float, str]:
        return job.status in TERMINAL_STATUSES, -(job.created or 0), job.id

    stay = {job.id for job in sorted(jobs, key=rank)[:maximum]}
    return tuple(job for job in jobs if job.id in stay)


@examples
@given(listings | crowds, st.integers(0, 300))
def test_unfinished_jobs_come_first_then_the_newest(jobs, maximum):
    """Of too many jobs the highest-ranked are kept; a job without a creation time ranks last."""
    assert select(jobs, **ANY | {"maximum": maximum}).jobs == first(jobs, maximum)


@examples
@given(crowds, st.integers(0, 100), st.lists(st.sampled_from(STATUSES), max_size=20))
def test_newer_jobs_bring_no_old_one_back(jobs, maximum, newer):
    """If only jobs newer than all others are added, no dropped job comes back."""
    before = set(select(jobs, **ANY | {"maximum": maximum}).jobs)
    added = [Job(f"new {number}", status, created=1000 + number) for number, status in enumerate(newer)]
    after = set(select([*added, *jobs], **ANY | {"maximum": maximum}).jobs)
    assert after <= before | set(added)


@examples
@given(crowds, st.integers(0, 100), st.integers(0, 20))
def test_only_the_end_of_an_older_job_makes_room(jobs, maximum, ending):
    """If jobs end, as many come back as leave; if all unfinished jobs fit, only ended ones leave, for newer ones."""
    unfinished = [job.id for job in jobs if job.status not in TERMINAL_STATUSES][:ending]
    later = [job._replace(status="Complete") if job.id in unfinished else job for job in jobs]
    before = {job.id: job for job in select(jobs, **ANY | {"maximum": maximum}).jobs}
    after = {job.id: job for job in select(later, **ANY | {"maximum": maximum}).jobs}
    left = [before[job_id].created or 0 for job_id in before.keys() - after.keys()]
    back = [after[job_id].created or 0 for job_id in after.keys() - before.keys()]
    assert len(back) == len(left)
    if maximum >= sum(job.status not in TERMINAL_STATUSES for job in jobs):
        assert max(left, default=0) <= min(back, default=1000)
        assert before.keys() - after.keys() <= set(unfinished)


@pytest.mark.parametrize(
    ("job", "kept"),
    [
        (Job("a", "Complete", created=1, terminated=900), True),
        (Job("a", "Complete", created=1, terminated=899), False),
        (Job("a", "Failed", created=1, terminated=899), False),
        (Job("a", "Cancelled", created=1, terminated=899), False),
        (Job("a", "Complete", created=899), False),
        (Job("a", "Complete", created=900), True),
        (Job("a", "Complete"), True),
        (Job("a", "Active", created=1), True),
        (Job("a", "Failing", created=1, terminated=1), True),
        (Job("a", "Hibernating", created=1, terminated=1), True),
    ],
)
def test_only_finished_jobs_grow_old(job, kept):
    """Only a finished job is too old, by its end time or, if that is missing, by its creation time."""
    selection = select([job], **ANY | {"max_age": 100.0, "now": 1000.0})
    assert selection == Selection(
        jobs=(job,) if kept else (),
        counts=dict.fromkeys(STATUSES, 0) | {job.status: 1},
        dropped={"max_age": int(not kept), "statuses": 0, "max": 0},
        notable=notable([job] if kept else [], 1000.0),
    )


def test_a_job_is_dropped_for_the_first_reason_that_holds():
    """A job that is too old and of another status counts as too old, and does not count towards `maximum`."""
    jobs = [Job("old", "Failed", created=1), Job("new", "New", created=2), Job("a", "Active"), Job("b", "Active")]
    selection = select(jobs, statuses={"Active"}, max_age=10.0, maximum=1, now=1000.0)
    assert selection.dropped == {"max_age": 1, "statuses": 1, "max": 1}
    assert selection.jobs == (jobs[2],)


def test_no_policy_keeps_all():
    """Without an effective filter or limit all jobs are kept; without jobs, all counts are 0."""
    jobs = [Job(str(number), "Complete", terminated=1) for number in range(100)]
    assert select(jobs, **ANY).jobs == tuple(jobs)
    assert select([], **ANY) == Selection((), dict.fromkeys(STATUSES, 0), dict.fromkeys(DROP_REASONS, 0), ())


@examples
@given(crowds)
def test_few_jobs_are_notable(jobs):
    """People see unfinished jobs and jobs that failed lately, each at most once; their number is bounded."""
    chosen = notable(jobs, NOW)
    assert set(chosen) <= set(jobs)
    assert len(set(chosen)) == len(chosen) <= MAX_UNFINISHED + MAX_FAILED
    assert not [job for job in chosen if job.status in ("Complete", "Cancelled")]
    unfinished = sum(job.status not in TERMINAL_STATUSES for job in jobs)
    assert sum(job.status not in TERMINAL_STATUSES for job in chosen) == min(unfinished, MAX_UNFINISHED)


def test_what_waits_for_a_person_is_notable_first():
    """Of too many unfinished jobs the Suspended ones stay, then Failing and Active ones, each from the newest on."""
    crowd = [Job(f"{status} {n}", status, created=n) for status in ("New", "Active", "Suspended") for n in range(12)]
    chosen = [job.id for job in notable([*crowd, Job("f", "Failing"), Job("h", "Hibernating", created=99)], NOW)]
    assert chosen[:13] == [*(f"Suspended {n}" for n in range(11, -1, -1)), "f"]
    assert chosen[13:] == [f"Active {n}" for n in range(11, 4, -1)]


def test_old_failures_are_not_notable():
    """A job that failed more than a day ago is not shown, the newest failures are first, and only so many are kept."""
    old = Job("old", "Failed", terminated=NOW - FAILED_LATELY_SECONDS - 1)
    new = [Job(f"{n}", "Failed", terminated=NOW - FAILED_LATELY_SECONDS + n) for n in range(MAX_FAILED + 5)]
    assert [job.id for job in notable([old, *new], NOW)] == [f"{n}" for n in range(MAX_FAILED + 4, 4, -1)]
    assert notable([Job("timeless", "Failed")], NOW) == (Job("timeless", "Failed"),)


def test_long_descriptions_are_cut_for_people():
    """Of a description only the first characters are kept between scrapes, so that memory is bounded."""
    (job,) = notable([Job("a", "Active", description="x" * 1_000_000)], NOW)
    assert job.description == "x" * (MAX_TEXT_CHARACTERS - 1) + "…"
    fits = Job("a", "Active", description="x" * MAX_TEXT_CHARACTERS)
    assert notable([fits], NOW) == (fits,)


def test_statuses_are_bounded():
    """Of many different statuses 50 are shown, the same ones each time; jobs in the others are counted as Other."""
    made = [Job(f"job-{number}", f"Status{number:04d}") for number in range(5000)] + [Job("a", "Failed")]
    for jobs in (made, made[::-1]):
        selection = select(jobs, statuses=(), max_age=0.0, maximum=10_000, now=0.0)
        assert len(selection.counts) == MAX_STATUSES == 50
        assert sum(selection.counts.values()) == len(selection.jobs) == 5001
        assert (selection.counts["Failed"], selection.counts["Other"]) == (1, 5000 - 36)
        assert selection.counts["Status0035"] == 1
        assert {job.status for job in selection.jobs} <= selection.counts.keys()


def test_as_many_statuses_as_are_shown_are_left_alone():
    """With exactly 50 different statuses each one is shown."""
    jobs = [Job(f"job-{number}", f"Status{number}") for number in range(MAX_STATUSES - len(STATUSES))]
    selection = select(jobs, statuses=(), max_age=0.0, maximum=10_000, now=0.0)
    assert selection.jobs == tuple(jobs)
    assert "Other" not in selection.counts
