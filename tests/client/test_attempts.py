from __future__ import annotations

import asyncio

import pytest

from exporter.client import transport
from exporter.core.errors import ScrapeError
from tests.rawserver import EMPTY_PAGE, Peer, raw_server
from tests.rig import rig, target_at

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(EMPTY_PAGE), EMPTY_PAGE)


class Server:
    """A server that keeps connections, and can fall silent on those that are open."""

    def __init__(self):
        self.connections = 0
        self.silent = set()
        self.open = set()

    async def __call__(self, peer: Peer):
        self.connections += 1
        number = self.connections
        self.open.add(number)
        while True:
            if number in self.silent:
                await asyncio.Event().wait()
            await peer.send(ANSWER)
            await peer.reader.readuntil(b"\r\n\r\n")

    def fall_silent(self):
        """Answer nothing more on the connections that are open, without closing them."""
        self.silent |= self.open


async def hang_first(peers, peer):
    """Answer all connections but the first."""
    peers.append(peer)
    if len(peers) == 1:
        await peer.reader.read()
    else:
        await peer.answer()


@pytest.mark.parametrize("settings", [{"timeout": 0.9}, {"timeout": 30.0, "attempt_timeout": 0.3}])
async def test_an_attempt_that_hangs_leaves_time_for_another(settings):
    """An attempt ends after `attempt_timeout`, by default a third of the timeout; it counts, and is repeated."""
    peers: list[Peer] = []
    async with (
        raw_server(lambda peer: hang_first(peers, peer)) as host,
        rig(target_at(f"http://{host}", **settings)) as parts,
    ):
        assert (await parts.snapshot(30.0)).error is None
    assert (parts.counts(), parts.failures()) == ((2, 1, 1), {"timeout": 1})


async def test_the_last_attempt_says_what_did_not_answer():
    """If every attempt hangs, the error names the host and the limit of an attempt."""

    async def hang(peer):
        await peer.reader.read()

    async with raw_server(hang) as host, rig(target_at(f"http://{host}", attempt_timeout=0.1)) as parts:
        with pytest.raises(ScrapeError) as caught:
            await parts.get()
    assert (caught.value.reason, str(caught.value)) == ("timeout", f"{host} did not respond within 0.1 s")
    assert parts.counts() == (3, 3, 2)


def test_the_default_is_a_third_of_the_timeout():
    """Without `attempt_timeout`, an attempt may take a third of the timeout."""
    assert target_at("http://127.0.0.1:1", timeout=9.0).attempt_seconds == 3.0


async def test_connections_that_died_silently_cost_one_attempt(send):
    """After one kept connection did not answer, no other to the same host is used again."""
    server = Server()
    async with raw_server(server) as host:
        together = asyncio.gather(*(send(host) for _ in range(4)))
        await together
        before = server.connections
        server.fall_silent()
        with pytest.raises(ScrapeError, match=r"did not respond within 0\.2 s"):
            await send(host, seconds=0.2)
        for _ in range(3):
            assert (await send(host)).body == EMPTY_PAGE
    assert server.connections == before + 1


async def test_a_failure_of_one_host_costs_no_other_its_connections(send):
    """Connections to a host are kept, whatever happens to another one."""
    steady, silent = Server(), Server()
    async with raw_server(steady) as host, raw_server(silent) as other:
        for target in (host, other):
            await send(target)
        silent.fall_silent()
        with pytest.raises(ScrapeError):
            await send(other, seconds=0.2)
        await send(host)
    assert (steady.connections, silent.connections) == (1, 1)


async def test_few_idle_connections_are_kept(send, monkeypatch):
    """Of the idle connections, MAX_IDLE_CONNECTIONS are kept for later requests; those in use have no limit."""
    monkeypatch.setattr(transport, "MAX_IDLE_CONNECTIONS", 2)
    server = Server()
    async with raw_server(server) as host:
        for connections in (5, 8):
            await asyncio.gather(*(send(host) for _ in range(5)))
            assert server.connections == connections


async def test_idle_connections_age_out(send, monkeypatch):
    """A connection that was idle for KEEPALIVE_SECONDS is not used again."""
    monkeypatch.setattr(transport, "KEEPALIVE_SECONDS", 0.1)
    server = Server()
    async with raw_server(server) as host:
        await send(host)
        await asyncio.sleep(0.3)
        await send(host)
    assert server.connections == 2


def test_connections_are_kept_longer_than_a_scrape_interval():
    """An idle connection is kept for 75 s: longer than the usual interval of 60 s, shorter than firewalls forget."""
    assert transport.KEEPALIVE_SECONDS == 75.0
