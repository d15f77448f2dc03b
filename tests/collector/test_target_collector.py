from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import pytest

from exporter.collector import target_collector
from exporter.collector.selection import select
from exporter.core.target import JobPolicy
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.simulator import Fault, Store, World, create_app, make_jobs
from tests.rawserver import EMPTY_PAGE, raw_server
from tests.rig import rig, target_at
from tests.serving import serve

pytestmark = pytest.mark.anyio

PAGE_SIZE = 10
PAGES = 3
"""Of the fixture `store`, with its 25 jobs."""


@pytest.fixture
def target(store_url):
    """The target that the fixture `store` serves, with other settings where they are given."""

    def made(**settings):
        return target_at(store_url, page_size=PAGE_SIZE, **settings)

    return made


async def test_a_listing_tells_all_of_its_target(store, target):
    """A complete listing has every job, counts, pages, times and where its keys come from."""
    before = time.time()
    async with rig(target()) as parts:
        listing = await parts.snapshot()
    assert [job.id for job in listing.jobs] == [job.id for job in store.world.listed]
    assert (listing.provider, listing.account, listing.region) == ("oss", "prod", "cn-hangzhou")
    assert sum((listing.counts or {}).values()) == 25
    assert (listing.pages, listing.error, listing.credentials_source) == (PAGES, None, "static")
    assert 0 < listing.duration < 10
    assert listing.last_success is not None
    assert before <= listing.last_success <= time.time()


async def test_scrapes_at_once_share_one_listing(store, target):
    """Ten scrapes at the same time cost the requests of one, and get the same answer."""
    async with rig(target()) as parts:
        listings = await asyncio.gather(*(parts.snapshot() for _ in range(10)))
    assert len(store.requests) == PAGES
    assert all(listing is listings[0] for listing in listings)


async def test_a_later_scrape_lists_anew(store, target):
    """Nothing is kept from one scrape to the next unless that is asked for."""
    async with rig(target()) as parts:
        await parts.snapshot()
        store.world.listed.clear()
        assert (await parts.snapshot()).jobs == ()
    assert len(store.requests) == PAGES + 1


async def test_who_gives_up_does_not_end_it_for_others(store, target):
    """A scrape whose time is up fails alone: the listing goes on for the one that can wait."""
    store.faults.add(Fault("delay", seconds=0.2))
    async with rig(target()) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.1), parts.snapshot(5.0))
    assert hasty.error is not None
    assert (hasty.error.reason, hasty.jobs, hasty.counts) == ("timeout", (), None)
    assert (patient.error, len(patient.jobs)) == (None, 25)
    assert len(store.requests) == PAGES


async def test_who_joins_with_more_time_gets_it(store, target):
    """A retry that only fits into the time of the scrape that joined is made, for its sake."""
    store.faults.add(Fault("delay", seconds=0.2, times=1))
    store.faults.add(Fault("error", status=503, headers=("Retry-After: 1",), times=1))
    async with rig(target()) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.3), parts.snapshot(5.0))
    assert hasty.error is not None
    assert (patient.error, len(patient.jobs)) == (None, 25)


async def test_the_last_to_give_up_ends_it():
    """When nobody waits any more, the request is ended at once and no other one follows."""
    seen, gone = [], asyncio.Event()

    async def silent(peer):
        seen.append(peer.head)
        await peer.reader.read()
        gone.set()

    async with raw_server(silent) as host, rig(target_at(f"http://{host}")) as parts:
        failed = await asyncio.gather(parts.snapshot(0.2), parts.snapshot(0.4))
        async with asyncio.timeout(5):
            await gone.wait()
        assert [listing.error.reason for listing in failed if listing.error] == ["timeout", "timeout"]
        await asyncio.sleep(0.3)
        assert len(seen) == 1
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("listing")]


async def test_a_scrape_after_a_given_up_one_starts_anew(store, target):
    """A listing that was given up is not joined by a later scrape."""
    store.faults.add(Fault("delay", seconds=5, times=1))
    async with rig(target()) as parts:
        assert (await parts.failure(0.1)).reason == "timeout"
        assert len((await parts.snapshot()).jobs) == 25


