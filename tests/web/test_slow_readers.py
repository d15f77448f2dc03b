from __future__ import annotations

import asyncio
import itertools
import socket
import time
from urllib.parse import urlsplit

import pytest

from exporter.simulator import Store, World, create_app, make_jobs
from exporter.web import app
from exporter.web.app import Settings
from tests.rig import target_at
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
    """A connection on which `url` was asked for and of whose answer only the first byte was read."""
    address = urlsplit(str(client.base_url))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect((address.hostname, address.port))
    connection.sendall(f"GET {url} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
    assert connection.recv(1) == b"H"
    return connection


def rest(connection):
    """All that is still to come."""
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"H" + b"".join(pieces)


def test_who_reads_slowly_holds_up_nobody(client):
    """While three clients do not read their answers, another is answered at once; theirs are whole when they do."""
    connections = [stalled(client, "/metrics") for _ in range(3)]
    try:
        start = time.monotonic()
        assert client.get("/-/healthy").status_code == 200
        answer = client.get("/metrics")
        assert time.monotonic() - start < 3
        assert answer.content.count(b"\nbatchops_job_info{") == JOBS
        for connection in connections:
            head, _, body = rest(connection).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}".encode() in head
            assert body.count(b"\nbatchops_job_info{") == JOBS
    finally:
        for connection in connections:
            connection.close()


def test_who_leaves_in_the_middle_is_forgotten(client):
    """A client that leaves before it has read its answer counts no longer as a scrape in flight."""
    for _ in range(3):
        stalled(client, "/metrics").close()
    assert "\nbatchops_exporter_scrapes_in_flight 1.0\n" in client.get("/metrics").text


def test_who_never_reads_is_left(exported, monkeypatch):
    """A client that has not taken its answer within SEND_SECONDS loses it, and its place is free again."""
    monkeypatch.setattr(app, "SEND_SECONDS", 0.5)
    store = Store(World.fixed(make_jobs(JOBS, now=1_750_000_000)))
    with serve(create_app(store)) as url:
        client = exported(target_at(url, min_interval=60.0), settings=Settings(max_requests=1))
        connection = stalled(client, "/metrics")
        try:
            assert client.get("/metrics").status_code == 503
            until(lambda: client.get("/metrics").status_code != 503)
        finally:
            connection.close()


def test_who_does_not_read_counts_as_a_scrape(exported):
    """An answer that is not taken holds its place among --web.max-requests; when it is, the place is free again."""
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
async def test_others_have_a_turn_between_two_pieces():
    """However fast its reader, an answer is handed out piece by piece, and the event loop serves others in between."""
    turns = itertools.count()

    async def others():
        while True:
            next(turns)
            await asyncio.sleep(0)

    serving = asyncio.create_task(others())
    seen = [next(turns) async for _ in app._pieces([bytes(3 * app.PIECE_BYTES)] * 2)]
    serving.cancel()
    assert len(seen) == 6
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(seen))
