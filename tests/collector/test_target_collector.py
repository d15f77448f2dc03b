from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import pytest

from exporter.core.errors import REMEDIES
from exporter.core.target import JobPolicy
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.simulator import Fault, Store, World, create_app, make_jobs
from tests.rawserver import EMPTY_PAGE, raw_server
from tests.rig import rig, target_at
from tests.serving import serve
from tests.waiting import until

pytestmark = pytest.mark.anyio

PAGE_SIZE = 10
PAGES = 3
"""Of the fixture `store`, with its 25 jobs."""


async def test_a_snapshot_describes_its_target(store, target):
    """A complete listing has every job, counts, pages, times and the source of its credentials."""
    before = time.time()
    async with rig(target()) as parts:
        snapshot = await parts.snapshot()
    assert [job.id for job in snapshot.jobs] == [job.id for job in store.world.listed]
    assert (snapshot.provider, snapshot.account, snapshot.region) == ("oss", "prod", "cn-hangzhou")
    assert sum((snapshot.counts or {}).values()) == 25
    assert (snapshot.pages, snapshot.error, snapshot.credentials_source) == (PAGES, None, "static")
    assert 0 < snapshot.duration < 10
    assert snapshot.last_success is not None
    assert before <= snapshot.last_success <= time.time()


async def test_concurrent_scrapes_share_one_listing(store, target):
    """Ten concurrent scrapes cost the requests of one, and get the same snapshot."""
    async with rig(target()) as parts:
        snapshots = await asyncio.gather(*(parts.snapshot() for _ in range(10)))
    assert len(store.requests) == PAGES
    assert all(snapshot is snapshots[0] for snapshot in snapshots)


async def test_a_later_scrape_lists_again(store, target):
    """Nothing is reused from one scrape to the next by default."""
    async with rig(target()) as parts:
        await parts.snapshot()
        store.world.listed.clear()
        assert (await parts.snapshot()).jobs == ()
    assert len(store.requests) == PAGES + 1


async def test_a_scrape_that_times_out_does_not_end_the_listing(store, target):
    """A scrape that times out fails alone: the listing goes on for the one that can wait."""
    store.faults.add(Fault("delay", seconds=0.2))
    async with rig(target()) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.1), parts.snapshot(5.0))
    assert hasty.error is not None
    assert (hasty.error.reason, hasty.jobs, hasty.counts) == ("timeout", (), None)
    assert (patient.error, len(patient.jobs)) == (None, 25)
    assert len(store.requests) == PAGES


async def test_a_scrape_that_joins_extends_the_deadline(store, target):
    """A retry that only fits into the time of the scrape that joined is made."""
    store.faults.add(Fault("delay", seconds=0.2, times=1))
    store.faults.add(Fault("error", status=503, headers=("Retry-After: 1",), times=1))
    async with rig(target()) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.3), parts.snapshot(5.0))
    assert hasty.error is not None
    assert (patient.error, len(patient.jobs)) == (None, 25)


async def test_the_last_scrape_to_time_out_ends_the_listing():
    """When no scrape waits any more, the request is cancelled at once and no other one follows."""
    seen, gone = [], asyncio.Event()

    async def silent(peer):
        seen.append(peer.head)
        await peer.reader.read()
        gone.set()

    async with raw_server(silent) as host, rig(target_at(f"http://{host}")) as parts:
        failed = await asyncio.gather(parts.snapshot(0.2), parts.snapshot(0.4))
        async with asyncio.timeout(5):
            await gone.wait()
        assert [snapshot.error.reason for snapshot in failed if snapshot.error] == ["timeout", "timeout"]
        await asyncio.sleep(0.3)
        assert len(seen) == 1
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("listing")]


async def test_a_scrape_after_a_cancelled_listing_starts_a_new_one(store, target):
    """A later scrape does not join a listing that was cancelled."""
    store.faults.add(Fault("delay", seconds=5, times=1))
    async with rig(target()) as parts:
        assert (await parts.failure(0.1)).reason == "timeout"
        assert len((await parts.snapshot()).jobs) == 25


async def test_a_scrape_that_is_cancelled_ends_the_listing():
    """Cancelling a scrape cancels its request too."""
    requested, gone = asyncio.Event(), asyncio.Event()

    async def silent(peer):
        requested.set()
        await peer.reader.read()
        gone.set()

    async with raw_server(silent) as host, rig(target_at(f"http://{host}")) as parts, asyncio.timeout(5):
        scrape = asyncio.create_task(parts.snapshot())
        await requested.wait()
        scrape.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await scrape
        await gone.wait()


