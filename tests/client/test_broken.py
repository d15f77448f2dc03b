from __future__ import annotations

import asyncio
from functools import partial

import pytest

from exporter.core.errors import TransportError
from tests.rawserver import EMPTY_PAGE, free_port, raw_server

pytestmark = pytest.mark.anyio

BROKEN = {
    "nothing": (b"", "ended early: the other side closed it"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", "ended early: the other side closed it"),
    "a body cut short": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<ListJobsResult>",
        "ended early: the other side closed it",
    ),
    "chunks without an end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<List\r\n",
        "ended early: the other side closed it",
    ),
    "half a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n<ListJobsResult>",
        "ended early: the other side closed it",
    ),
    "a chunk without a size": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nCANARY\r\n<ListJobsResult>",
        "sent an invalid HTTP response",
    ),
    "another protocol": (b"SSH-2.0-CANARY\r\n\r\n", "sent an invalid HTTP response"),
    "a head that never ends": (
        b"HTTP/1.1 200 OK\r\n" + b"x-more: CANARY\r\n" * 10_000,
        "sent an invalid HTTP response",
    ),
    "an invalid length": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nCANARY", "sent an invalid HTTP response"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nCANARY",
        "sent an invalid HTTP response",
    ),
}
"""What the server sends before it closes the connection → the text of the error."""


@pytest.mark.parametrize("name", BROKEN)
async def test_a_truncated_or_invalid_response_is_a_failed_connection(name, send):
    """A truncated or non-HTTP response gives a transient `connect` error without the server's data."""
    sent, text = BROKEN[name]
    async with raw_server(lambda peer: peer.send(sent)) as host:
        with pytest.raises(TransportError) as caught:
            await send(host)
    assert (caught.value.reason, caught.value.transient) == ("connect", True)
    assert text in str(caught.value)
    assert host in str(caught.value)
    assert "CANARY" not in str(caught.value)


async def test_a_reset_is_reported(send):
    """A connection that is reset before the response is reported with the system's message."""

    async def reset(peer):
        peer.reset()

    async with raw_server(reset) as host:
        with pytest.raises(TransportError, match="Connection reset by peer") as caught:
            await send(host)
    assert (caught.value.reason, caught.value.transient) == ("connect", True)


async def test_a_refused_connection_is_reported(send):
    """A port without a listener is reported as refused."""
    with pytest.raises(TransportError, match="Connection refused") as caught:
        await send(f"127.0.0.1:{free_port()}")
    assert (caught.value.reason, caught.value.transient) == ("connect", True)


async def test_an_unknown_host_is_reported(send):
    """A host that cannot be resolved is reported by its name."""
    with pytest.raises(TransportError, match=r"no connection to no-such-host\.invalid: ") as caught:
        await send("no-such-host.invalid")
    assert (caught.value.reason, caught.value.transient) == ("connect", True)


async def test_a_body_without_a_length_ends_with_the_connection(send):
    """An HTTP/1.0 response that ends by closing the connection is complete."""
    async with raw_server(lambda peer: peer.send(b"HTTP/1.0 200 OK\r\n\r\n" + EMPTY_PAGE)) as host:
        assert (await send(host)).body == EMPTY_PAGE


async def test_an_interim_response_is_ignored(send):
    """A 103 before the response changes nothing."""

    async def early(peer):
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await peer.answer()

    async with raw_server(early) as host:
        assert (await send(host)).body == EMPTY_PAGE


async def test_a_silent_server_is_abandoned_at_the_timeout(send):
    """The limit of time ends a request and closes its connection."""
    gone = asyncio.Event()

    async def silent(peer):
        await peer.reader.read()
        gone.set()

    async with raw_server(silent) as host:
        with pytest.raises(TransportError, match=f"{host} did not respond within") as caught:
            await send(host, seconds=0.2)
        assert (caught.value.reason, caught.value.transient) == ("timeout", True)
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_connection_is_reused(send):
    """Two consecutive requests use one connection."""
    peers = []

    async def twice(peer):
        peers.append(peer)
        for _ in range(2):
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n" + EMPTY_PAGE)
            await peer.reader.readuntil(b"\r\n\r\n")

    async with raw_server(twice) as host:
        assert [(await send(host)).body for _ in range(2)] == [EMPTY_PAGE, EMPTY_PAGE]
    assert len(peers) == 1


async def test_a_kept_connection_that_the_server_closed_is_replaced(send):
    """A kept connection that the server has closed is not used again."""

    async def once(peer):
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n" + EMPTY_PAGE)

    async with raw_server(once) as host:
        for _ in range(3):
            assert (await send(host)).body == EMPTY_PAGE
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("opening", ["TLS", "SOCKS"])
async def test_a_connection_whose_handshake_hangs_is_closed(opening, send):
    """A server that accepts a connection but never ends the handshake costs no open file after the timeout."""
    gone = asyncio.Event()

    async def silent(peer):
        await peer.reader.read()
        gone.set()

    over_tls = partial(send, scheme="https", seconds=0.2)

    def over_socks(host):
        return send("oss.invalid", proxy_url=f"socks5://{host}", seconds=0.2)

    async with raw_server(silent, end=b"\x16" if opening == "TLS" else b"\x05") as host:
        with pytest.raises(TransportError, match="did not respond within"):
            await (over_tls(host) if opening == "TLS" else over_socks(host))
        async with asyncio.timeout(5):
            await gone.wait()
