"""Temporary credentials, from their issuer to the signature and the metrics."""

from __future__ import annotations

import json
import time

import pytest
from starlette.responses import Response

from exporter.core.http import ConnectionSettings
from exporter.credentials import oss
from exporter.credentials.refreshing import RefreshingCredentials
from tests.credentials.issuers import AlibabaSts, iso
from tests.rawserver import raw_server
from tests.rig import rig, target_at

pytestmark = pytest.mark.anyio


async def test_a_scrape_with_temporary_credentials(environment):
    """Credentials are requested through the account's proxy, sign the requests, and are reported with their expiry."""
    end = int(time.time()) + 3600
    keys = {"AccessKeyId": "STS.NT", "AccessKeySecret": "hunter2", "SecurityToken": "CAIS", "Expiration": iso(end)}
    heads = []

    async def proxy(peer):
        heads.append(peer.head)
        if peer.line.startswith(b"POST http://sts.invalid/?Action=AssumeRoleWithOIDC&"):
            await peer.answer(json.dumps({"Credentials": keys}).encode())
        else:
            await peer.answer()

    source = RefreshingCredentials("oidc", oss.RrsaIssuer(environment, endpoint="http://sts.invalid"))
    async with raw_server(proxy) as address:
        connection = ConnectionSettings(proxy_url=f"http://{address}")
        async with rig(target_at("http://oss.invalid", credentials=source, connection=connection)) as parts:
            listing = await parts.snapshot()
    assert listing.error is None
    assert (listing.credentials_source, listing.credentials_expire) == ("oidc", end)
    [_, request] = heads
    assert b"\r\nx-oss-security-token: CAIS\r\n" in request
    assert b"Credential=STS.NT/" in request


async def test_a_scrape_without_credentials(cloud_server, environment):
    """If the issuer fails, the scrape fails with its reason, and no request is sent to the service."""
    made, url = cloud_server
    made.cloud = AlibabaSts()
    made.cloud.fault = lambda _: Response(status_code=503)
    source = RefreshingCredentials("oidc", oss.RrsaIssuer(environment, endpoint=url))
    async with rig(target_at("http://127.0.0.1:1", credentials=source)) as parts:
        error = await parts.failure()
        assert parts.counts() == (0, 0, 0)
    assert (str(error), error.reason) == (
        "AssumeRoleWithOIDC returned 503: server error; will be retried",
        "http_5xx",
    )
    assert len(made.cloud.seen) == 1
