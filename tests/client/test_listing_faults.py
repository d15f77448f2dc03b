"""A fault of one target is reported with its reason, exposes no jobs, and does not affect other targets."""

from __future__ import annotations

import logging
import time

import httpx
import pytest

from exporter.simulator import Fault, Store, World, create_app, make_jobs
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.messages import Style
from tests.rig import exporting, keys, parse, target_at, value
from tests.serving import serve

TOKEN = "CANARY-security-token"
SECRET = "CANARY-secret"
GOOD = {"account": "prod", "region": "ap-southeast-1"}
BAD = {"account": "prod", "region": "cn-hangzhou"}
PAGE = DIALECTS["oss"].list_response(make_jobs(3, now=1_760_000_000), None, Style())


def body(text, **more):
    return Fault("body", body=text if isinstance(text, bytes) else text.encode(), **more)


def error(status, code, **more):
    return Fault("error", status=status, code=code, message="CANARY <StringToSign> & more", **more)


FAULTS = {
    "no body": (Fault("empty"), "malformed", "page 1: the response has an empty body instead of the documented XML"),
    "blanks": (body(" \n"), "malformed", "page 1: the response has an empty body"),
    "another root": (body("<ListBucketResult>CANARY</ListBucketResult>"), "malformed", "is not ListJobsResult"),
    "HTML": (body("<!DOCTYPE html><html>CANARY<br></html>"), "malformed", "is a web page"),
    "HTML without a doctype": (body("<html>CANARY<br></html>"), "malformed", "is a web page"),
    "JSON": (body('{"CANARY": 1}'), "malformed", "is not well-formed XML"),
    "XML cut short": (body(PAGE[:-30]), "malformed", "is not well-formed XML"),
    "an entity": (
        body(PAGE.replace(b"?>", b'?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>')),
        "malformed",
        "declares a document type",
    ),
    "jobs elsewhere": (
        body(PAGE.replace(b"Jobs>", b"JobList>")),
        "malformed",
        "page 1: the response contains jobs outside Jobs",
    ),
    "no jobs": (body("<ListJobsResult/>"), "malformed", "contains no Jobs element"),
    "a job without an id": (body(PAGE.replace(b"JobId>", b"Id>")), "malformed", "JobId is missing or empty"),
    "a later page": (Fault("empty", page=3), "malformed", "page 3: the response has an empty body"),
    "the same token again": (Fault("repeat_token", page=2), "pagination", "returned the same page token twice"),
    "pages without end": (Fault("endless"), "pagination", "there are more than 5 pages; raise max_pages"),
    "a page too large": (Fault("oversize", size=17 << 20), "too_large", "is larger than 16777216 bytes"),
    "a page too large, in chunks": (Fault("oversize", size=17 << 20, chunked=True), "too_large", "is larger than"),
    "a bomb": (Fault("gzip_bomb", size=32 << 20), "too_large", "is larger than 16777216 bytes"),
    "a lying encoding": (Fault("bad_encoding"), "malformed", "not gzip, as its header says"),
    "a strange encoding": (Fault("bad_encoding", encoding="br"), "malformed", "content encoding 'br'"),
    "a redirect": (Fault("redirect", url="https://CANARY.example/"), "malformed", "redirects are not followed"),
    "another success": (body(PAGE, status=206), "malformed", "returned 206: this status is not documented"),
    "cut": (Fault("cut", page=2), "connect", "page 2: the connection to 127.0.0.1:"),
    "closed": (Fault("close"), "connect", "ended early: the other side closed it"),
    "reset": (Fault("reset"), "connect", "ended early: Connection reset by peer"),
    "no response": (Fault("delay", seconds=30), "timeout", "timed out after 0 pages; raise scrape_timeout"),
    "slow in all": (Fault("drip", seconds=0.1, size=20), "timeout", "timed out after 0 pages"),
    "a slow page": (Fault("delay", seconds=30, page=3), "timeout", "timed out after 2 pages"),
    "AccessDenied": (error(403, "AccessDenied"), "access_denied", "lack the permission oss:ListJobs"),
    "InvalidAccessKeyId": (error(403, "InvalidAccessKeyId"), "auth", "check access_key_id"),
    "SignatureDoesNotMatch": (error(403, "SignatureDoesNotMatch"), "auth", "the signature is wrong"),
    "RequestTimeTooSkewed": (error(403, "RequestTimeTooSkewed"), "auth", "is off by more than 15 minutes"),
    "InvalidSecurityToken": (error(403, "InvalidSecurityToken"), "auth", "the security token is not valid"),
    "SecurityTokenExpired": (error(403, "SecurityTokenExpired"), "auth", "the security token has expired"),
    "UserDisable": (error(403, "UserDisable"), "auth", "the account is disabled or has unpaid bills"),
    "InvalidArgument": (error(400, "InvalidArgument"), "http_4xx", "400 InvalidArgument: the service does not accept"),
    "NoSuchBucket": (error(404, "NoSuchBucket"), "http_4xx", "404 NoSuchBucket"),
    "QpsLimitExceeded": (error(503, "QpsLimitExceeded"), "throttled", "lower requests_per_second"),
    "a new code with 401": (error(401, "NewCode"), "auth", "401 NewCode: the service does not accept the credentials"),
    "a new code with 403": (error(403, "NewCode"), "access_denied", "403 NewCode: the service denies access"),
    "a new code with 429": (error(429, "NewCode"), "throttled", "429 NewCode: too many requests"),
    "InternalError": (
        error(500, "InternalError"),
        "http_5xx",
        "500 InternalError: the service returned a server error",
    ),
    "ServiceUnavailable": (error(503, "ServiceUnavailable"), "http_5xx", "503 ServiceUnavailable"),
    "an error in a header": (error(403, "AccessDenied", bodyless=True), "access_denied", "403 AccessDenied"),
    "an error without XML": (
        body("<html>CANARY", status=502),
        "http_5xx",
        "returned 502: the service returned a server error",
    ),
}
"""Each fault → the reason, and what the log line says."""


