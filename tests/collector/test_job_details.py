from __future__ import annotations

import logging
from collections import Counter

import pytest

from exporter.collector import job_details
from exporter.core.jobs import Job
from exporter.core.target import JobPolicy
from exporter.exposition.families import assemble, family_lines
from exporter.providers.oss import Oss
from exporter.simulator import Fault, Store, World, create_app
from exporter.simulator.jobs.plan import Detail
from tests.rig import parse, rig, target_at, value
from tests.serving import serve

pytestmark = pytest.mark.anyio

DESCRIBE = JobPolicy(describe=True)
WHY = Detail(failure_code="ManifestNotFound", failure_reason='no "manifest" & no checksum')


def job(number: int, status: str = "Failed") -> Job:
    return Job(f"job-{number:03d}", status, "PutObjectTagging", None, 1, 1760000000 + number, None, 10, 4, 6, 60)


@pytest.fixture
def world():
    """One failed, one failing, one suspended and two jobs that need no reason."""
    statuses = ("Failed", "Failing", "Suspended", "Active", "Complete")
    made = World.fixed(job(number, status) for number, status in enumerate(statuses))
    made.details |= {"job-000": WHY, "job-001": WHY}
    return made


@pytest.fixture
def store(world):
    return Store(world)


def asked(store: Store) -> Counter[str]:
    """The ids that DescribeJob was asked for."""
    queries = [seen.raw.query for seen in store.requests if "batchJobId" in seen.raw.query]
    return Counter(query.partition("batchJobId=")[2] for query in queries)


def listed(store: Store) -> int:
    return sum(seen.operation == "ListJobs" for seen in store.requests)


async def test_reasons_of_those_that_need_one(store, store_url):
    """Only jobs that are Failed, Failing or Suspended are asked for, and what is told of them is in the listing."""
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        listing = await parts.snapshot()
    assert asked(store) == {"job-000": 1, "job-001": 1, "job-002": 1}
    told = {key: (detail.failure_code, detail.failure_reason) for key, detail in listing.details.items()}
    why = (WHY.failure_code, WHY.failure_reason)
    assert told == {"job-000": why, "job-001": why, "job-002": (None, None)}


async def test_nothing_is_asked_unless_wanted(store, store_url):
    """Without `describe`, a listing makes no call but ListJobs."""
    async with rig(target_at(store_url)) as parts:
        assert (await parts.snapshot()).details == {}
    assert asked(store) == {}


async def test_the_answer_of_a_finished_job_is_kept(store, world, store_url):
    """A second listing asks for the jobs that may still change, and not for the one that has failed for good."""
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        await parts.snapshot()
        world.listed[1] = world.listed[1]._replace(status="Failed")
        listing = await parts.snapshot()
        await parts.snapshot()
    assert asked(store) == {"job-000": 1, "job-001": 2, "job-002": 3}
    assert listing.details.keys() == {"job-000", "job-001", "job-002"}
    assert listing.details["job-001"].job.status == "Failed"


async def test_a_job_that_moved_on_has_no_old_reason(world, store_url):
    """A job that was suspended and is Active now shows no suspension."""
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        await parts.snapshot()
        world.listed[2] = world.listed[2]._replace(status="Active")
        assert "job-002" not in (await parts.snapshot()).details


async def test_the_calls_of_a_listing_are_bounded(store, world, store_url):
    """A listing makes at most MAX_CALLS calls; later ones get to the rest, and each job is asked for once."""
    world.listed[:] = [job(number) for number in range(50)]
    told = []
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        for _ in range(4):
            before = len(asked(store))
            told.append(len((await parts.snapshot()).details))
            assert len(asked(store)) - before <= job_details.MAX_CALLS
    assert told == [20, 40, 50, 50]
    assert set(asked(store).values()) == {1}


@pytest.mark.parametrize("fault", ["gone", "slow", "unreadable"])
async def test_jobs_asked_in_vain_hold_up_no_others(store, world, store_url, fault):
    """Where the first jobs of a list cannot be told, later listings get to all the others."""
    world.listed[:] = [job(number) for number in range(45)]
    bad = {
        "gone": Fault("error", operation="DescribeJob", status=404, code="NoSuchJob", times=20),
        "slow": Fault("delay", operation="DescribeJob", seconds=30, times=1),
        "unreadable": Fault("empty", operation="DescribeJob", times=20),
    }
    store.faults.add(bad[fault])
    async with rig(target_at(store_url, jobs=DESCRIBE, timeout=1.5)) as parts:
        for _ in range(6):
            listing = await parts.snapshot()
    assert len(listing.details) == 45


async def test_a_job_gone_meanwhile_is_no_error(store, store_url):
    """A 404 NoSuchJob between the listing and the question leaves the listing whole and nothing in the log."""
    store.faults.add(Fault("error", operation="DescribeJob", status=404, code="NoSuchJob", times=1))
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        listing = await parts.snapshot()
    assert (listing.error, len(listing.jobs)) == (None, 5)
    assert len(listing.details) == 2


