from __future__ import annotations

import contextlib
import re
import socket
import threading
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.simulator import create_app
from tests.rig import fresh_store, parse, value
from tests.serving import serve

MIB = 1024 * 1024
CHUNK = b"<JobListDescriptor>" + b"x" * 65_000


@contextlib.contextmanager
def endless(connections):
    """`host:port` of a server whose responses never end; it counts its `connections`."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def flood(peer):
        with peer, contextlib.suppress(OSError):
            peer.settimeout(10)
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n<ListJobsResult><Jobs>")
            while not stopping.is_set():
                peer.sendall(CHUNK)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                connections.append(peer)
                threading.Thread(target=flood, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopping.set()
        listener.close()


def peak(pid: int) -> float:
    """The largest resident memory that the process has had, in bytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


@pytest.mark.parametrize(("targets", "limit"), [(6, 250 * MIB), (30, 400 * MIB)])
def test_endless_bodies_stay_within_a_budget(start, tmp_path, targets, limit):
    """Bodies that never end fail with `too_large`, the memory of all stays bounded, and a healthy target is whole."""
    connections: list[socket.socket] = []
    with endless(connections) as hostile, serve(create_app(fresh_store())) as healthy:
        keys = {"source": "static", "access_key_id": "an-id", "access_key_secret": "a-secret"}
        store = fresh_store()
        accounts = [
            *(
                {
                    "provider": "oss",
                    "account": "hostile",
                    "regions": [f"cn-{number}"],
                    "endpoint": hostile,
                    "credentials": keys,
                    "retries": 0,
                    "requests_per_second": 0,
                }
                for number in range(targets)
            ),
            {
                "provider": "oss",
                "account": "healthy",
                "regions": [store.region],
                "endpoint": healthy,
                "credentials": keys
                | {"access_key_id": store.access_key_id, "access_key_secret": store.access_key_secret},
            },
        ]
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump({"accounts": accounts}))
        process = start(f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
        url = process.wait_until_it_listens()
        samples = parse(httpx.get(f"{url}/metrics", timeout=60).text)
        assert len(connections) == targets
        reasons = {
            value(samples, "batchops_scrape_error", account="hostile", region=f"cn-{number}", reason="too_large")
            for number in range(targets)
        }
        assert reasons == {1}
        assert value(samples, "batchops_up", account="healthy") == 1
        assert value(samples, "batchops_jobs", account="healthy", status="Active") is not None
        assert peak(process.pid) < limit
        assert process.stop() == 0
