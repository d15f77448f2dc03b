from __future__ import annotations

import time
from typing import Any

import pytest

from exporter.check import explain, printing
from exporter.check.report import Finding
from exporter.check.wire import Certificate, Trace
from exporter.config import parse
from exporter.core.errors import CredentialsError
from exporter.core.snapshot import Snapshot

NOW = 1_750_000_000.0
ACCOUNT = "accounts: [{provider: oss, account: a, regions: [r], min_interval: 5m, jobs: {max: 1}}]"


def report(trace=None, interval=60.0, **snapshot):
    """The report on a target whose listing had this outcome."""
    [target] = parse(ACCOUNT.encode(), file="", environment={}).targets
    found: dict[str, Any] = {
        "pages": 2,
        "duration": 0.1,
        "counts": {"Active": 3, "New": 0},
        "dropped": {},
        "unreadable": 0,
    } | snapshot
    return explain.report(
        target, Snapshot(*target.labels, **found), trace or Trace(target, time.time), (), interval=interval, now=NOW
    )


def finding(topic, **options):
    return next(found for found in report(**options).findings if found.topic == topic)


@pytest.mark.parametrize(("seconds", "span"), [(600, "10 minutes"), (3 * 3600, "3 hours"), (5 * 86400, "5 days")])
def test_when_the_keys_expire(seconds, span):
    """The expiry of the keys is shown as a time and as what is left until then."""
    text = finding("credentials", credentials_source="oidc", credentials_expire=NOW + seconds).text
    assert text.startswith("from the source oidc; they expire at 2025-06-")
    assert text.endswith(f"Z, in {span}")


def test_keys_that_have_expired():
    """Keys that are used beyond their end are a warning."""
    found = finding("credentials", credentials_source="sdk", credentials_expire=NOW - 60)
    assert (found.state, found.text[:41]) == ("warning", "from the source sdk; they expired at 2025")


def test_keys_that_cannot_be_had():
    """An error of the keys is shown once, and the listing refers to it."""
    found = report(error=CredentialsError("no keys", reason="config"))
    assert found.findings[0] == Finding("credentials", "failed", "no keys")
    assert "no jobs (config), see above" in [finding.text for finding in found.findings]
    assert (found.failed, found.facts.error_reason, found.facts.series) == (True, "config", None)


def test_the_cost_follows_the_longer_interval():
    """A target with a `min_interval` is listed no more often than that, whatever the scrape interval is."""
    assert report(interval=60.0).facts.requests_per_day == 2 * 288
    assert report(interval=600.0).facts.requests_per_day == 2 * 144


def test_a_certificate_that_was_not_verified():
    """Without verification nothing of the certificate is known, which is a warning."""
    trace = Trace(parse(ACCOUNT.encode(), file="", environment={}).targets[0], time.time)
    trace.certificate = Certificate("TLSv1.3", "", None)
    assert finding("tls", trace=trace).state == "warning"


def test_only_failures_are_failures():
    """A warning is counted, but only a failure makes a target fail; the summary counts each target once."""
    trace = Trace(parse(ACCOUNT.encode(), file="", environment={}).targets[0], time.time)
    trace.skew = 100.0
    warned, failed = report(trace=trace), report(error=CredentialsError("no keys", reason="config"))
    assert (warned.failed, warned.warnings) == (False, 1)
    with open("/dev/null", "w") as stream:  # noqa: PTH123 - a stream that is no terminal
        text = printing.as_text([warned, failed], stream)
    assert text.endswith("targets: 0 ok, 1 warning, 1 failed")
