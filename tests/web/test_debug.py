from __future__ import annotations

import asyncio
import re

import pytest
import yaml

from exporter import cli, config
from exporter.collector import trace
from exporter.core.target import JobPolicy
from exporter.providers import PROVIDERS
from exporter.simulator import Fault, Scenario, create_app
from exporter.web.app import Settings
from tests.rig import parse, rig, target_at, value
from tests.serving import serve
from tests.waiting import until

DEBUG = "/probe?target=oss/prod/cn-hangzhou&debug=true"
TOKEN = "FwoGZXIvYXdzEXAMPLE-session-token"


@pytest.fixture(params=sorted(PROVIDERS))
def cloud(request, exported):
    """A client of an exporter of one service, with temporary keys and pages of 10 jobs; its store; the debug URL."""
    (store,) = Scenario.from_mapping(
        {"provider": request.param, "page_size": 10, "jobs": {"count": 25}, "credentials": {"security_token": TOKEN}}
    ).stores
    with serve(create_app([store])) as url:
        account = cli._demo_account(store, url) | {"page_size": 10, "jobs": {"describe": False}}
        account["credentials"][PROVIDERS[request.param].credential_names.token] = TOKEN  # type: ignore[index]
        document = yaml.safe_dump({"accounts": [account]}).encode()
        (target,) = config.parse(document, file="test", environment={}).targets
        yield exported(target), store, f"/probe?target={target.name}&debug=true"


def steps(text):
    """The steps, without their times."""
    return re.findall(r"^ +\d+\.\d{3}  (.*)$", text, re.MULTILINE)


def assert_no_secret(text, store):
    """No key, token or signature that was sent is in `text`.

    The metrics may have page tokens: those of COS are ids of jobs.
    """
    before = text.partition("\nMetrics:\n")[0]
    assert not [request.token for request in store.requests if request.token and request.token in before]
    sent = {store.access_key_id, store.access_key_secret, TOKEN}
    for request in store.requests:
        authorization = request.raw.headers["authorization"]
        sent |= {authorization, *re.findall(r"[Ss]ignature=([^&, ]+)", authorization)}
    assert not [secret for secret in sent if secret in text]


def test_each_request_and_page_is_shown(cloud):
    """For each cloud: requests with URL, status and time, pages with jobs and parser, the result, then the metrics."""
    client, store, url = cloud
    response = client.get(url)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert response.headers["x-content-type-options"] == "nosniff"
    head, _, metrics = response.text.partition("\nMetrics:\n")
    requests = [step for step in steps(head) if re.search(r" returned 200 after \d+\.\d{3} s: GET http://127", step)]
    assert len(requests) == len(store.requests) == 3
    assert sum("oken=<token>" in step for step in requests) == 2
    pages = [step for step in steps(head) if step.startswith("page ")]
    assert [step.partition(" jobs, read by the parser ")[0] for step in pages] == [
        "page 1 has 10",
        "page 2 has 10",
        "page 3 has 5",
    ]
    assert re.search(r"^Result: up after \d+\.\d{3} s and 3 pages\.$", head, re.MULTILINE)
    assert "Jobs listed: 25 (" in head
    assert "Keys from the source static." in head
    samples = parse(metrics)
    assert (value(samples, "batchops_up"), value(samples, "batchops_scrape_pages")) == (1, 3)
    assert_no_secret(response.text, store)


def test_a_failure_is_shown_with_its_remedy(cloud):
    """For each cloud: a refused listing shows status, reason, code, message and remedy, and `batchops_up` is 0."""
    client, store, url = cloud
    store.permissions.clear()
    text = client.get(url).text
    assert any("ListJobs returned 403 after " in step for step in steps(text))
    assert re.search(
        r"\nResult: down after \d+\.\d{3} s and 0 pages, reason access_denied, code AccessDenied\.\n", text
    )
    assert re.search(r"\nError: page 1: ListJobs returned 403 AccessDenied: the credentials lack .*ListJobs", text)
    assert "\nWhat to do: grant the permission that the message names" in text
    assert value(parse(text.partition("\nMetrics:\n")[2]), "batchops_up") == 0
    assert_no_secret(text, store)


def test_a_wrong_secret_is_not_shown(cloud):
    """For each cloud: if the signature is refused, neither the keys nor what the service quotes of them is shown."""
    client, store, url = cloud
    used = store.access_key_secret
    store.access_key_secret = "another"
    text = client.get(url).text
    assert "reason auth, code SignatureDoesNotMatch." in text
    store.access_key_secret = used
    assert_no_secret(text, store)
    assert not re.search("stringtosign|authorization|hmac", text, re.IGNORECASE)


def test_retries_are_shown(cloud):
    """For each cloud: every attempt is shown with its error, and that the request is sent again."""
    client, store, url = cloud
    store.faults.add(Fault("error", status=503, code="ServiceUnavailable", times=1))
    store.faults.add(Fault("close", page=2, times=1))
    text = client.get(url).text
    kinds = [re.sub(r" (after|\(|with|read|has).*", "", step) for step in steps(text) if "ListJobs" in step]
    assert kinds.count("ListJobs is sent again") == 2
    assert kinds[:4] == ["ListJobs returned 503", "ListJobs failed", "ListJobs is sent again", "ListJobs returned 200"]
    assert any(step.startswith("ListJobs failed (connect): ") for step in steps(text))
    assert any(step.startswith("ListJobs had no whole response after ") for step in steps(text))
    assert "Result: up" in text
    assert_no_secret(text, store)


