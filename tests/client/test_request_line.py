from __future__ import annotations

import time

import pytest

from exporter.core.secrets import Credentials, Secret
from exporter.simulator import Store, World
from exporter.simulator.messages import RawRequest
from tests.rawserver import raw_server
from tests.rig import KEY_ID, KEY_SECRET, rig, target_at, vendors_authorization

pytestmark = pytest.mark.anyio

QUOTED = {
    "plain": ("abcXYZ019", "abcXYZ019"),
    "documented": ("+:/=?#-_", "%2B%3A%2F%3D%3F%23-_"),
    "no pair": ("a=b&max-keys=1", "a%3Db%26max-keys%3D1"),
    "blanks": (" a  b ", "%20a%20%20b%20"),
    "already quoted": ("%2B%25+", "%252B%2525%2B"),
    "unreserved": ("~._-", "~._-"),
    "quotes": ("'\"<>", "%27%22%3C%3E"),
    "steps": ("../../;a=1", "..%2F..%2F%3Ba%3D1"),
    "not ASCII": ("größe🚚", "gr%C3%B6%C3%9Fe%F0%9F%9A%9A"),
    "line ends": ("a\r\nx-oss-evil: 1", "a%0D%0Ax-oss-evil%3A%201"),
    "longest": ("+/" * 512, "%2B%2F" * 512),
}
"""A page token → its form in the request line (RFC 3986: all but the unreserved characters are quoted)."""


@pytest.mark.parametrize("name", QUOTED)
@pytest.mark.parametrize("security_token", [None, "CAIS/+=token"])
async def test_the_signed_request_is_the_sent_one(name, security_token):
    """The request line has the page token exactly as signed, and the vendor's signer gives the same signature."""
    token, quoted = QUOTED[name]
    owned = Credentials(KEY_ID, Secret(KEY_SECRET), Secret(security_token) if security_token else None)
    heads = []

    async def record(peer):
        heads.append(peer.head.decode("ascii"))
        await peer.answer()

    async with raw_server(record) as host:
        target = target_at(f"http://{host}", page_size=7)
        async with rig(target) as parts:
            request = target.provider.sign(target.provider.list_request(token), owned, time.time())
            with parts.transport.budget.body(1000) as limit:
                await parts.transport.send(request, target.connection, limit, seconds=10.0)
    line, *lines = heads[0].removesuffix("\r\n\r\n").split("\r\n")
    assert line == f"GET /?batchJob&max-keys=7&continuation-token={quoted} HTTP/1.1"
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}
    assert len(headers) == len(lines)
    assert headers["host"] == host
    assert headers.get("x-oss-security-token") == security_token
    head = RawRequest("GET", "/", line.split(" ")[1].removeprefix("/?"), headers)
    store = Store(World.fixed(), security_token=security_token)
    assert headers["authorization"] == vendors_authorization(store, head)


async def test_the_first_page_is_requested_without_a_token():
    """The first request has no page token, and the flag batchJob has no equals sign."""
    lines = []

    async def record(peer):
        lines.append(peer.line)
        await peer.answer()

    async with raw_server(record) as host, rig(target_at(f"http://{host}")) as parts:
        assert (await parts.snapshot()).error is None
    assert lines == [b"GET /?batchJob&max-keys=1000 HTTP/1.1"]
