from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys

import pytest
import trustme

from exporter.core.errors import TransportError
from tests.rawserver import EMPTY_PAGE, Peer, raw_server

pytestmark = pytest.mark.anyio

GRANTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00"


class Socks:
    """A SOCKS 5 proxy (RFC 1928, 1929) that connects every request to `backend`, and notes what it was asked."""

    def __init__(self, backend="", *, reply=GRANTED, password=None):
        self.backend = backend
        self.reply = reply
        self.password = password
        self.hosts = []

    async def __call__(self, peer: Peer):
        [count] = await peer.reader.readexactly(1)
        await peer.reader.readexactly(count)  # the methods
        await peer.send(b"\x05\x02" if self.password else b"\x05\x00")
        if self.password:
            _, length = await peer.reader.readexactly(2)
            user = await peer.reader.readexactly(length)
            [length] = await peer.reader.readexactly(1)
            right = (user, await peer.reader.readexactly(length)) == (b"user", self.password)
            await peer.send(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return
        head = await peer.reader.readexactly(5)
        host = await peer.reader.readexactly(head[4])
        self.hosts.append((head[3], host.decode(), int.from_bytes(await peer.reader.readexactly(2), "big")))
        await peer.send(self.reply)
        if self.reply == GRANTED:
            await self.connect(peer)

    async def connect(self, peer):
        reader, writer = await asyncio.open_connection(*self.backend.split(":"))
        await asyncio.gather(copy(peer.reader, writer), copy(reader, peer.writer))

    def serve(self):
        return raw_server(self, end=b"\x05")


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.mark.parametrize("variable", [None, "ALL_PROXY"])
async def test_a_socks_proxy_is_used(variable, send, tmp_path, monkeypatch):
    """`proxy_url` and ALL_PROXY may name a SOCKS proxy, which looks up the host and gets user and password."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("oss.invalid").configure_cert(context)
    async with raw_server(Peer.answer, tls=context) as backend:
        socks = Socks(backend, password=b"pass word")
        async with socks.serve() as way:
            url = f"socks5://user:pass%20word@{way}"
            settings = {"ca_file": str(tmp_path / "ca.pem")}
            if variable:
                monkeypatch.setenv(variable, url)
            else:
                settings["proxy_url"] = url
            response = await send("oss.invalid", scheme="https", **settings)
    assert response.body == EMPTY_PAGE
    assert socks.hosts == [(3, "oss.invalid", 443)]


@pytest.mark.parametrize(
    ("reply", "text", "transient"),
    [
        (b"\x05\x02" + GRANTED[2:], "has no connection to oss.invalid (Connection not allowed by ruleset)", False),
        (b"\x05\x05" + GRANTED[2:], "has no connection to oss.invalid (Connection refused)", True),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "sent an invalid SOCKS reply; check proxy_url", True),
    ],
    ids=["rules", "refused", "HTTP"],
)
async def test_a_socks_proxy_that_refuses_is_named(reply, text, transient, send):
    """What a SOCKS proxy answers instead of a connection is a `connect` error that names it."""
    async with Socks(reply=reply).serve() as way:
        with pytest.raises(TransportError) as caught:
            await send("oss.invalid", scheme="https", proxy_url=f"socks5h://{way}")
    assert (caught.value.reason, caught.value.transient) == ("connect", transient)
    assert str(caught.value).startswith(f"the proxy {way} {text}")


async def test_a_socks_proxy_that_wants_another_password_is_named(send):
    """A wrong password is a permanent error that names the proxy and its setting, without the password."""
    async with Socks(password=b"right").serve() as way:
        with pytest.raises(TransportError) as caught:
            await send("oss.invalid", proxy_url=f"socks5://user:CANARY@{way}")
    assert str(caught.value) == (
        f"the proxy {way} does not accept the credentials; check the user and password in proxy_url"
    )
    assert (caught.value.reason, caught.value.transient) == ("connect", False)


def test_the_extra_is_named_if_it_is_missing():
    """Without the package for SOCKS, the error names the variable and the extra that adds it."""
    program = """
import sys
sys.modules["socksio"] = None  # as if it were not installed
from exporter.client.proxies import EnvironmentProxies
try:
    EnvironmentProxies({"ALL_PROXY": "socks5://127.0.0.1:1"}).find("https", "oss.invalid")
except Exception as error:
    print(error.reason, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == (
        "config ALL_PROXY in the environment is a SOCKS proxy, which requires an extra:"
        " pip install 'batchops-exporter[socks]'"
    )