async def test_a_scrape_that_is_cancelled_ends_the_listing():
    """A scrape that is ended from outside ends the request too."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def silent(peer):
        asked.set()
        await peer.reader.read()
        gone.set()

    async with raw_server(silent) as host, rig(target_at(f"http://{host}")) as parts, asyncio.timeout(5):
        scrape = asyncio.create_task(parts.snapshot())
        await asked.wait()
        scrape.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await scrape
        await gone.wait()


async def test_the_targets_own_bound_holds_for_all(store, target):
    """However many scrapes join one after the other, a listing ends at the target's own timeout."""
    store.faults.add(Fault("delay", seconds=5))
    async with rig(target(timeout=0.4)) as parts:
        start = time.monotonic()
        first = asyncio.create_task(parts.snapshot(60.0))
        await asyncio.sleep(0.3)
        second = await parts.snapshot(60.0)
        assert 0.4 <= time.monotonic() - start < 0.65
        for listing in (await first, second):
            assert listing.error is not None
            assert listing.error.reason == "timeout"
            assert listing.duration == pytest.approx(0.4, abs=0.1)
    assert len(store.requests) == 1


async def test_min_interval_reuses_a_good_listing(store, target):
    """Within `min_interval` a scrape asks nothing and gets the same listing; after it, it lists anew."""
    async with rig(target(min_interval=0.5)) as parts:
        first = await parts.snapshot()
        assert await parts.snapshot() is first
        assert len(store.requests) == PAGES
        await asyncio.sleep(0.5)
        assert await parts.snapshot() is not first
    assert len(store.requests) == 2 * PAGES


async def test_min_interval_protects_a_service_that_refuses(store, target):
    """A failed listing is reused for `min_interval` too, so that a throttling service is left alone."""
    async with rig(target(min_interval=0.5, retries=0)) as parts:
        store.faults.add(Fault("error", status=429, times=1))
        assert (await parts.failure()).reason == "throttled"
        assert (await parts.failure()).reason == "throttled"
        assert len(store.requests) == 1
        await asyncio.sleep(0.5)
        assert len((await parts.snapshot()).jobs) == 25


async def test_a_hasty_scrape_is_not_the_target_s_state(store, target, caplog):
    """A scrape that gives up on a listing which goes on fails alone: neither log nor landing page tell of it."""
    store.faults.add(Fault("delay", seconds=0.3, times=1))
    async with rig(target(min_interval=60.0)) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.1), parts.snapshot())
        assert hasty.error is not None
        assert patient.error is None
        assert (await parts.snapshot()).error is None
        last = parts.collector.last(parts.targets[0].name)
        assert last is not None
        assert last.error is None
    assert [record for record in caplog.records if record.name == "exporter.collector.target_collector"] == []


async def test_many_that_hang_do_not_starve_one(store, target):
    """A hundred and fifty targets that never answer leave a healthy one its connection and its time."""
    store.faults.add(Fault("delay", seconds=30))
    hung = [target(account=f"hung-{number}", timeout=4.0) for number in range(150)]
    healthy = Store(World.fixed(make_jobs(3, now=1_750_000_000)))
    with serve(create_app(healthy)) as url:
        async with rig(*hung, target_at(url, "healthy", timeout=4.0)) as parts:
            *failed, good = await parts.snapshots()
    assert {listing.error and listing.error.reason for listing in failed} == {"timeout"}
    assert (good.error, len(good.jobs)) == (None, 3)


async def test_who_joins_is_not_made_to_wait_for_reasons(store, target):
    """DescribeJob takes its share of the time of whoever must leave first: a scrape that joined keeps its listing."""
    store.world.listed[0] = store.world.listed[0]._replace(status="Failed")
    store.faults.add(Fault("delay", operation="DescribeJob", seconds=30))
    async with rig(target(jobs=JobPolicy(describe=True))) as parts:
        patient, joined = await asyncio.gather(parts.snapshot(8.0), parts.snapshot(1.5))
    assert (patient.error, joined.error) == (None, None)


