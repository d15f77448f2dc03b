from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections import deque
from urllib.parse import urlsplit

import httpx
import pytest

from exporter.simulator import Store, World, create_app, make_jobs
from exporter.web import clients
from exporter.web.app import Settings
from tests.rig import Rig, served, target_at
from tests.serving import serve
from tests.waiting import until

JOBS = 4000
"""Enough for some megabytes of metrics: more than sockets hold."""


@pytest.fixture
def client(exported):
    store = Store(World.fixed(make_jobs(JOBS, now=1_750_000_000)))
    with serve(create_app(store)) as url:
        yield exported(target_at(url, min_interval=60.0))


def stalled(client, url):
    """A connection on which `url` was requested and only the first byte of the response was read."""
    address = urlsplit(str(client.base_url))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect((address.hostname, address.port))
    connection.sendall(f"GET {url} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
    assert connection.recv(1) == b"H"
    return connection


def rest(connection):
    """The whole response, including the rest that is still to come."""
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"H" + b"".join(pieces)


def test_slow_readers_do_not_block_others(client):
    """While three clients do not read, another gets its response; theirs are complete once they read."""
    connections = [stalled(client, "/metrics") for _ in range(3)]
    try:
        start = time.monotonic()
        assert client.get("/-/healthy").status_code == 200
        response = client.get("/metrics")
        assert time.monotonic() - start < 15
        assert response.content.count(b"\nbatchops_job_info{") == JOBS
        for connection in connections:
            head, _, body = rest(connection).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}".encode() in head
            assert body.count(b"\nbatchops_job_info{") == JOBS
    finally:
        for connection in connections:
            connection.close()


def test_a_client_that_disconnects_is_not_in_flight(client):
    """A client that disconnects before reading its response no longer counts as a scrape in flight."""
    for _ in range(3):
        stalled(client, "/metrics").close()
    assert "\nbatchops_exporter_scrapes_in_flight 1.0\n" in client.get("/metrics").text


def test_a_client_that_never_reads_is_disconnected(exported, monkeypatch):
    """A client that does not read within SEND_SECONDS is disconnected, and its slot is free again."""
    monkeypatch.setattr(clients, "SEND_SECONDS", 0.5)
    store = Store(World.fixed(make_jobs(JOBS, now=1_750_000_000)))
    with serve(create_app(store)) as url:
        client = exported(target_at(url, min_interval=60.0), settings=Settings(max_requests=1))
        connection = stalled(client, "/metrics")
        try:
            assert client.get("/metrics").status_code == 503
            until(lambda: client.get("/metrics").status_code != 503)
        finally:
            connection.close()


def test_a_client_that_never_reads_a_plain_route_is_disconnected(monkeypatch):
    """A response that is no scrape is sent in the same way: whoever does not read a large /config is disconnected."""
    monkeypatch.setattr(clients, "SEND_SECONDS", 0.2)
    parts = Rig([target_at("http://127.0.0.1:1")])
    parts.routes.configuration = "x" * (16 << 20)
    with served(parts) as url, httpx.Client(base_url=url) as client, stalled(client, "/config") as connection:
        time.sleep(2)
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                received += piece
    assert len(received) < len(parts.routes.configuration)


def test_an_unread_response_counts_as_a_scrape(exported):
    """An unread response uses a slot of --web.max-requests; once it is read, the slot is free again."""
    store = Store(World.fixed(make_jobs(JOBS, now=1_750_000_000)))
    with serve(create_app(store)) as url:
        client = exported(target_at(url, min_interval=60.0), settings=Settings(max_requests=2))
        connections = [stalled(client, "/metrics") for _ in range(2)]
        try:
            assert client.get("/metrics").status_code == 503
            rest(connections[0])
            until(lambda: client.get("/metrics").status_code == 200)
        finally:
            for connection in connections:
                connection.close()


@pytest.mark.anyio
async def test_other_tasks_run_between_two_pieces():
    """However fast its reader, a response is sent in pieces, and other tasks run in between."""
    turns = itertools.count()

    async def others():
        while True:
            next(turns)
            await asyncio.sleep(0)

    serving = asyncio.create_task(others())
    seen = []

    async def send(message):
        seen.append((len(message["body"]), next(turns)))

    await clients.Outbox().send(deque([bytes(3 * clients.PIECE_BYTES)] * 2), lambda: None, send)
    serving.cancel()
    sizes, times = zip(*seen, strict=True)
    assert sizes == (*[clients.PIECE_BYTES] * 6, 0)
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(times))
