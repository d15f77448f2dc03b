from __future__ import annotations

import gzip

import pytest

from exporter.exposition.families import FAMILIES
from exporter.simulator import Fault, Store, World, create_app, make_jobs
from exporter.web import app, router
from exporter.web.app import Settings
from tests.rig import parse, target_at, value
from tests.serving import serve
from tests.waiting import until

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TARGET = "oss/prod/cn-hangzhou"
SCRAPES = ["/metrics", f"/probe?target={TARGET}"]


@pytest.fixture
def two_targets(exported):
    """A client of an exporter of two_targets targets, and the stores behind them."""
    stores = [
        Store(World.fixed(make_jobs(5, region, now=1_750_000_000)), region) for region in ("r-one", "r-two_targets")
    ]
    with serve(create_app(stores)) as url:
        yield exported(*(target_at(url, region=store.region) for store in stores)), stores


OWN = ("batchops_api_", "batchops_exporter_", "process_", "python_")


def families(text):
    """The lines about targets, in order, without durations and times."""
    lines = [line for line in text.splitlines() if "_duration_seconds" not in line and "_last_success_" not in line]
    return [line for line in lines if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(OWN)]


@pytest.mark.parametrize("url", SCRAPES)
def test_a_scrape_returns_the_text_format(url, client, store):
    """A scrape without an Accept header returns text format 0.0.4, with its length, from a new listing."""
    response = client.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"] == TEXT
    assert response.headers["vary"] == "accept, accept-encoding"
    assert int(response.headers["content-length"]) == len(response.content)
    assert "content-encoding" not in response.headers
    assert value(parse(response.text), "batchops_up") == 1
    assert len(store.requests) == 1


@pytest.mark.parametrize("url", SCRAPES)
def test_a_scrape_returns_openmetrics_if_preferred(url, client):
    """A client that prefers OpenMetrics gets it, with one end mark at the end."""
    response = client.get(url, headers={"accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"})
    assert response.headers["content-type"] == OPENMETRICS
    assert response.text.endswith("\n# EOF\n")
    assert response.text.count("# EOF") == 1


@pytest.mark.parametrize("url", SCRAPES)
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_a_scrape_is_compressed_if_accepted(url, accept, client):
    """With gzip the same lines are sent compressed, with the length of the compressed body."""
    plain = client.get(url, headers={"accept": accept})
    with client.stream("GET", url, headers={"accept": accept, "accept-encoding": "gzip"}) as response:
        packed = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-type"] == plain.headers["content-type"]
    assert int(response.headers["content-length"]) == len(packed) < len(plain.content)
    assert families(gzip.decompress(packed).decode()) == families(plain.text)


def test_metrics_are_every_target_and_the_exporter_itself(two_targets):
    """`/metrics` has both targets, each family under one heading, followed by the exporter's own families."""
    client, _ = two_targets
    text = client.get("/metrics").text
    samples = parse(text)
    assert value(samples, "batchops_up", region="r-one") == value(samples, "batchops_up", region="r-two_targets") == 1
    heads = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(heads) == len(set(heads))
    assert heads[: len(FAMILIES)] == [family.name for family in FAMILIES]
    assert {"batchops_api_requests_total", "batchops_exporter_build_info", "python_info"} <= set(heads)
    assert value(samples, "batchops_api_requests_total", region="r-one", operation="ListJobs") == 1
    assert value(samples, "batchops_exporter_scrapes_in_flight") == 1


def test_probe_returns_one_target_as_metrics_do(two_targets):
    """`/probe` has exactly the target's lines of `/metrics`, without other targets or the exporter."""
    client, stores = two_targets
    whole = families(client.get("/metrics").text)
    requested = len(stores[1].requests)
    probed = client.get("/probe?target=oss/prod/r-one").text
    assert families(probed) == [line for line in whole if 'region="r-two_targets"' not in line]
    assert not any(own in probed for own in OWN)
    assert len(stores[1].requests) == requested