async def test_the_target_timeout_bounds_every_listing(store, target):
    """However many scrapes join one after the other, a listing ends at the target's own timeout."""
    store.faults.add(Fault("delay", seconds=5))
    async with rig(target(timeout=0.4, attempt_timeout=1.0)) as parts:
        start = time.monotonic()
        first = asyncio.create_task(parts.snapshot(60.0))
        await asyncio.sleep(0.3)
        second = await parts.snapshot(60.0)
        assert 0.4 <= time.monotonic() - start < 4.5
        for snapshot in (await first, second):
            assert snapshot.error is not None
            assert snapshot.error.reason == "timeout"
            assert 0.35 <= snapshot.duration < 4.5
    assert len(store.requests) == 1


async def test_min_interval_reuses_a_good_listing(store, target):
    """Within `min_interval` a scrape sends no request and gets the same snapshot; after it, it lists again."""
    async with rig(target(min_interval=0.5)) as parts:
        first = await parts.snapshot()
        assert await parts.snapshot() is first
        assert len(store.requests) == PAGES
        await asyncio.sleep(0.5)
        assert await parts.snapshot() is not first
    assert len(store.requests) == 2 * PAGES


async def test_min_interval_protects_a_service_that_refuses(store, target):
    """A failed snapshot is also reused for `min_interval`, so that a throttling service gets no more requests."""
    async with rig(target(min_interval=0.5, retries=0)) as parts:
        store.faults.add(Fault("error", status=429, times=1))
        assert (await parts.failure()).reason == "throttled"
        assert (await parts.failure()).reason == "throttled"
        assert len(store.requests) == 1
        await asyncio.sleep(0.5)
        assert len((await parts.snapshot()).jobs) == 25


async def test_many_hanging_targets_do_not_starve_a_healthy_one(store, target):
    """While 150 targets never respond, a healthy one still gets a connection and is listed in time."""
    store.faults.add(Fault("delay", seconds=30))
    hung = [target(account=f"hung-{number}", timeout=4.0) for number in range(150)]
    healthy = Store(World.fixed(make_jobs(3, now=1_750_000_000)))
    with serve(create_app(healthy)) as url:
        async with rig(*hung, target_at(url, "healthy", timeout=4.0)) as parts:
            *failed, good = await parts.snapshots()
    assert {snapshot.error and snapshot.error.reason for snapshot in failed} == {"timeout"}
    assert (good.error, len(good.jobs)) == (None, 3)


async def test_describing_jobs_respects_the_shortest_deadline(store, target):
    """DescribeJob uses a share of the shortest remaining time: a scrape that joined keeps its listing."""
    store.world.listed[0] = store.world.listed[0]._replace(status="Failed")
    store.faults.add(Fault("delay", operation="DescribeJob", seconds=30))
    async with rig(target(jobs=JobPolicy(describe=True))) as parts:
        patient, joined = await asyncio.gather(parts.snapshot(8.0), parts.snapshot(1.5))
    assert (patient.error, joined.error) == (None, None)


async def test_ending_a_run_that_describes_jobs_keeps_its_listing(store, target):
    """If the runs are ended while jobs are described, the listing is complete, and only details are missing."""
    store.faults.add(Fault("delay", operation="DescribeJob", seconds=30))
    async with rig(target(jobs=JobPolicy(describe=True))) as parts:
        scrape = asyncio.create_task(parts.snapshot())
        await asyncio.to_thread(until, lambda: any(seen.operation == "DescribeJob" for seen in store.requests))
        parts.collector.stop()
        snapshot = await scrape
    assert (snapshot.error, len(snapshot.jobs), snapshot.details) == (None, 25, {})


async def test_serve_stale_for_keeps_the_jobs_for_a_time(store, target):
    """After a failure the last good jobs are kept for `serve_stale_for`, with the error and the last success."""
    async with rig(target(serve_stale_for=0.6, retries=0, jobs=JobPolicy(describe=True))) as parts:
        good = await parts.snapshot()
        assert good.details
        store.faults.add(Fault("error", status=500))
        stale = await parts.snapshot()
        assert (stale.jobs, stale.counts, stale.dropped) == (good.jobs, good.counts, good.dropped)
        assert stale.details == good.details
        assert stale.error is not None
        assert (stale.error.reason, stale.last_success) == ("http_5xx", good.last_success)
        await asyncio.sleep(0.6)
        assert (await parts.failure()).reason == "http_5xx"


async def test_scrapes_share_one_stale_snapshot(store, target):
    """Scrapes that share a failed listing get the same stale object, so it is rendered once."""
    async with rig(target(serve_stale_for=60.0, retries=0)) as parts:
        good = await parts.snapshot()
        store.faults.add(Fault("error", status=500))
        first, second = await asyncio.gather(parts.snapshot(), parts.snapshot())
        again = await parts.snapshot()
    assert first is second
    assert (first.jobs, again.jobs) == (good.jobs, good.jobs)
    assert again is not first


async def test_a_finished_listing_is_released(store, target):
    """Between scrapes a target keeps no reference to a listing, whether it succeeded or failed."""
    async with rig(target(retries=0)) as parts:
        (collector,) = parts.collector._collectors.values()
        for fails in (False, True):
            if fails:
                store.faults.add(Fault("error", status=500))
            assert ((await parts.snapshot()).error is not None) == fails
            assert collector._run is None


