from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trustme

from exporter.simulator import create_app
from tests.check.conftest import account, store_of
from tests.serving import serve


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(organization_name="Example Trust")


@pytest.fixture
def https(authority, tmp_path):
    """Serves a store with a certificate that is valid for some days, and returns its account."""
    store = store_of("oss")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def serving(days):
        certificate = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=days))
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
        return serve(create_app(store), certfile=tmp_path / "server.pem")

    return serving, lambda url, **tls: account(store, url, tls=tls)


@pytest.mark.parametrize(("days", "state"), [(30.8, "ok"), (3.8, "warning")])
def test_a_trusted_certificate(https, findings, days, state):
    """A certificate that is trusted is shown with its issuer and its end, which is a warning if it is near."""
    serving, entry = https
    with serving(days) as url:
        code, found, _ = findings(entry(url, ca_file="ca.pem"))
    assert (code, found["tls"]["state"]) == (0, state)
    assert "certificate by Example Trust until 20" in found["tls"]["text"]
    assert found["tls"]["text"].startswith("TLSv1.")
    assert f"in {days:.0f} days" in found["tls"]["text"]


def test_an_unknown_authority(https, findings):
    """A certificate that is not trusted fails, and the message says what to check."""
    serving, entry = https
    with serving(30) as url:
        code, found, report = findings(entry(url))
    assert (code, report["error_reason"]) == (1, "tls")
    assert found["connection"]["state"] == "ok"
    assert found["tls"]["state"] == "failed"
    assert "tls.ca_file" in found["tls"]["text"]


def test_a_certificate_that_is_not_verified(https, findings):
    """Without verification the target works, with a warning and how to end it."""
    serving, entry = https
    with serving(30) as url:
        code, found, _ = findings(entry(url, insecure_skip_verify=True))
    assert (code, found["tls"]["state"]) == (0, "warning")
    assert "insecure_skip_verify" in found["tls"]["remedy"]
