from __future__ import annotations

import gzip
import time

import pytest

from exporter.exposition.families import FAMILIES
from exporter.simulator import Fault, Store, World, create_app, make_jobs
from exporter.web.app import Settings
from tests.rig import parse, target_at, value
from tests.serving import serve
from tests.waiting import until

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TARGET = "oss/prod/cn-hangzhou"
SCRAPES = ["/metrics", f"/probe?target={TARGET}"]


@pytest.fixture
def two(exported):
    """A client of an exporter of two targets, and the stores behind them."""
    stores = [Store(World.fixed(make_jobs(5, region, now=1_750_000_000)), region) for region in ("r-one", "r-two")]
    with serve(create_app(stores)) as url:
        yield exported(*(target_at(url, region=store.region) for store in stores)), stores


OWN = ("batchops_api_", "batchops_exporter_", "process_", "python_")


def families(text):
    """The lines about targets, in their order, without those on how long something took."""
    lines = [line for line in text.splitlines() if "_duration_seconds" not in line and "_last_success_" not in line]
    return [line for line in lines if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(OWN)]


@pytest.mark.parametrize("url", SCRAPES)
def test_a_scrape_answers_in_text_format(url, client, store):
    """A scrape without wishes is answered in text format 0.0.4, with a length and for this request only."""
    answer = client.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TEXT
    assert answer.headers["vary"] == "accept, accept-encoding"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "content-encoding" not in answer.headers
    assert value(parse(answer.text), "batchops_up") == 1
    assert len(store.requests) == 1


@pytest.mark.parametrize("url", SCRAPES)
def test_a_scrape_answers_in_openmetrics_where_it_is_preferred(url, client):
    """Who asks for OpenMetrics gets it, with its end mark once and at the end."""
    answer = client.get(url, headers={"accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"})
    assert answer.headers["content-type"] == OPENMETRICS
    assert answer.text.endswith("\n# EOF\n")
    assert answer.text.count("# EOF") == 1


