from __future__ import annotations

import logging
import time
from collections import Counter

import pytest

from exporter.collector import job_details
from exporter.core.jobs import Job
from exporter.core.target import JobPolicy
from exporter.exposition.families import assemble, family_lines
from exporter.simulator import Fault, Store, World, create_app
from exporter.simulator.jobs.plan import Detail
from tests.rig import parse, rig, target_at, value
from tests.serving import serve

pytestmark = pytest.mark.anyio

DESCRIBE = JobPolicy(describe=True)
WHY = Detail("ManifestNotFound", 'no "manifest" & no checksum', "the owner")


def job(number: int, status: str = "Failed") -> Job:
    return Job(f"job-{number:03d}", status, "PutObjectTagging", None, 1, 1760000000 + number, None, 10, 4, 6, 60)


@pytest.fixture(autouse=True)
def _time_for_all_calls(monkeypatch):
    """However slow this machine is, a listing makes all its calls."""
    monkeypatch.setattr(job_details, "START_SECONDS", 60.0)


@pytest.fixture
def world():
    """A failed, a failing, a suspended, an active and a complete job."""
    statuses = ("Failed", "Failing", "Suspended", "Active", "Complete")
    made = World.fixed(job(number, status) for number, status in enumerate(statuses))
    made.details |= {"job-000": WHY, "job-001": WHY, "job-004": Detail(report=False)}
    return made


@pytest.fixture
def store(world):
    return Store(world)


def described_ids(store: Store) -> Counter[str]:
    """How often each id was requested with DescribeJob."""
    queries = [seen.raw.query for seen in store.requests if "batchJobId" in seen.raw.query]
    return Counter(query.partition("batchJobId=")[2] for query in queries)


def list_requests(store: Store) -> int:
    return sum(seen.operation == "ListJobs" for seen in store.requests)


async def test_each_job_is_described(store, store_url):
    """Each job is requested once, and the snapshot has what DescribeJob adds."""
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        snapshot = await parts.snapshot()
        again = await parts.snapshot()
    assert described_ids(store) == dict.fromkeys((f"job-{number:03d}" for number in range(5)), 1)
    assert again.details == snapshot.details
    details = snapshot.details
    parsed = {key: (detail.failure_code, detail.failure_reason) for key, detail in details.items()}
    why = (WHY.failure_code, WHY.failure_reason)
    assert parsed == {"job-000": why, "job-001": why} | dict.fromkeys(("job-002", "job-003", "job-004"), (None, None))
    assert (details["job-000"].status_reason, details["job-000"].report_bucket) == ("the owner", "reports")
    assert (details["job-004"].status_reason, details["job-004"].report_bucket) == (None, None)


async def test_no_job_is_described_without_the_setting(store, store_url):
    """With `describe: false`, a listing makes no calls except ListJobs."""
    async with rig(target_at(store_url, jobs=JobPolicy(describe=False))) as parts:
        assert (await parts.snapshot()).details == {}
    assert described_ids(store) == {}


async def test_an_answer_is_kept_while_the_status_holds(store, world, store_url):
    """A second listing requests only the job whose status has changed."""
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        await parts.snapshot()
        world.listed[1] = world.listed[1]._replace(status="Failed")
        snapshot = await parts.snapshot()
        await parts.snapshot()
    assert described_ids(store) == {"job-000": 1, "job-001": 2, "job-002": 1, "job-003": 1, "job-004": 1}
    assert snapshot.details["job-001"].job.status == "Failed"


async def test_the_most_urgent_jobs_are_requested_first(store, world, store_url):
    """Failed and Failing jobs come first, then Suspended ones, then all others; each time the newest first."""
    order = ("Complete", "Suspended", "Failed", "Active", "Failing", "Suspended", "Failed", "New")
    world.listed[:] = [job(number, status) for number, status in enumerate(order)]
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        await parts.snapshot()
    assert list(described_ids(store)) == [f"job-{number:03d}" for number in (6, 4, 2, 5, 1, 7, 3, 0)]


