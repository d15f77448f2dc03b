from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
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
    """A listing is complete, page by page, and another variant has none of its jobs."""
    listings = []
    with programs.store(COUNT) as store:
        for variant in range(2):
            programs.show(store, variant)
            listings.append(ids(listed(store)))
    assert listings == [ids(pages.jobs(COUNT, variant)) for variant in range(2)]
    assert not set(listings[0]) & set(listings[1])


def test_a_churning_store_serves_successive_states():
    """The store shows the state that was requested, also if one is skipped; the naive exporter reads it."""
    with programs.store(COUNT, churn=True) as store:
        for state in (0, 1, 5):
            programs.show(store, state)
            listing = listed(store, naive.parse)
            expected = pages.jobs(COUNT, state, churn=True)
            assert listing == [job._replace(description=job.description or None) for job in expected]


def test_from_state_to_state_few_jobs_change():
    """Three jobs are new at the front, three are gone, running ones have progressed, and all others are the same."""
    before, after = (pages.jobs(COUNT, state, churn=True) for state in (7, 8))
    assert ids(after)[pages.NEW_JOBS :] == ids(before)[: -pages.NEW_JOBS]
    assert not set(ids(after)[: pages.NEW_JOBS]) & set(ids(before))
    pairs = list(zip(before, after[pages.NEW_JOBS :], strict=False))
    changed = [(old, new) for old, new in pairs if old != new]
    assert 0.02 < len(changed) / len(pairs) < 0.1
    for old, new in changed:
        assert new == old._replace(succeeded=new.succeeded, elapsed_active=new.elapsed_active)
        assert new.status == "Active"
        assert (old.succeeded or 0) < (new.succeeded or 0) < (new.tasks or 0)
        assert (old.elapsed_active or 0) < (new.elapsed_active or 0)
    assert {job.status for job in after} > TERMINAL_STATUSES


def test_each_target_has_its_own_jobs():
    """A request that is signed for a target's region returns that target's jobs on each page."""
    with programs.store(COUNT, targets=2) as store, programs.naive(store, targets=2) as baseline:
        with programs.ours(store, targets=2) as ours:
            prove(Client(store, baseline), Client(store, ours))
        text = baseline.get().decode()
    for target, region in enumerate(programs.regions(2)):
        expected = {job.id for job in pages.jobs(COUNT, 1, target=target)}
        lines = {line for line in text.splitlines() if line.startswith("batchops_job_status{") and region in line}
        assert {line.partition('job_id="')[2].partition('"')[0] for line in lines} == expected


def test_a_token_precedes_or_follows_the_jobs():
    """Both pages contain the same jobs, but only the first one shows its token early."""
    early, late = (next(pages.pages(COUNT, token_first=first)) for first in (True, False))
    assert Oss.peek_next_token(early) is not None
    assert Oss.peek_next_token(late) is None
    assert Oss.parse_jobs(early) == Oss.parse_jobs(late)


def test_a_page_in_another_order_has_the_same_jobs():
    """Its leaves are reversed and some are unknown; both exporters read the same jobs from it, ours by the pattern."""
    body, other = (next(pages.pages(COUNT, order=order)) for order in ("documented", "other"))
    assert body.index(b"<JobId>") < body.index(b"<Status>")
    assert other.index(b"<Status>") < other.index(b"<JobId>")
    assert all(other.count(f"<{name}>".encode()) == pages.PAGE_SIZE for name in pages.UNKNOWN_LEAVES)
    assert Oss.parse_jobs(other) == Oss.parse_jobs(body)
    assert naive.parse(other) == naive.parse(body)
    assert Oss.parse_jobs(other).parser == "pattern"


def test_a_page_takes_its_time():
    """A page arrives after its delay, at its rate, and is complete; other responses are not delayed."""
    page = next(pages.pages(TINY))
    with programs.store(TINY, delay=0.2, rate=len(page) / 0.2) as store:
        start = time.monotonic()
        assert len(listed(store)) == TINY
        assert time.monotonic() - start >= 0.4
        assert programs.requests(store) == 1


def test_the_store_counts_requests_for_pages():
    """A listing of two pages is two requests; other requests do not count."""
    with programs.store(COUNT) as store:
        assert programs.requests(store) == 0
        assert _sent(store, lambda: listed(store)) == 2
        programs.show(store, 1)
        assert programs.requests(store) == 2


def test_a_store_fails_as_often_as_requested():
    """Every third request fails: by an error, then by a response that ends early, then by an error again."""
    with programs.store(TINY, fail_every=3) as store:
        for failure in ("returned 500", "IncompleteRead", "returned 500"):
            for _ in range(2):
                assert len(listed(store)) == TINY
            with pytest.raises(Exception, match=failure):
                listed(store)


def test_programs_that_differ_are_not_measured():
    """Two programs that export different jobs raise Unequal."""
    with programs.store(TINY) as store, programs.store(TINY, churn=True) as other:
        programs.show(other, 9)
        with programs.naive(store) as baseline, programs.ours(other) as ours, pytest.raises(Unequal):
            prove(Client(store, baseline), Client(store, ours))


def test_the_prober_measures_each_response():
    """It sends as many requests as configured, and fails if a response is not a success."""
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
    """A program responds inside its `with`, and its process has ended afterwards, also after an error."""
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
    """The error contains what a program printed before it exited."""
    with pytest.raises(RuntimeError, match="required: --jobs"), programs._running(["-m", "bench.store"]):
        pass