def test_stale_jobs_are_shown_with_the_failure(exported, store, store_url):
    """With `serve_stale_for` a failed target keeps its jobs and counts, and reports its error and last success."""
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
def test_head_returns_the_headers_without_a_listing(url, client, store):
    """HEAD returns the headers of a scrape, except its length, without a listing."""
    headers = {"accept-encoding": "gzip", "accept": "application/openmetrics-text"}
    response = client.head(url, headers=headers)
    assert (response.status_code, response.content) == (200, b"")
    headers_of_get = client.get(url, headers=headers).headers
    for name in ("content-type", "content-encoding", "vary"):
        assert response.headers[name] == headers_of_get[name]
    assert "content-length" not in response.headers
    assert len(store.requests) == 1


@pytest.mark.parametrize("url", ["/", "/-/healthy", "/-/ready", "/probe", "/probe?target=x", "/nothing"])
def test_head_is_get_without_a_body(url, client):
    """On every other route HEAD returns the status and headers of GET."""
    head, get = client.head(url), client.get(url)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert get.content
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("query", ["", "?", "?target=", "?target=a&target=b", "?other=1", f"?target={TARGET}&target=x"])
def test_probe_needs_one_target(query, client, store):
    """A missing or repeated parameter is a 400, an empty one a 404; both list the known targets."""
    response = client.get(f"/probe{query}")
    assert response.status_code == (404 if query == "?target=" else 400)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert f"known targets: {TARGET}\n" in response.text
    assert not store.requests


@pytest.mark.parametrize(
    "name", ["oss/prod/nowhere", "<script>", "%ff%00", "oss/prod/cn-hangzhou/", "OSS/prod/cn-hangzhou"]
)
def test_probe_refuses_an_unknown_target(name, client, store):
    """An unknown target is a 404 that lists the known ones and does not echo the request."""
    response = client.get(f"/probe?target={name}")
    assert response.status_code == 404
    assert response.text == f"This target is not in the configuration; known targets: {TARGET}\n"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not store.requests


@pytest.mark.parametrize(
    "url",
    [
        "/metricsx",
        "/metrics%0a",
        "/-/ready%0A",
        "/%0a/metrics",
        "/metrics/",
        "/-/",
        "/favicon.ico",
        "/../etc/passwd",
    ],
)
def test_any_other_path_is_not_found(url, client, store):
    """Any other path is a 404."""
    assert client.get(url).status_code == 404
    assert not store.requests


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize("url", ["/metrics", "/probe", "/", "/-/healthy", "/-/ready"])
def test_only_get_and_head(method, url, client, store):
    """Other methods are a 405 that lists the allowed ones."""
    response = client.request(method, url)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert not store.requests


def test_the_telemetry_path_can_be_set(exported, store_url):
    """The metrics are at the configured path, and no longer at the default one."""
    client = exported(target_at(store_url), settings=Settings(telemetry_path="/batch/metrics"))
    assert client.get("/batch/metrics").status_code == 200
    assert client.get("/metrics").status_code == 404


def test_concurrent_scrapes_are_limited(exported, store, store_url, meanwhile):
    """A scrape over the limit gets a 503, other routes do not, and a later scrape succeeds again."""
    client = exported(target_at(store_url), settings=Settings(max_requests=1))
    store.faults.add(Fault("delay", seconds=1, times=1))
    first = meanwhile(lambda: client.get("/metrics"))
    until(lambda: store.requests)
    for url in SCRAPES:
        response = client.get(url)
        assert (response.status_code, response.headers["content-type"]) == (503, "text/plain; charset=utf-8")
        assert response.text == "Limit of concurrent scrapes (1) reached, try again later.\n"
        assert response.headers["retry-after"] == str(app.RETRY_AFTER_SECONDS)
    assert client.head("/metrics").status_code == 200
    assert client.get("/-/healthy").status_code == client.get("/").status_code == 200
    first.join()
    until(lambda: client.get("/metrics").status_code == 200)


