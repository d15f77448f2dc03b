from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from exporter.exposition import families
from exporter.simulator import Store, World, create_app, make_jobs
from exporter.web.app import Settings
from tests.rig import Rig, parse, served, target_at, value
from tests.serving import serve
from tests.waiting import until

SCRAPERS = 50
PATIENCE = 20.0
"""Seconds."""


class Held:
    """A store that does not respond until `go` is set, an exporter of it, and a client."""

    def __init__(self, opened, jobs):
        self.go = threading.Event()
        self.store = Store(World.fixed(make_jobs(jobs, now=1_750_000_000)))
        response = create_app(self.store)

        async def hold(scope, receive, send):
            if scope["type"] == "http":
                await asyncio.to_thread(self.go.wait, PATIENCE)
            await response(scope, receive, send)

        rig = Rig((target_at(opened(serve(hold)), timeout=PATIENCE),), Settings(max_requests=0))
        self.rig, self.metrics = rig, rig.self_metrics
        self.url = opened(served(rig))
        limits = httpx.Limits(max_connections=None)
        self.client = opened(httpx.Client(base_url=self.url, timeout=PATIENCE, limits=limits))

    def until_in_flight(self, scrapes):
        """Wait until `scrapes` scrapes are in flight."""
        until(lambda: self.metrics.in_flight == scrapes)

    def get(self, encoding):
        """The body of a scrape, as it is sent."""
        with self.client.stream("GET", "/metrics", headers={"accept-encoding": encoding}) as response:
            return b"".join(response.iter_raw())


@pytest.fixture
def held():
    with contextlib.ExitStack() as stack:
        yield Held(stack.enter_context, jobs=1500)


@pytest.fixture
def calls(monkeypatch):
    """Counts the renderings of snapshots, and the assembled responses."""
    counted = {"family_lines": 0, "assemble": 0}

    def count(name):
        real = getattr(families, name)

        def spy(*args):
            counted[name] += 1
            return real(*args)

        monkeypatch.setattr(families, name, spy)

    for name in counted:
        count(name)
    return counted


@pytest.mark.parametrize("encodings", [["identity"], ["gzip"], ["identity", "gzip"]])
def test_concurrent_scrapes_share_one_listing(held, calls, encodings):
    """50 concurrent scrapes cost one listing, and one rendering and one response for each encoding."""
    with ThreadPoolExecutor(SCRAPERS) as threads:
        scrapes = [threads.submit(held.get, encodings[number % len(encodings)]) for number in range(SCRAPERS)]
        held.until_in_flight(SCRAPERS)
        held.go.set()
        bodies = [scrape.result() for scrape in scrapes]
    assert len(held.store.requests) == 2
    assert calls == {"family_lines": len(encodings), "assemble": len(encodings)}
    assert len(set(bodies)) == len(encodings)
    for body, encoding in zip(bodies, encodings, strict=False):
        text = (gzip.decompress(body) if encoding == "gzip" else body).decode()
        assert text.count("\nbatchops_job_info{") == 1500
        assert value(parse(text), "batchops_up") == 1


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_client_that_disconnects_does_not_affect_others(held, encoding):
    """If the first and other clients disconnect early, the rest still get complete responses."""
    address = urlsplit(held.url)
    request = f"GET /metrics HTTP/1.1\r\nHost: {address.netloc}\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
    leaving = []
    for number in range(3):
        leaving.append(socket.create_connection((address.hostname, address.port), PATIENCE))
        leaving[-1].sendall(request)
        held.until_in_flight(number + 1)
    with ThreadPoolExecutor(3) as threads:
        scrapes = [threads.submit(held.get, encoding) for _ in range(3)]
        held.until_in_flight(6)
        for connection in leaving:
            connection.close()
        held.go.set()
        bodies = [scrape.result() for scrape in scrapes]
    assert len(set(bodies)) == 1
    text = gzip.decompress(bodies[0]) if encoding == "gzip" else bodies[0]
    assert text.count(b"\nbatchops_job_info{") == 1500
    held.until_in_flight(0)


def test_clients_that_leave_free_their_slots(held):
    """A client that disconnects while it waits frees its slot of --web.max-requests at once, and the run goes on."""
    leaving, staying = (ask(held) for _ in range(2))
    held.until_in_flight(2)
    leaving.close()
    held.until_in_flight(1)
    held.go.set()
    assert staying.recv(4096).startswith(b"HTTP/1.1 200")
    staying.close()


@pytest.mark.parametrize("path", ["/metrics", "/probe?target=oss/prod/cn-hangzhou"])
def test_a_run_that_no_client_waits_for_ends(held, path):
    """When the last client has left, the listing ends: the next one is new, and no slot is taken."""
    for connection in [ask(held, path) for _ in range(3)]:
        connection.close()
    held.until_in_flight(0)
    (collector,) = held.rig.collector._collectors.values()
    until(lambda: collector._run is None)
    held.go.set()
    assert held.client.get("/metrics").status_code == 200


def ask(held, path="/metrics"):
    """A connection on which a scrape was requested."""
    address = urlsplit(held.url)
    connection = socket.create_connection((address.hostname, address.port), PATIENCE)
    before = held.metrics.in_flight
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    held.until_in_flight(before + 1)
    return connection