async def test_serve_stale_for_keeps_the_jobs_for_a_while(store, target):
    """After a failure the last good jobs stay for so long; the error and the time of the last success are told."""
    async with rig(target(serve_stale_for=0.6, retries=0)) as parts:
        good = await parts.snapshot()
        store.faults.add(Fault("error", status=500))
        stale = await parts.snapshot()
        assert (stale.jobs, stale.counts, stale.dropped) == (good.jobs, good.counts, good.dropped)
        assert stale.error is not None
        assert (stale.error.reason, stale.last_success) == ("http_5xx", good.last_success)
        await asyncio.sleep(0.6)
        assert (await parts.failure()).reason == "http_5xx"


async def test_what_is_stale_is_one_listing_for_all_who_wait(store, target):
    """Scrapes that share a failed listing get the very same object, with its stale jobs: so it is rendered once."""
    async with rig(target(serve_stale_for=60.0, retries=0)) as parts:
        good = await parts.snapshot()
        store.faults.add(Fault("error", status=500))
        first, second = await asyncio.gather(parts.snapshot(), parts.snapshot())
        again = await parts.snapshot()
    assert first is second
    assert (first.jobs, again.jobs) == (good.jobs, good.jobs)
    assert again is not first


async def test_a_listing_that_is_over_is_let_go(store, target):
    """Between scrapes a target holds no listing, good or failed: of its jobs only what is kept, and bounded."""
    async with rig(target(retries=0)) as parts:
        (collector,) = parts.collector._collectors.values()
        for fails in (False, True):
            if fails:
                store.faults.add(Fault("error", status=500))
            assert ((await parts.snapshot()).error is not None) == fails
            assert collector._run is None


@pytest.mark.parametrize("kind", ["oversize", "gzip_bomb", "body"])
async def test_a_failed_listing_does_not_hold_what_it_is_about(store, target, kind):
    """The error of a page that is too large or malformed is kept for people, and the page itself is not."""
    store.faults.add(Fault(kind, body=b"<ListJobsResult>" + bytes(1_000_000)))
    async with rig(target(retries=0)) as parts:
        error = await parts.failure()
        last = parts.collector.last(parts.targets[0].name)
    assert last is not None
    assert last.error is error
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


async def test_nothing_stale_is_served_unasked(store, target):
    """Without `serve_stale_for` a failed listing has no jobs, and the last success is told all the same."""
    async with rig(target(retries=0)) as parts:
        good = await parts.snapshot()
        store.faults.add(Fault("error", status=500))
        failed = await parts.snapshot()
    assert (failed.jobs, failed.counts, failed.last_success) == ((), None, good.last_success)


async def test_a_bug_in_one_target_is_nobody_elses(store_url, caplog):
    """A bug that an answer triggers fails its own target with `internal`, and the others are whole."""

    class Broken(Oss):
        """A provider with a fault."""

        @staticmethod
        def parse_jobs(body):
            raise KeyError(len(body))

    broken_api = Broken(Endpoint("http", store_url.removeprefix("http://")), "cn-hangzhou")
    async with rig(target_at(store_url, "broken", provider=broken_api), target_at(store_url)) as parts:
        broken, good = await parts.snapshots()
    assert broken.error is not None
    assert (broken.error.reason, broken.jobs) == ("internal", ())
    assert str(broken.error) == "internal error (please report it); see the exporter's log"
    assert (good.error, len(good.jobs)) == (None, 25)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (record.name, record.__dict__["target"]) == ("exporter.collector.target_collector", "oss/broken/cn-hangzhou")
    assert record.exc_info[0] is KeyError


async def test_a_slow_target_does_not_hold_up_a_fast_one():
    """Targets are listed at the same time: each takes its own."""
    stores = [Store(World.fixed(make_jobs(3, now=1_750_000_000)), f"r-{number}") for number in range(8)]
    for store in stores:
        store.faults.add(Fault("delay", seconds=0.3))
    with serve(create_app(stores)) as url:
        async with rig(*(target_at(url, region=store.region) for store in stores)) as parts:
            start = time.monotonic()
            listings = await parts.snapshots()
    assert time.monotonic() - start < 1.5
    assert [len(listing.jobs) for listing in listings] == [3] * 8