@pytest.fixture(scope="module")
def stores():
    """The store with faults, and the healthy one, on one host."""
    regions = (BAD["region"], GOOD["region"])
    jobs = [make_jobs(25, region, now=time.time()) for region in regions]
    made = [Store(World.fixed(listed), region) for listed, region in zip(jobs, regions, strict=True)]
    for store in made:
        store.access_key_secret, store.security_token = SECRET, TOKEN
    return made


@pytest.fixture(scope="module")
def exporter(stores):
    def target(store):
        return target_at(
            url,
            region=store.region,
            page_size=10,
            max_pages=5,
            retries=0,
            credentials=keys(secret=SECRET, token=TOKEN),
        )

    with (
        serve(create_app(stores)) as url,
        exporting(*map(target, stores)) as exporter_url,
        httpx.Client(base_url=exporter_url, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def healthy(exporter, stores):
    """Checks that the target with faults has recovered after the test."""
    yield
    stores[0].faults.clear()
    stores[0].permissions, stores[0].enabled, stores[0].token_expires = {"ListJobs"}, True, None
    assert_good(scraped(exporter), BAD, stores[0])


def scraped(exporter, timeout=10.0):
    """The samples of a scrape with the header that Prometheus sends."""
    response = exporter.get("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": str(timeout)})
    assert response.status_code == 200
    return parse(response.text)


def assert_good(samples, labels, store):
    """The target is up, and has a series for each of its jobs."""
    assert value(samples, "batchops_up", **labels) == 1
    assert value(samples, "batchops_scrape_pages", **labels) == 3
    ids = {dict(key.labels)["job_id"] for key in samples if key.name == "batchops_job_info" and of(key, labels)}
    assert ids == {job.id for job in store.world.jobs(time.time())}
    assert value(samples, "batchops_scrape_error", **labels) is None


def assert_failed(samples, reason):
    """The bad target is down for `reason`, and has no series about jobs."""
    assert value(samples, "batchops_up", **BAD) == 0
    assert value(samples, "batchops_scrape_error", **BAD) == 1
    assert value(samples, "batchops_scrape_error", reason=reason, **BAD) == 1
    assert value(samples, "batchops_scrape_duration_seconds", **BAD) is not None
    prefixes = ("batchops_job_", "batchops_jobs", "batchops_scrape_jobs_dropped")
    assert not [key for key in samples if key.name.startswith(prefixes) and of(key, BAD)]


def of(key, labels):
    return labels.items() <= dict(key.labels).items()


def warning(caplog):
    """The exporter's single log record, checked not to contain secrets or raw responses."""
    records = [record for record in caplog.records if record.name.startswith("exporter") and record.levelno > 20]
    assert [record.levelno for record in records] == [logging.WARNING]
    text = f"{records[0].getMessage()} {records[0].__dict__}"
    for hidden in ("CANARY", "StringToSign", "OSS4-HMAC", "<Error>", "etc/passwd", "Traceback"):
        assert hidden not in text
    assert records[0].__dict__["target"] == "oss/prod/cn-hangzhou"
    return records[0]


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported_and_affects_no_other_target(name, exporter, stores, caplog):
    """The faulty target is down with one reason and no jobs, the other is complete, and the log has the details."""
    fault, reason, text = FAULTS[name]
    stores[0].faults.add(fault)
    samples = scraped(exporter, 1.4 if reason == "timeout" else 10.0)
    assert_failed(samples, reason)
    assert_good(samples, GOOD, stores[1])
    record = warning(caplog)
    assert record.__dict__["reason"] == reason
    assert text in record.getMessage()
    if fault.kind == "error":
        assert f" {fault.status} {fault.code}" in record.getMessage()
        assert "(request id " in record.getMessage()


EDITS = {
    "no permission": ("permissions", set(), "access_denied", "403 AccessDenied"),
    "a region without batch jobs": ("enabled", False, "http_4xx", "400 OperationNotSupported"),
    "a token that has expired": ("token_expires", 1.0, "auth", "403 SecurityTokenExpired"),
}


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", EDITS)
def test_a_refusal_is_reported_with_its_reason(name, exporter, stores, caplog):
    """Errors about permission, region and token that the store itself returns have their reasons too."""
    attribute, edited, reason, text = EDITS[name]
    setattr(stores[0], attribute, edited)
    samples = scraped(exporter)
    assert_failed(samples, reason)
    assert_good(samples, GOOD, stores[1])
    assert text in warning(caplog).getMessage()


def test_every_reason_is_tested_here():
    """The tables cover every reason except tls and config (settings) and internal (a bug)."""
    from exporter.core.errors import REASONS

    met = {reason for _, reason, _ in FAULTS.values()} | {reason for _, _, reason, _ in EDITS.values()}
    assert met == set(REASONS) - {"tls", "config", "internal"}
