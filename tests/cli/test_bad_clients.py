"""Clients and readers of stderr that do not do their part, against the real process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from exporter import logs
from exporter.simulator import Store, World, create_app, make_jobs
from exporter.web import clients
from tests.cli.conftest import PATIENCE, TROUBLE, command
from tests.cli.test_memory import peak
from tests.rig import KEY_ID, KEY_SECRET
from tests.serving import serve
from tests.waiting import until

LISTEN = "--web.listen-address=127.0.0.1:0"
CREDENTIALS = {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET}
FEW_FILES = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")


def address(url):
    parts = urlsplit(url)
    return parts.hostname, parts.port


def stalled(url, path="/metrics"):
    """A connection on which a scrape was requested and only the first byte of the response was read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(address(url))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert connection.recv(1) == b"H"
    return connection


@pytest.fixture
def large(config_file):
    """The flag of a configuration with one target of many jobs, which is listed once."""
    store = Store(World.fixed(make_jobs(20_000, now=1_750_000_000)))
    with serve(create_app(store)) as url:
        yield config_file(
            url, credentials=CREDENTIALS, min_interval="10m", timeout="1m", jobs={"max": 20_000}, requests_per_second=0
        )


def test_many_connections_with_few_files(start):
    """With few open files allowed, 250 connections with half a request leave room for scrapes, and fill no log."""
    demo = start("--demo", LISTEN, argv=FEW_FILES)
    url = demo.wait_until_it_listens()
    with contextlib.ExitStack() as opened:
        for number in range(250):
            peer = opened.enter_context(socket.create_connection(address(url), PATIENCE))
            with contextlib.suppress(ConnectionError):  # it may be closed already
                peer.sendall(b"GET /metr" if number % 2 else b"")
        text = httpx.get(f"{url}/metrics", timeout=PATIENCE).text
    assert set(re.findall(r"^batchops_up\{.*\} (\d)", text, re.MULTILINE)) == {"1"}
    assert demo.stop() == 0
    assert len(demo.lines) < 20
    for word in TROUBLE:
        assert word not in demo.stderr


def test_an_accept_that_fails_is_logged_once_a_second(start):
    """If no file is left for a connection, that is a line a second at most, and later connections are answered."""
    demo = start("--demo", LISTEN)
    url = demo.wait_until_it_listens()
    assert httpx.get(f"{url}/-/healthy", timeout=PATIENCE).status_code == 200
    files = len([*Path(f"/proc/{demo.pid}/fd").iterdir()])
    before = subprocess.run(["prlimit", f"--pid={demo.pid}", f"--nofile={files}:"], check=False, capture_output=True)
    if before.returncode:
        pytest.skip("prlimit cannot limit the files of a process here")
    begin = time.monotonic()
    peers = [socket.create_connection(address(url), PATIENCE) for _ in range(20)]
    until(lambda: "cannot accept a connection" in demo.stderr, state=lambda: demo.stderr)
    time.sleep(2.5)
    subprocess.run(["prlimit", f"--pid={demo.pid}", "--nofile=500:"], check=True)
    assert httpx.get(f"{url}/-/healthy", timeout=PATIENCE).status_code == 200
    seconds = time.monotonic() - begin
    assert 1 <= demo.stderr.count("cannot accept a connection") <= seconds + 1
    for peer in peers:
        peer.close()
    assert demo.stop() == 0


@pytest.mark.slow
def test_clients_that_do_not_read_hold_little(start, large):
    """30 clients that ask for much text and read nothing hold a bounded memory, and are disconnected."""
    exporter = start(large, LISTEN)
    url = exporter.wait_until_it_listens()
    size = len(httpx.get(f"{url}/metrics", timeout=60).content)
    before = peak(exporter.pid)
    assert 30 * size > 4 * clients.MAX_UNSENT_BYTES
    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(stalled(url)) for _ in range(30)]
        assert httpx.get(f"{url}/-/healthy", timeout=PATIENCE).status_code == 200
        assert peak(exporter.pid) - before < 2 * clients.MAX_UNSENT_BYTES + 4 * size
        cut = 0
        for peer in peers:
            total = 1
            with contextlib.suppress(ConnectionError):
                while piece := peer.recv(1 << 20):
                    total += len(piece)
                    if total > size:
                        break
            cut += total < size
        assert cut > 20
    assert exporter.stop() == 0
    assert 1 <= exporter.stderr.count("did not read") < 60


def test_a_client_that_does_not_read_does_not_delay_the_end(start, large):
    """With such a client SIGTERM ends the process in time, with code 0 and without a traceback."""
    exporter = start(large, LISTEN, "--web.shutdown-timeout=2")
    connection = stalled(exporter.wait_until_it_listens())
    assert exporter.stop() == 0
    connection.close()
    for word in TROUBLE:
        assert word not in exporter.stderr
    assert "level=error" not in exporter.stderr
    assert "disconnected" in exporter.stderr


def test_bad_requests_are_a_line_a_second(start):
    """700 bad requests are a few lines, which say how many others there were."""
    demo = start("--demo", LISTEN)
    url = demo.wait_until_it_listens()
    begin = time.monotonic()
    for _ in range(700):
        with socket.create_connection(address(url), PATIENCE) as peer:
            peer.sendall(b"NONSENSE\r\n\r\n")
            assert peer.recv(4096).startswith(b"HTTP/1.1 400")
    seconds = time.monotonic() - begin
    assert demo.stop() == 0
    assert 1 <= demo.stderr.count("bad request") <= seconds + 1


@pytest.fixture
def full_stderr(tmp_path, environment, config_file):
    """An exporter at the level debug whose stderr is a full pipe without a reader; its URL, process and pipe."""
    unused = socket.create_server(("127.0.0.1", 0))
    port = unused.getsockname()[1]
    unused.close()
    flags = (config_file("http://127.0.0.1:1", retries=0), f"--web.listen-address=127.0.0.1:{port}")
    argv = command(*flags, "--log.level=debug")
    process = subprocess.Popen(argv, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(transport=httpx.HTTPTransport(retries=20), timeout=PATIENCE) as client:
        for _ in range(logs.MAX_WAITING_LINES + 800):  # the pipe holds 64 KiB
            assert client.get(f"{url}/-/healthy").status_code == 200
        yield url, process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stderr_that_is_not_read_delays_nothing(number, full_stderr):
    """With a full stderr scrapes are answered, SIGHUP does nothing, and a signal ends the process with code 0."""
    url, process = full_stderr
    assert httpx.get(f"{url}/metrics", timeout=PATIENCE).status_code == 200
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    assert httpx.get(f"{url}/-/healthy", timeout=PATIENCE).status_code == 200
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0


def test_dropped_lines_are_counted(full_stderr):
    """When stderr is read again, a line says how many were dropped: no line is lost without being counted."""
    url, process = full_stderr
    os.set_blocking(process.stderr.fileno(), False)
    text = b""

    def dropped():
        nonlocal text
        with contextlib.suppress(BlockingIOError):
            text += os.read(process.stderr.fileno(), 1 << 20)
        return re.search(rb"log lines were dropped.* dropped=(\d+)", text)

    number = int(until(dropped, state=lambda: text[-500:])[1])
    assert httpx.get(f"{url}/-/ready", timeout=PATIENCE).status_code == 200
    until(lambda: dropped() and b"path=/-/ready" in text)
    assert text.count(b"path=/-/healthy") + number == logs.MAX_WAITING_LINES + 800
