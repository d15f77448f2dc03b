from __future__ import annotations

import pytest

from exporter.config import parse
from tests.rawserver import raw_server
from tests.rig import rig

pytestmark = pytest.mark.anyio

ACCOUNTS = {
    "oss": "credentials: {source: static, access_key_id: a, access_key_secret: b}",
    "cos": 'uin: "1", appid: "2", credentials: {source: static, secret_id: a, secret_key: b}',
    "s3": 'account_id: "111122223333", credentials: {source: static, access_key_id: a, secret_access_key: b}',
}
"""The keys of each provider."""


def behind(proxy, provider):
    """A target of `provider` whose plain HTTP goes through `proxy`."""
    text = f"""
accounts:
  - {{provider: {provider}, account: a, regions: [r], endpoint: "http://store.invalid", allow_http: true,
      proxy_url: "http://{proxy}", {ACCOUNTS[provider]}}}
"""
    [target] = parse(text.encode(), file="config.yaml", environment={}).targets
    return target


@pytest.mark.parametrize(
    ("status", "header", "text"),
    [
        ("403 Forbidden", "Via: 1.1 squid", "a proxy answered, not the service; check the rules of the proxy"),
        ("407 Authenticate", "Proxy-Authenticate: Basic", "a proxy requires credentials; check the user and password"),
        ("401 Log in", "X-Portal: 1", "something other than the service answered; check endpoint"),
    ],
)
@pytest.mark.parametrize("provider", ACCOUNTS)
async def test_an_answer_of_a_proxy_is_recognised(provider, status, header, text):
    """The page of a proxy or a portal is recognised for every provider, not taken for a refusal, and not retried."""

    async def refuse(peer):
        await peer.answer(b"<html>Access to this site is blocked</html>", status, header)

    async with raw_server(refuse) as proxy, rig(behind(proxy, provider)) as parts:
        error = await parts.failure()
    assert error.reason == "http_4xx"
    assert f"ListJobs returned {status[:3]}: {text}" in str(error)
    assert parts.counts() == (1, 1, 0)


@pytest.mark.parametrize("provider", ACCOUNTS)
async def test_a_bad_gateway_is_retried(provider):
    """A proxy that does not reach the service may reach it at the next attempt."""
    heads = []

    async def fail(peer):
        heads.append(peer.head)
        await peer.answer(b"<html>DNS failure</html>", "502 Bad Gateway", "Via: 1.1 squid")

    async with raw_server(fail) as proxy, rig(behind(proxy, provider)) as parts:
        error = await parts.failure()
    assert error.reason == "http_5xx"
    assert "a proxy answered, not the service" in str(error)
    assert len(heads) == 3
