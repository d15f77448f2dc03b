from __future__ import annotations

import time

import httpx
import pytest

from exporter.simulator import Fault, Store, World, create_app, make_jobs
from exporter.web.app import Settings
from tests.rig import exporting, parse, target_at, value
from tests.serving import serve

HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
SLOW, FAST = "r-slow", "r-fast"


@pytest.fixture(scope="module")
def stores():
    """The base URL of two stores, one of which responds after half a minute."""
    made = [Store(World.fixed(make_jobs(5, region, now=1_750_000_000)), region) for region in (SLOW, FAST)]
    made[0].faults.add(Fault("delay", seconds=30))
    with serve(create_app(made)) as url:
        yield url


@pytest.fixture(scope="module")
def client(stores):
    """A client of an exporter of both stores."""
    with (
        exporting(target_at(stores, region=SLOW), target_at(stores, region=FAST)) as url,
        httpx.Client(timeout=20) as opened,
    ):
        opened.base_url = url
        opened.get("/probe?target=oss/prod/r-fast")  # creates what is created at first use
        yield opened


def scraped(client, timeout, url="/metrics"):
    """The samples of a scrape with the header `timeout`, and its duration in seconds."""
    start = time.monotonic()
    response = client.get(url, headers={HEADER: timeout}, timeout=20)
    assert response.status_code == 200
    return parse(response.text), time.monotonic() - start


def test_a_slow_target_times_out_before_the_scrape(client):
    """The slow target fails with `timeout` before Prometheus' own timeout, and the fast one is complete."""
    samples, took = scraped(client, "1.5")
    assert 1.0 <= took < 10
    assert value(samples, "batchops_up", region=SLOW) == 0
    assert value(samples, "batchops_scrape_error", region=SLOW, reason="timeout") == 1
    assert value(samples, "batchops_up", region=FAST) == 1
    assert sum(key.name == "batchops_job_info" for key in samples) == 5


def test_the_offset_is_at_most_half_of_the_timeout(client):
    """A timeout shorter than twice the offset is halved, so that a scrape always has some time."""
    samples, took = scraped(client, "0.8", "/probe?target=oss/prod/r-slow")
    assert 0.4 <= took < 10
    assert value(samples, "batchops_up", region=SLOW) == 0


def test_the_offset_can_be_set(stores):
    """`--timeout-offset` is subtracted from the timeout."""
    settings = Settings(timeout_offset=0.1)
    with (
        exporting(target_at(stores, region=SLOW), settings=settings) as url,
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        _, took = scraped(client, "0.9")
    assert 0.8 <= took < 8


@pytest.mark.parametrize("timeout", ["", "soon", "0", "-1", "nan", "inf", "-inf", "1e999", "1,5", "0x10", "\uff19"])
def test_an_invalid_timeout_is_ignored(timeout, client):
    """A header that is not a number of seconds above 0 is ignored, and the target's own timeout applies."""
    samples, _ = scraped(client, timeout.encode(), "/probe?target=oss/prod/r-fast")
    assert value(samples, "batchops_up", region=FAST) == 1


@pytest.mark.parametrize("timeout", [None, "1e9", "86400"])
def test_the_target_timeout_caps_every_scrape_timeout(timeout, stores):
    """However much time a scrape has, a listing takes no longer than the target's `timeout`."""
    with exporting(target_at(stores, region=SLOW, timeout=0.3)) as url:
        start = time.monotonic()
        headers = {} if timeout is None else {HEADER: timeout}
        samples = parse(httpx.get(f"{url}/metrics", headers=headers, timeout=20).text)
        assert 0.3 <= time.monotonic() - start < 8
    assert value(samples, "batchops_scrape_error", reason="timeout") == 1


@pytest.mark.parametrize("header", [None, "soon"])
def test_a_scrape_without_a_timeout_gets_the_default(header, stores):
    """`--timeout-default` is the timeout of scrapes that name none, less the offset; a header replaces it."""
    settings = Settings(timeout_default=0.8)
    with exporting(target_at(stores, region=SLOW, timeout=60.0), settings=settings) as url:
        headers = {} if header is None else {HEADER: header}
        samples = parse(httpx.get(f"{url}/metrics", headers=headers, timeout=20).text)
        assert value(samples, "batchops_scrape_error", region=SLOW, reason="timeout") == 1
        duration = value(samples, "batchops_scrape_duration_seconds")
        assert duration is not None
        assert duration >= 0.4
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{url}/metrics", headers={HEADER: "30"}, timeout=1.5)


def test_a_scrape_without_time_is_not_the_outcome_of_its_target(exported, store, store_url, caplog):
    """A scrape that could wait for 0.0001 s fails, but neither log nor page takes that for the target's state."""
    client = exported(target_at(store_url))
    for _ in range(3):
        assert value(parse(client.get("/metrics").text), "batchops_up") == 1
        late = parse(client.get("/metrics", headers={HEADER: "0.0001"}).text)
        assert value(late, "batchops_scrape_error", reason="timeout") == 1
        assert "timed out" not in client.get("/").text
    assert [record for record in caplog.records if record.message.startswith("listing")] == []
    store.faults.add(Fault("delay", seconds=30))
    client.get("/metrics", headers={HEADER: "1.5"})
    assert len([record for record in caplog.records if record.message.startswith("listing failed")]) == 1


def test_a_scrape_that_timed_out_sends_no_more_requests(exported):
    """After a scrape with slow pages has timed out, no more pages are requested."""
    store = Store(World.fixed(make_jobs(25, now=1_750_000_000)))
    store.faults.add(Fault("delay", seconds=0.25))
    with serve(create_app(store)) as url:
        client = exported(target_at(url, page_size=5))
        client.get("/probe?target=oss/prod/cn-hangzhou", headers={HEADER: "1.2"})
        requested = len(store.requests)
        assert 1 <= requested < 5
        time.sleep(0.5)
        assert len(store.requests) == requested