@pytest.mark.parametrize("kind", ["oversize", "gzip_bomb", "body"])
async def test_a_kept_error_does_not_hold_the_page(store, target, kind):
    """The error of a page that is too large or malformed is kept without a reference to the page."""
    store.faults.add(Fault(kind, body=b"<ListJobsResult>" + bytes(1_000_000)))
    async with rig(target(retries=0)) as parts:
        error = await parts.failure()
        last = parts.collector.last(parts.targets[0].name)
    assert last is not None
    assert last.error is error
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


async def test_nothing_stale_is_served_by_default(store, target):
    """Without `serve_stale_for` a failed listing has no jobs, but still reports the last success."""
    async with rig(target(retries=0)) as parts:
        good = await parts.snapshot()
        store.faults.add(Fault("error", status=500))
        failed = await parts.snapshot()
    assert (failed.jobs, failed.counts, failed.last_success) == ((), None, good.last_success)


async def test_a_bug_in_one_target_does_not_affect_others(store_url, caplog):
    """A bug that a response triggers fails its own target with `internal`; the others are complete."""

    class Broken(Oss):
        """A provider with a bug."""

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


async def test_targets_are_listed_concurrently():
    """The requests of all targets are in flight at the same time."""
    together = asyncio.Barrier(8)

    async def meet(peer):
        await together.wait()
        await peer.answer(EMPTY_PAGE)

    async with raw_server(meet) as host:
        targets = [target_at(f"http://{host}", region=f"r-{number}") for number in range(8)]
        async with rig(*targets) as parts:
            snapshots = await parts.snapshots()
    assert [snapshot.error for snapshot in snapshots] == [None] * 8


async def test_the_log_reports_changes(store, target, caplog):
    """A new failure or reason is a warning, a repeated one a debug message, and the recovery an info message."""
    caplog.set_level(logging.DEBUG, "exporter")
    async with rig(target(retries=0)) as parts:
        for fault in ("AccessDenied", "AccessDenied", "UserDisable"):
            store.faults.add(Fault("error", status=403, code=fault, times=1))
            await parts.failure()
        await parts.snapshot()
        await parts.snapshot()
    records = [record for record in caplog.records if record.name == "exporter.collector.target_collector"]
    denied = "listing failed: page 1: ListJobs returned 403 AccessDenied: "
    disabled = "listing failed: page 1: ListJobs returned 403 UserDisable: "
    expected = (
        ("WARNING", "access_denied", denied),
        ("DEBUG", "access_denied", denied),
        ("WARNING", "auth", disabled),
        ("INFO", None, "listing succeeded again"),
    )
    for record, (level, reason, text) in zip(records, expected, strict=True):
        facts = record.__dict__
        assert (record.levelname, facts.get("reason"), facts["target"]) == (level, reason, "oss/prod/cn-hangzhou")
        assert record.getMessage().startswith(text)
        assert reason is None or (facts["remedy"] in REMEDIES.values() and facts["request_id"])


async def test_the_last_snapshot_is_kept_without_its_jobs(target):
    """After the first scrape the landing page has its data; the jobs themselves are not kept for it."""
    async with rig(target()) as parts:
        assert parts.collector.last("oss/prod/cn-hangzhou") is None
        await parts.snapshot()
        last = parts.collector.last("oss/prod/cn-hangzhou")
    assert last is not None
    assert (last.jobs, sum((last.counts or {}).values()), last.pages) == ((), 25, PAGES)


async def test_the_jobs_settings_decide_on_series(target):
    """The target's `jobs` settings select which jobs have series, and dropped jobs are counted."""
    async with rig(target(jobs=JobPolicy(max=7, description=False))) as parts:
        snapshot = await parts.snapshot()
    assert (len(snapshot.jobs), snapshot.show_descriptions) == (7, False)
    assert snapshot.dropped == {"max_age": 0, "statuses": 0, "max": 18}


async def test_the_regions_of_an_account_share_its_rate():
    """`requests_per_second` applies to all regions of an account together, and to each account separately."""
    times: list[float] = []

    async def noting(peer):
        times.append(time.monotonic())
        await peer.answer(EMPTY_PAGE)

    async with raw_server(noting) as host:
        regions = [
            target_at(f"http://{host}", account, region=f"r-{number}", requests_per_second=2.0)
            for account in ("one", "two")
            for number in range(6)
        ]
        async with rig(*regions) as parts:
            start = time.monotonic()
            snapshots = await parts.snapshots()
    assert [snapshot.error for snapshot in snapshots] == [None] * 12
    elapsed = [moment - start for moment in sorted(times)]
    for moment, earliest in zip(elapsed, [0, 0, 0, 0, 0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2], strict=True):
        assert moment >= earliest - 0.01
    assert elapsed[-1] < 4.5  # one rate for both accounts would need 5 s