async def test_a_listing_does_not_wait_for_all_calls(world, store_url, monkeypatch):
    """After START_SECONDS no more calls start, but some are made in each listing, so that each job has its turn."""
    monkeypatch.setattr(job_details, "START_SECONDS", 0.0)
    world.listed[:] = [job(number, "Complete") for number in range(6)]
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        described = [len((await parts.snapshot()).details) for _ in range(4)]
    assert described == [2, 4, 6, 6]


async def test_a_job_requested_in_vain_comes_after_the_others(store, world, store_url, monkeypatch):
    """One request in vain puts a job behind those of the same rank that were never requested."""
    monkeypatch.setattr(job_details, "START_SECONDS", 0.0)
    world.listed[:] = [job(number, "Complete") for number in range(4)]
    store.faults.add(Fault("empty", operation="DescribeJob"))
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        await parts.snapshot()
        await parts.snapshot()
    assert described_ids(store) == {f"job-{number:03d}": 1 for number in range(4)}


async def test_a_job_that_moved_on_has_no_old_reason(store, world, store_url):
    """A job that was suspended and is now Active has no details if it cannot be described again."""
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        assert "job-002" in (await parts.snapshot()).details
        world.listed[2] = world.listed[2]._replace(status="Active")
        store.faults.add(Fault("empty", operation="DescribeJob"))
        assert "job-002" not in (await parts.snapshot()).details


async def test_the_calls_of_a_listing_are_bounded(store, world, store_url):
    """A listing makes at most MAX_CALLS calls, later ones reach the rest, and each job is requested once."""
    world.listed[:] = [job(number) for number in range(50)]
    lengths = []
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        for _ in range(4):
            before = len(described_ids(store))
            lengths.append(len((await parts.snapshot()).details))
            assert len(described_ids(store)) - before <= job_details.MAX_CALLS
    assert lengths == [20, 40, 50, 50]
    assert set(described_ids(store).values()) == {1}


@pytest.mark.parametrize("fault", ["gone", "slow", "unreadable"])
async def test_jobs_that_cannot_be_described_do_not_block_others(store, world, store_url, fault):
    """If the first jobs of a list cannot be described, later listings still reach all the others."""
    world.listed[:] = [job(number) for number in range(45)]
    bad = {
        "gone": Fault("error", operation="DescribeJob", status=404, code="NoSuchJob", times=20),
        "slow": Fault("delay", operation="DescribeJob", seconds=30, times=1),
        "unreadable": Fault("empty", operation="DescribeJob", times=20),
    }
    store.faults.add(bad[fault])
    async with rig(target_at(store_url, jobs=DESCRIBE, timeout=1.5)) as parts:
        for _ in range(6):
            snapshot = await parts.snapshot()
    assert len(snapshot.details) == 45


async def test_a_job_deleted_meanwhile_is_no_error(store, store_url):
    """A 404 NoSuchJob after the job was listed does not fail the snapshot."""
    store.faults.add(Fault("error", operation="DescribeJob", status=404, code="NoSuchJob", times=1))
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        snapshot = await parts.snapshot()
    assert (snapshot.error, len(snapshot.jobs)) == (None, 5)
    assert len(snapshot.details) == 4


async def test_a_missing_permission_is_logged_once(store, store_url, caplog, monkeypatch):
    """Without oss:DescribeJob the listing is complete, it is logged once, and tried again only after an hour."""
    store.permissions.discard("DescribeJob")
    with caplog.at_level(logging.WARNING):
        async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
            for _ in range(3):
                snapshot = await parts.snapshot()
                assert (snapshot.error, len(snapshot.jobs), snapshot.details) == (None, 5, {})
            assert described_ids(store).total() == job_details.EXTRA_CONCURRENT_CALLS
            monkeypatch.setattr(job_details, "DENIED_SECONDS", 0.0)
            (collector,) = parts.collector._collectors.values()
            assert 3500 < collector._details._denied_until - time.monotonic() <= 3600
            collector._details._denied_until -= 3600  # an hour later
            for _ in range(2):
                await parts.snapshot()
            assert described_ids(store).total() == 3 * job_details.EXTRA_CONCURRENT_CALLS
            store.permissions.add("DescribeJob")
            assert len((await parts.snapshot()).details) == 5
    (record,) = caplog.records
    assert record.getMessage().startswith("DescribeJob failed; job details are missing: ")
    assert "oss:DescribeJob" in record.getMessage()
    assert (record.target, record.reason) == (parts.targets[0].name, "access_denied")