def test_zero_is_no_limit(exported, store, store_url, meanwhile):
    """With a limit of 0 any number of concurrent scrapes succeeds."""
    client = exported(target_at(store_url), settings=Settings(max_requests=0))
    store.faults.add(Fault("delay", seconds=0.3, times=1))
    responses = []
    threads = [meanwhile(lambda: responses.append(client.get("/metrics").status_code)) for _ in range(12)]
    for thread in threads:
        thread.join()
    assert responses == [200] * 12
    assert len(store.requests) < 12


def test_health_does_not_wait_for_a_service(client, store, meanwhile):
    """Health, readiness and the landing page respond while a scrape hangs, and send no request to the service."""
    store.faults.add(Fault("delay", seconds=5, times=1))
    hanging = meanwhile(lambda: client.get("/metrics"))
    until(lambda: store.requests)
    for url in ("/-/healthy", "/-/ready", "/"):
        response = client.get(url)
        assert (response.status_code, response.headers["x-content-type-options"]) == (200, "nosniff")
    assert hanging.is_alive()
    assert len(store.requests) == 1


def test_self_metrics_have_a_route_without_any_listing(client, store):
    """`/-/metrics` has the exporter's own families, none of a target, and calls no service."""
    text = client.get("/-/metrics").text
    assert "\nbatchops_exporter_build_info{" in text
    assert not [family.name for family in FAMILIES if f" {family.name} " in text]
    assert not store.requests


ROUTES = ["/metrics", *app.FIXED_PATHS]


@pytest.mark.parametrize("url", ROUTES)
def test_options_lists_the_methods(url, client, store):
    """OPTIONS, which health checks of proxies use, is answered on every route with the allowed methods."""
    response = client.options(url)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert not store.requests


@pytest.mark.parametrize("url", [*ROUTES, "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_every_response_has_the_security_headers(method, url, client):
    """Whatever is requested, the response forbids guessing its type, frames, and what a browser could load or keep."""
    headers = client.request(method, url).headers
    for name in router.HEADERS.keys() - {"content-security-policy"}:
        assert headers[name] == router.HEADERS[name]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("url", [*ROUTES, "/batchops", "/batchops/nothing"])
def test_every_route_is_also_below_the_prefix(url, exported, store_url):
    """With a prefix each route is served with and without it; the links and the entries of /sd have it."""
    client = exported(target_at(store_url), settings=Settings(route_prefix="/batchops"))
    if url.startswith("/batchops"):
        assert client.get(url).status_code == (200 if url == "/batchops" else 404)
        return
    query = f"?target={TARGET}" if url == "/probe" else ""
    assert client.get(f"/batchops{url}{query}").status_code == client.get(f"{url}{query}").status_code == 200
    assert 'href="/batchops/metrics"' in client.get("/").text
    (entry,) = client.get("/batchops/sd").json()
    assert entry["labels"]["__metrics_path__"] == "/batchops/probe"


def test_an_error_of_the_exporter_is_a_500(client, caplog, monkeypatch):
    """A bug is a 500 without details, which are in the log, and later requests are answered."""

    def fail(*_args, **_keywords):
        raise RuntimeError("CANARY")

    with monkeypatch.context() as patch:
        patch.setattr("exporter.web.landing.page", fail)
        response = client.get("/")
    assert (response.status_code, response.text) == (500, "Internal error, see the exporter's log.\n")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "CANARY" in caplog.text
    assert client.get("/").status_code == 200


def test_each_request_is_a_line_at_debug(client, caplog):
    """At the level debug each request is a line with method, path and status, and without its query."""
    with caplog.at_level("DEBUG", "exporter.web.router"):
        client.get("/probe?target=CANARY")
        until(lambda: any(record.msg == "request" for record in caplog.records))
    (record,) = [vars(record) for record in caplog.records if record.msg == "request"]
    assert (record["method"], record["path"], record["status"]) == ("GET", "/probe", 404)
    assert "CANARY" not in str(record)
