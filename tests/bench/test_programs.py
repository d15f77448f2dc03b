from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from functools import partial

import pytest

from bench import naive, pages, programs
from bench.agreement import Unequal
from bench.clients import Client, prove
from bench.crowds import _sent
from exporter.core.jobs import TERMINAL_STATUSES
from exporter.providers.oss import Oss

TINY = 20
COUNT = pages.PAGE_SIZE + TINY


def listed(store, parse=Oss.parse_jobs):
    """The jobs of the first target, read as a client does, page by page."""
    page = parse(store.get("/?batchJob&max-keys=1000"))
    jobs = [*page.jobs]
    while page.next_token is not None:
        page = parse(store.get(f"/?batchJob&max-keys=1000&continuation-token={page.next_token}"))
        jobs += page.jobs
    return jobs


def ids(jobs):
    return [job.id for job in jobs]


def test_the_store_serves_the_variant_that_is_shown():
    """A listing is whole, in pages that follow each other by token, and another variant has none of its jobs."""
    found = []
    with programs.store(COUNT) as store:
        for variant in range(2):
            programs.show(store, variant)
            found.append(ids(listed(store)))
    assert found == [ids(pages.jobs(COUNT, variant)) for variant in range(2)]
    assert not set(found[0]) & set(found[1])


def test_a_churning_store_serves_successive_states():
    """Each state is what it is said to be, also where one was left out, read as the naive exporter does."""
    with programs.store(COUNT, churn=True) as store:
        for state in (0, 1, 5):
            programs.show(store, state)
            found = listed(store, naive.parse)
            expected = pages.jobs(COUNT, state, churn=True)
            assert found == [job._replace(description=job.description or None) for job in expected]


def test_from_state_to_state_few_jobs_change():
    """Three new jobs stand in front, three have fallen off, those that run have moved on, all others are the same."""
    before, after = (pages.jobs(COUNT, state, churn=True) for state in (7, 8))
    assert ids(after)[pages.NEW_JOBS :] == ids(before)[: -pages.NEW_JOBS]
    assert not set(ids(after)[: pages.NEW_JOBS]) & set(ids(before))
    pairs = list(zip(before, after[pages.NEW_JOBS :], strict=False))
    moved = [(old, new) for old, new in pairs if old != new]
    assert 0.02 < len(moved) / len(pairs) < 0.1
    for old, new in moved:
        assert new == old._replace(succeeded=new.succeeded, elapsed_active=new.elapsed_active)
        assert new.status == "Active"
        assert (old.succeeded or 0) < (new.succeeded or 0) < (new.tasks or 0)
        assert (old.elapsed_active or 0) < (new.elapsed_active or 0)
    assert {job.status for job in after} > TERMINAL_STATUSES


def test_each_target_has_jobs_of_its_own():
    """A request that is signed for a target's region gets that target's jobs on each page."""
    with programs.store(COUNT, targets=2) as store, programs.naive(store, targets=2) as baseline:
        with programs.ours(store, targets=2) as ours:
            prove(Client(store, baseline), Client(store, ours))
        text = baseline.get().decode()
    for target, region in enumerate(programs.regions(2)):
        wanted = {job.id for job in pages.jobs(COUNT, 1, target=target)}
        told = {line for line in text.splitlines() if line.startswith("batchops_job_status{") and region in line}
        assert {line.partition('job_id="')[2].partition('"')[0] for line in told} == wanted


def test_the_token_stands_where_it_was_asked_to():
    """Pages are the same jobs with the token behind them, where early asking cannot see it in time."""
    ahead, behind = (next(pages.pages(COUNT, token_first=first)) for first in (True, False))
    assert ahead.index(b"<NextToken>") < ahead.index(b"<Jobs>")
    assert behind.index(b"<NextToken>") > behind.index(b"</Jobs>")
    assert Oss.parse_jobs(ahead) == Oss.parse_jobs(behind)


def test_the_store_counts_requests_for_pages():
    """A listing of two pages is two requests; what is asked of the store beside pages is none."""
    with programs.store(COUNT) as store:
        assert programs.requests(store) == 0
        assert _sent(store, lambda: listed(store)) == 2
        programs.show(store, 1)
        assert programs.requests(store) == 2


def test_a_store_that_fails_now_and_then_does_so_in_turns():
    """Of its requests each third fails: by an error, then by an answer that breaks off, then by an error again."""
    with programs.store(TINY, fail_every=3) as store:
        for failure in ("answered 500", "IncompleteRead", "answered 500"):
            for _ in range(2):
                assert len(listed(store)) == TINY
            with pytest.raises(Exception, match=failure):
                listed(store)


def test_programs_that_differ_are_not_measured():
    """Two programs that tell other jobs end the contest before a ratio is told."""
    with programs.store(TINY) as one, programs.store(TINY, churn=True) as other:
        programs.show(other, 9)
        with programs.naive(one) as baseline, programs.ours(other) as ours, pytest.raises(Unequal):
            prove(Client(one, baseline), Client(one, ours))


def test_the_prober_tells_each_answers_time():
    """It asks as often as it was told to, and does not measure what is no answer."""
    with programs.store(TINY) as store, programs.ours(store) as ours:
        command = [sys.executable, "-m", "bench.prober", "--every=0.01", "--seconds=0.2"]
        run = partial(subprocess.run, capture_output=True, text=True, check=False, timeout=60)
        latencies = json.loads(run([*command, f"{ours.url}/-/healthy"]).stdout)
        assert len(latencies) == 20
        assert min(latencies) > 0
        failed = run([*command, f"{ours.url}/no-such-page"])
        assert failed.returncode == 1
        assert "HTTP/1.1 404" in failed.stderr


def test_programs_end_with_their_context():
    """A program answers inside its `with`, and its process is gone behind it, also after an error."""
    with contextlib.suppress(KeyError), programs.store(TINY) as store:
        with urllib.request.urlopen(f"{store.url}/?batchJob", timeout=10) as answer:
            assert answer.status == 200
        assert store.peak() >= store.resident() > 1
        assert 0.01 < store.cpu() < 60
        assert store.descriptors() > 3
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(store.pid, 0)


def test_a_program_that_does_not_start_says_why():
    """What a program printed before it ended is in the error."""
    with pytest.raises(RuntimeError, match="required: --jobs"), programs._running(["-m", "bench.store"]):
        pass