async def test_the_log_tells_what_changed(store, target, caplog):
    """A failure is a warning when it begins or its reason changes, and its end is told; what lasts is for debugging."""
    caplog.set_level(logging.DEBUG, "exporter")
    async with rig(target(retries=0)) as parts:
        for fault in ("AccessDenied", "AccessDenied", "UserDisable"):
            store.faults.add(Fault("error", status=403, code=fault, times=1))
            await parts.failure()
        await parts.snapshot()
        await parts.snapshot()
    records = [record for record in caplog.records if record.name == "exporter.collector.target_collector"]
    assert [(record.levelname, record.__dict__.get("reason")) for record in records] == [
        ("WARNING", "access_denied"),
        ("DEBUG", "access_denied"),
        ("WARNING", "auth"),
        ("INFO", None),
    ]
    assert {record.__dict__["target"] for record in records} == {"oss/prod/cn-hangzhou"}


async def test_the_last_listing_is_kept_for_people_without_its_jobs(target):
    """What the landing page shows is there after the first scrape; the many jobs are not held for it."""
    async with rig(target()) as parts:
        assert parts.collector.last("oss/prod/cn-hangzhou") is None
        await parts.snapshot()
        last = parts.collector.last("oss/prod/cn-hangzhou")
    assert last is not None
    assert (last.jobs, sum((last.counts or {}).values()), last.pages) == ((), 25, PAGES)


async def test_the_jobs_settings_decide_on_series(target):
    """`jobs` of the target says which jobs have series, and what is left out is counted."""
    async with rig(target(jobs=JobPolicy(max=7, description=False))) as parts:
        listing = await parts.snapshot()
    assert (len(listing.jobs), listing.show_descriptions) == (7, False)
    assert listing.dropped == {"max_age": 0, "statuses": 0, "max": 18}


async def test_the_regions_of_an_account_share_its_pace():
    """`requests_per_second` holds for all regions of an account together, and for each account apart."""
    times: list[float] = []

    async def noting(peer):
        times.append(time.monotonic())
        await peer.answer(EMPTY_PAGE)

    async with raw_server(noting) as host:
        regions = [
            target_at(f"http://{host}", account, region=f"r-{number}", requests_per_second=2.0)
            for account in ("one", "two")
            for number in range(4)
        ]
        async with rig(*regions) as parts:
            start = time.monotonic()
            listings = await parts.snapshots()
    assert [listing.error for listing in listings] == [None] * 8
    turns = [int(2 * (moment - start)) for moment in sorted(times)]  # in halves of a second
    assert turns == [0, 0, 0, 0, 1, 1, 2, 2]


async def test_a_late_scrape_never_replaces_a_good_outcome(target, monkeypatch):
    """If a scrape's time is up in the very moment in which the listing completes, the recorded outcome stays good."""

    def slow(*args, **kwargs):
        time.sleep(0.3)  # the event loop is held, as by a long selection
        return select(*args, **kwargs)

    monkeypatch.setattr(target_collector, "select", slow)
    async with rig(target(min_interval=60.0)) as parts:
        late, good = await asyncio.gather(parts.snapshot(0.25), parts.snapshot(20.0))
        assert good.error is None
        assert late.error is None or late.error.reason == "timeout"
        assert (await parts.snapshot()) is good
        last = parts.collector.last("oss/prod/cn-hangzhou")
    assert last is not None
    assert last.error is None


async def test_a_scrape_that_has_left_costs_no_details(store, target):
    """Job details are read in the time of those who still wait, not of one that has left already."""
    store.world.listed[0] = store.world.listed[0]._replace(status="Failed")
    store.faults.add(Fault("delay", operation="ListJobs", seconds=0.4, times=1))
    async with rig(target(jobs=JobPolicy(describe=True))) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.1), parts.snapshot(20.0))
    assert hasty.error is not None
    assert store.world.listed[0].id in patient.details
