from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from exporter.simulator import Fault, create_app
from exporter.web import server
from tests.cli.conftest import TROUBLE
from tests.rig import KEY_ID, KEY_SECRET, fresh_store, parse, value
from tests.serving import serve

LISTEN = "--web.listen-address=127.0.0.1:0"
CREDENTIALS = {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET}


@pytest.fixture(scope="module")
def may_make_namespaces():
    """`unshare`, where this process may start another as PID 1."""
    unshare = shutil.which("unshare")
    options = ["--fork", "--pid", "--mount-proc", "--kill-child"]
    if unshare is None:
        pytest.skip("there is no unshare")
    tried = subprocess.run([unshare, *options, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no process may be PID 1 here: {tried.stderr.decode().strip()}")
    return [unshare, *options]


def assert_no_trouble(process):
    for word in TROUBLE:
        assert word not in process.stderr
    assert "level=error" not in process.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["--demo", "simulate"])
def test_a_signal_ends_it_at_once(number, command, start):
    """Told to end while nothing is asked of it, it ends soon and with exit code 0, though a client stays connected."""
    process = start(command, LISTEN)
    url = process.wait_until_it_listens()
    with httpx.Client(base_url=url) as client:
        client.get("/-/healthy")
        begin = time.monotonic()
        assert process.stop(number) == 0
        assert time.monotonic() - begin < 5
    assert_no_trouble(process)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scrape_under_way_is_still_answered(number, start, config_file):
    """A scrape that runs when the signal comes gets its whole answer; new connections are refused meanwhile."""
    store = fresh_store()
    store.faults.add(Fault("delay", seconds=1.5))
    answers = []
    with serve(create_app(store)) as store_url:
        exporter = start(config_file(store_url, credentials=CREDENTIALS), LISTEN)
        url = exporter.wait_until_it_listens()
        scrape = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/metrics", timeout=20)))
        scrape.start()
        while not store.requests:
            time.sleep(0.01)
        exporter.send(number)
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/-/healthy")
        scrape.join()
        assert exporter.wait() == 0
    samples = parse(answers[0].text)
    assert value(samples, "batchops_up") == 1
    assert sum(key.name == "batchops_job_info" for key in samples) == 25
    assert_no_trouble(exporter)


def test_a_listing_that_hangs_is_given_up(start, config_file):
    """A scrape that would outlast the end is answered before it, with the hanging target down for `timeout`."""
    store = fresh_store()
    store.faults.add(Fault("delay", seconds=60))
    answers = []
    with serve(create_app(store)) as store_url:
        exporter = start(config_file(store_url, credentials=CREDENTIALS, timeout="1m"), LISTEN)
        url = exporter.wait_until_it_listens()
        scrape = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/metrics", timeout=30)))
        scrape.start()
        while not store.requests:
            time.sleep(0.01)
        begin = time.monotonic()
        exporter.send(signal.SIGTERM)
        scrape.join()
        assert exporter.wait() == 0
        assert time.monotonic() - begin < server.GRACE_SECONDS + 1
    assert answers[0].status_code == 200
    assert value(parse(answers[0].text), "batchops_scrape_error", reason="timeout") == 1
    assert_no_trouble(exporter)


def test_a_hangup_ends_nothing(start):
    """SIGHUP, by which some daemons reload, leaves it running and is told in the log."""
    process = start("--demo", LISTEN)
    url = process.wait_until_it_listens()
    process.send(signal.SIGHUP)
    assert httpx.get(f"{url}/-/healthy").status_code == 200
    assert process.stop() == 0
    assert "SIGHUP is not used" in process.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_as_the_first_process_of_a_container(number, start, may_make_namespaces):
    """As PID 1, to which the system gives no default handlers, it ends with exit code 0 too."""
    outer = start("--demo", LISTEN, argv=may_make_namespaces)
    url = outer.wait_until_it_listens()
    assert httpx.get(f"{url}/-/healthy").status_code == 200
    inner = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
    assert "NSpid:\t" in (status := Path(f"/proc/{inner}/status").read_text())
    assert next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == "1"
    os.kill(inner, number)
    assert outer.wait() == 0
    assert_no_trouble(outer)