async def test_a_refused_permission_is_told_once(store, store_url, caplog):
    """Without oss:DescribeJob the listing is whole, the log names the permission once, and few calls are wasted."""
    store.permissions.discard("DescribeJob")
    with caplog.at_level(logging.WARNING):
        async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
            for _ in range(3):
                listing = await parts.snapshot()
                assert (listing.error, len(listing.jobs), listing.details) == (None, 5, {})
    (line,) = [record.getMessage() for record in caplog.records]
    assert "oss:DescribeJob" in line
    assert sum(asked(store).values()) <= 3 * job_details.MAX_CONCURRENT_CALLS


async def test_slow_answers_do_not_cost_the_listing(store, store_url):
    """DescribeJob takes at most its share of the time that is left; the listing is whole without it."""
    store.faults.add(Fault("delay", operation="DescribeJob", seconds=30))
    async with rig(target_at(store_url, jobs=DESCRIBE, timeout=1.0)) as parts:
        listing = await parts.snapshot()
    assert (listing.error, len(listing.jobs), listing.details) == (None, 5, {})
    assert listing.duration < 1.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"<DescribeJobResult/>",
        b"<DescribeJobResult><Job><JobId>other</JobId></Job></DescribeJobResult>",
    ],
)
async def test_a_malformed_answer_does_not_cost_the_listing(store, store_url, body):
    """An answer that is none leaves the listing whole, and is counted as a failed request."""
    kind = Fault("body", operation="DescribeJob", body=body) if body else Fault("empty", operation="DescribeJob")
    store.faults.add(kind)
    async with rig(target_at(store_url, jobs=DESCRIBE)) as parts:
        listing = await parts.snapshot()
        assert (listing.error, len(listing.jobs), listing.details) == (None, 5, {})
        assert parts.failures().keys() == {"malformed"}


async def test_kept_answers_are_bounded(world, monkeypatch):
    """No more than MAX_KEPT answers are kept; the one that was not used for longest goes first."""
    monkeypatch.setattr(job_details, "MAX_KEPT", 3)
    reasons = job_details.DetailCache()
    world.listed[:] = [job(number) for number in range(5)]
    details = {
        made.id: Oss.parse_job(
            f"<DescribeJobResult><Job><JobId>{made.id}</JobId><Status>Failed</Status></Job>"
            "</DescribeJobResult>".encode()
        )
        for made in world.listed
    }
    reasons.keep({key: details[key] for key in ("job-000", "job-001", "job-002")})
    assert reasons.detail(world.listed[0]) is not None
    reasons.keep({"job-003": details["job-003"]})
    assert [made.id for made in world.listed if reasons.detail(made)] == ["job-000", "job-002", "job-003"]


async def test_watched_jobs_have_the_same_series(store, store_url):
    """With `ids`, the jobs are described and none is listed; each has what a listing would show, and why it failed."""
    watched = JobPolicy(ids=("job-000", "job-003"))
    async with rig(target_at(store_url), target_at(store_url, "few", jobs=watched)) as parts:
        everything, some = await parts.snapshots()
    assert some.error is None
    assert {one.id: one for one in some.jobs} == {one.id: one for one in everything.jobs if one.id in watched.ids}
    assert some.details["job-000"].failure_code == WHY.failure_code
    assert sum((some.counts or {}).values()) == 2
    assert listed(store) == 1


async def test_a_watched_job_that_does_not_exist(store_url, caplog):
    """An id that no job has is told once and counted as a failed request, and does not fail the others."""
    with caplog.at_level(logging.WARNING):
        async with rig(target_at(store_url, jobs=JobPolicy(ids=("job-000", "nobody", "job-003")))) as parts:
            for _ in range(2):
                listing = await parts.snapshot()
                assert [one.id for one in listing.jobs] == ["job-000", "job-003"]
                assert listing.error is None
            text = parts.self_metrics.render(openmetrics=False).decode()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "nobody" in line
    name = "batchops_api_request_failures_total"
    assert value(parse(text), name, operation="DescribeJob", reason="http_4xx") == 2


async def test_the_whole_watch_list_or_nothing(store, store_url):
    """Where one watched job cannot be read, the target is down and shows none of them."""
    store.faults.add(Fault("error", operation="DescribeJob", status=403, code="AccessDenied", times=1))
    async with rig(target_at(store_url, jobs=JobPolicy(ids=("job-000", "job-003")))) as parts:
        assert (await parts.failure()).reason == "access_denied"
        assert len((await parts.snapshot()).jobs) == 2


async def test_they_are_on_the_page(world):
    """A failure has its series, with awkward texts escaped."""
    with serve(create_app(Store(world))) as url:
        target = target_at(url, jobs=DESCRIBE)
        async with rig(target) as parts:
            listing = await parts.snapshot()
    samples = parse(b"".join(assemble([list(zip(*family_lines(listing), strict=True))])).decode())
    labels = {"failure_code": WHY.failure_code, "failure_reason": WHY.failure_reason}
    assert value(samples, "batchops_job_failure_info", job_id="job-000", **labels) == 1