@pytest.mark.parametrize("url", SCRAPES)
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_a_scrape_is_compressed_where_it_is_accepted(url, accept, client):
    """With gzip the same lines arrive, compressed, under the length of what is sent."""
    plain = client.get(url, headers={"accept": accept})
    with client.stream("GET", url, headers={"accept": accept, "accept-encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == plain.headers["content-type"]
    assert int(answer.headers["content-length"]) == len(packed) < len(plain.content)
    assert families(gzip.decompress(packed).decode()) == families(plain.text)


def test_metrics_are_every_target_and_the_exporter_itself(two):
    """`/metrics` has both targets, each family under one heading, and the exporter's own families behind them."""
    client, _ = two
    text = client.get("/metrics").text
    samples = parse(text)
    assert value(samples, "batchops_up", region="r-one") == value(samples, "batchops_up", region="r-two") == 1
    heads = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(heads) == len(set(heads))
    assert heads[: len(FAMILIES)] == [family.name for family in FAMILIES]
    assert {"batchops_api_requests_total", "batchops_exporter_build_info", "python_info"} <= set(heads)
    assert value(samples, "batchops_api_requests_total", region="r-one", operation="ListJobs") == 1
    assert value(samples, "batchops_exporter_scrapes_in_flight") == 1


def test_probe_is_one_target_as_metrics_show_it(two):
    """`/probe` has the target's lines exactly as `/metrics` has them, no other target's and nothing of the exporter."""
    client, stores = two
    whole = families(client.get("/metrics").text)
    asked = len(stores[1].requests)
    one = client.get("/probe?target=oss/prod/r-one").text
    assert families(one) == [line for line in whole if 'region="r-two"' not in line]
    assert not any(own in one for own in OWN)
    assert len(stores[1].requests) == asked


def test_stale_jobs_are_shown_beside_the_failure(exported, store, store_url):
    """With `serve_stale_for` a failed target keeps its jobs and counts; that it is down and since when is told."""
    client = exported(target_at(store_url, serve_stale_for=60.0, retries=0))
    good = parse(client.get("/metrics").text)
    store.faults.add(Fault("error", status=500))
    stale = parse(client.get("/metrics").text)
    assert (value(good, "batchops_up"), value(stale, "batchops_up")) == (1, 0)
    assert value(stale, "batchops_scrape_error", reason="http_5xx") == 1
    for name in ("batchops_job_status", "batchops_jobs", "batchops_last_success_timestamp_seconds"):
        kept = {key: number for key, number in good.items() if key.name == name}
        assert kept
        assert kept == {key: number for key, number in stale.items() if key.name == name}


@pytest.mark.parametrize("url", SCRAPES)
def test_head_tells_the_headers_and_asks_no_service(url, client, store):
    """HEAD is answered with the headers of a scrape, without its length, and costs no listing."""
    headers = {"accept-encoding": "gzip", "accept": "application/openmetrics-text"}
    answer = client.head(url, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    told = client.get(url, headers=headers).headers
    for name in ("content-type", "content-encoding", "vary"):
        assert answer.headers[name] == told[name]
    assert "content-length" not in answer.headers
    assert len(store.requests) == 1


@pytest.mark.parametrize("url", ["/", "/-/healthy", "/-/ready", "/probe", "/probe?target=x", "/nothing"])
def test_head_is_get_without_a_body(url, client):
    """On every other route HEAD has the status and headers of GET."""
    head, get = client.head(url), client.get(url)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert get.content
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("query", ["", "?", "?target=", "?target=a&target=b", "?other=1", f"?target={TARGET}&target=x"])
def test_probe_needs_one_target(query, client, store):
    """Without the parameter, or with two, the answer is 400 (404 where it is empty) and names the known targets."""
    answer = client.get(f"/probe{query}")
    assert answer.status_code == (404 if query == "?target=" else 400)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert f"known targets: {TARGET}\n" in answer.text
    assert not store.requests


@pytest.mark.parametrize(
    "name", ["oss/prod/nowhere", "<script>", "%ff%00", "oss/prod/cn-hangzhou/", "OSS/prod/cn-hangzhou"]
)
def test_probe_knows_its_targets(name, client, store):
    """An unknown target is a 404 that names the known ones and echoes nothing."""
    answer = client.get(f"/probe?target={name}")
    assert answer.status_code == 404
    assert answer.text == f"This target is not in the configuration; known targets: {TARGET}\n"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not store.requests


@pytest.mark.parametrize("url", ["/metricsx", "/metrics/", "/-/", "/-/reload", "/favicon.ico", "/../etc/passwd"])
def test_nothing_else_is_there(url, client, store):
    """Any other path is a 404."""
    assert client.get(url).status_code == 404
    assert not store.requests


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("url", ["/metrics", "/probe", "/", "/-/healthy", "/-/ready"])
def test_only_get_and_head(method, url, client, store):
    """Other methods are a 405 that names those allowed."""
    answer = client.request(method, url)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert not store.requests


def test_the_telemetry_path_can_be_another(exported, store_url):
    """The metrics are where the settings put them, and no longer at the default path."""
    client = exported(target_at(store_url), settings=Settings(telemetry_path="/batch/metrics"))
    assert client.get("/batch/metrics").status_code == 200
    assert client.get("/metrics").status_code == 404


def test_no_more_scrapes_than_allowed(exported, store, store_url, meanwhile):
    """One scrape more than allowed is told to come later, other routes are not; then there is room again."""
    client = exported(target_at(store_url), settings=Settings(max_requests=1))
    store.faults.add(Fault("delay", seconds=1, times=1))
    first = meanwhile(lambda: client.get("/metrics"))
    until(lambda: store.requests)
    for url in SCRAPES:
        answer = client.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "text/plain; charset=utf-8")
        assert answer.text == "Limit of concurrent scrapes (1) reached, try again later.\n"
    assert client.head("/metrics").status_code == 200
    assert client.get("/-/healthy").status_code == client.get("/").status_code == 200
    first.join()
    until(lambda: client.get("/metrics").status_code == 200)


def test_zero_is_no_limit(exported, store, store_url, meanwhile):
    """With a limit of 0 any number of scrapes is answered."""
    client = exported(target_at(store_url), settings=Settings(max_requests=0))
    store.faults.add(Fault("delay", seconds=0.3, times=1))
    answers = []
    threads = [meanwhile(lambda: answers.append(client.get("/metrics").status_code)) for _ in range(12)]
    for thread in threads:
        thread.join()
    assert answers == [200] * 12
    assert len(store.requests) < 12


def test_health_asks_no_service_and_waits_for_none(client, store, meanwhile):
    """Health, readiness and the landing page answer at once while a scrape hangs, and ask no service."""
    store.faults.add(Fault("delay", seconds=1, times=1))
    hanging = meanwhile(lambda: client.get("/metrics"))
    until(lambda: store.requests)
    start = time.monotonic()
    for url in ("/-/healthy", "/-/ready", "/"):
        answer = client.get(url)
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
    assert time.monotonic() - start < 0.5
    assert hanging.is_alive()
    assert len(store.requests) == 1


def test_self_metrics_have_a_route_without_any_listing(client, store):
    """`/-/metrics` has the exporter's own families, none of a target, and calls no service."""
    text = client.get("/-/metrics").text
    assert "\nbatchops_exporter_build_info{" in text
    assert not [family.name for family in FAMILIES if f" {family.name} " in text]
    assert not store.requests