async def test_slow_responses_do_not_fail_the_listing(store, store_url):
    """DescribeJob uses at most its share of the time left; the listing is complete without it."""
    store.faults.add(Fault("delay", operation="DescribeJob", seconds=30))
    async with rig(target_at(store_url, jobs=DESCRIBE, timeout=1.0)) as parts:
        snapshot = await parts.snapshot()
    assert (snapshot.error, len(snapshot.jobs), snapshot.details) == (None, 5, {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"<DescribeJobResult/>",
        b"<DescribeJobResult><Job><JobId>other</JobId></Job></DescribeJobResult>",
    ],
)
async def test_a_malformed_response_does_not_fail_the_listing(store, store_url, body):
    """A malformed response leaves the listing complete and counts as a failed request."""
    kind = Fault("body", operation="DescribeJob", body=body) if body else Fault("empty", operation="DescribeJob")
    store.faults.add(kind)
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        snapshot = await parts.snapshot()
        assert (snapshot.error, len(snapshot.jobs), snapshot.details) == (None, 5, {})
        assert parts.failures().keys() == {"malformed"}


async def test_only_answers_for_jobs_with_series_are_kept(world, store_url):
    """The answer for a job that is listed no more is forgotten."""
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        await parts.snapshot()
        (collector,) = parts.collector._collectors.values()
        assert len(collector._details._kept) == 5
        del world.listed[1:]
        await parts.snapshot()
        assert collector._details._kept.keys() == {"job-000"}


async def test_watched_jobs_have_the_same_series(store, store_url):
    """With `ids`, jobs are described instead of listed, with the same values as in a listing plus their details."""
    watched = JobPolicy(ids=("job-000", "job-003"))
    async with rig(target_at(store_url), target_at(store_url, "few", jobs=watched)) as parts:
        everything, some = await parts.snapshots()
    assert some.error is None
    assert {job.id: job for job in some.jobs} == {job.id: job for job in everything.jobs if job.id in watched.ids}
    assert some.details["job-000"].failure_code == WHY.failure_code
    assert sum((some.counts or {}).values()) == 2
    assert list_requests(store) == 1


async def test_a_watched_job_that_does_not_exist_is_logged_once(store_url, caplog):
    """Unknown ids are logged once, count as failed requests, and do not fail the other jobs."""
    ids = ("job-000", "no-such-job", "job-003", "nor-this")
    with caplog.at_level(logging.WARNING):
        async with rig(target_at(store_url, jobs=JobPolicy(ids=ids))) as parts:
            for _ in range(2):
                snapshot = await parts.snapshot()
                assert [job.id for job in snapshot.jobs] == ["job-000", "job-003"]
                assert snapshot.error is None
            text = parts.self_metrics.render(openmetrics=False).decode()
    (record,) = caplog.records
    assert record.getMessage() == "no such jobs: no-such-job, nor-this"
    assert record.target == parts.targets[0].name
    name = "batchops_api_request_failures_total"
    assert value(parse(text), name, operation="DescribeJob", reason="http_4xx") == 4


async def test_one_unreadable_watched_job_fails_the_target(store, store_url):
    """If one watched job cannot be read, the target is down and shows none of them."""
    store.faults.add(Fault("error", operation="DescribeJob", status=403, code="AccessDenied", times=1))
    async with rig(target_at(store_url, jobs=JobPolicy(ids=("job-000", "job-003")))) as parts:
        assert (await parts.failure()).reason == "access_denied"
        assert len((await parts.snapshot()).jobs) == 2


async def test_a_failure_has_its_series(world):
    """A failure has its series, with special characters escaped."""
    with serve(create_app(Store(world))) as url:
        target = target_at(url, jobs=DESCRIBE)
        async with rig(target) as parts:
            snapshot = await parts.snapshot()
    samples = parse(b"".join(assemble([list(zip(*family_lines(snapshot), strict=True))])).decode())
    labels = {"failure_code": WHY.failure_code, "failure_reason": WHY.failure_reason}
    assert value(samples, "batchops_job_failure_info", job_id="job-000", **labels) == 1