def test_it_is_a_run_of_its_own(exported, store, store_url, meanwhile):
    """A debug run does not join a run in progress, ignores `min_interval`, and leaves the last snapshot as it was."""
    client = exported(target_at(store_url, min_interval=60.0))
    store.faults.add(Fault("delay", seconds=1, times=1))
    scrape = meanwhile(lambda: client.get("/metrics"))
    until(lambda: store.requests)
    assert "Result: up" in client.get(DEBUG).text
    assert len(store.requests) == 2
    assert "nothing has scraped it" in client.get("/").text
    scrape.join()
    store.faults.add(Fault("error", status=403, code="AccessDenied"))
    assert "Result: down" in client.get(DEBUG).text
    assert len(store.requests) == 3
    assert ">up</span>" in client.get("/").text
    assert value(parse(client.get("/metrics").text), "batchops_api_requests_total") == 3


def test_the_deadline_of_the_scrape_holds(exported, store, store_url):
    """A debug run ends before the scrape timeout, and shows the pages and the request that were not complete."""
    client = exported(target_at(store_url, page_size=10))
    store.faults.add(Fault("delay", page=2, seconds=30))
    text = client.get(DEBUG, headers={"x-prometheus-scrape-timeout-seconds": "1.5"}).text
    assert "Limited by its own timeout, and 1.000 s from the scrape timeout." in text
    assert steps(text)[1].startswith("page 1 has 10 jobs")
    assert steps(text)[2].startswith("ListJobs had no whole response after ")
    assert "ListJobs failed (timeout): the time was up" in steps(text)
    assert "Error: timed out after 1 page; raise scrape_timeout" in text


def test_details_and_dropped_jobs_are_shown(exported, store, store_url):
    """DescribeJob requests are steps too, and the result names the jobs that the settings leave out."""
    client = exported(target_at(store_url, jobs=JobPolicy(describe=True, max=20)))
    text = client.get(DEBUG).text
    described = sum(step.startswith("DescribeJob returned 200") for step in steps(text))
    assert described == len(store.requests) - 1 > 0
    assert f"Jobs with details: {described}." in text
    assert "Jobs with series: 20; left out: 5 by jobs.max." in text


def test_waiting_is_a_step(exported, store_url):
    """The wait for `requests_per_second` is shown, so that a slow scrape has its reason."""
    client = exported(target_at(store_url, page_size=10, requests_per_second=2.0))
    waits = [step for step in steps(client.get(DEBUG).text) if re.match(r"ListJobs waited 0\.[1-9]\d\d s ", step)]
    assert waits
    assert all(step.endswith(" s for its turn; see requests_per_second") for step in waits)


def test_a_long_trace_is_cut(exported, store_url, monkeypatch):
    """Steps after the limit are only counted, so that memory is bounded."""
    monkeypatch.setattr(trace, "MAX_STEPS", 4)
    text = exported(target_at(store_url, page_size=10)).get(DEBUG).text
    assert len(steps(text)) == 4
    assert "\n           2 more steps are not shown\n" in text


@pytest.mark.parametrize("query", ["debug=false", "debug=1", "debug=", "debug=True"])
def test_only_true_asks_for_it(query, client):
    """Any other value of `debug` is a usual scrape, as in blackbox_exporter."""
    response = client.get(DEBUG.replace("debug=true", query))
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert response.text.startswith("# HELP batchops_up")


def test_it_is_a_scrape_like_others(exported, store, store_url, meanwhile):
    """HEAD costs no listing, an unknown target is a 404, and the limit of concurrent scrapes holds."""
    client = exported(target_at(store_url), settings=Settings(max_requests=1))
    assert client.head(DEBUG).headers["content-type"] == "text/plain; charset=utf-8"
    assert client.get(DEBUG.replace("prod", "other")).status_code == 404
    assert not store.requests
    store.faults.add(Fault("delay", seconds=1, times=1))
    running = meanwhile(lambda: client.get(DEBUG))
    until(lambda: store.requests)
    assert client.get("/metrics").status_code == 503
    running.join()
    until(lambda: client.get("/metrics").status_code == 200)


@pytest.mark.anyio
async def test_it_ends_with_the_exporter(store, store_url):
    """When the exporter stops, a debug run in progress ends, as the runs of scrapes do."""
    store.faults.add(Fault("delay", seconds=30))
    async with rig(target_at(store_url, timeout=20.0)) as parts:
        running = asyncio.create_task(parts.collector.find(parts.targets[0].name).traced(None))
        await asyncio.to_thread(until, lambda: store.requests)
        parts.collector.stop()
        snapshot, _ = await asyncio.wait_for(running, 10)
    assert snapshot.error is not None
    assert snapshot.error.reason == "timeout"
