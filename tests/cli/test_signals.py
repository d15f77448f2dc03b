from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from exporter.simulator import Fault, create_app
from exporter.web import server
from tests.cli.conftest import PATIENCE, TROUBLE
from tests.rig import KEY_ID, KEY_SECRET, fresh_store, parse, value
from tests.serving import serve
from tests.waiting import until

LISTEN = "--web.listen-address=127.0.0.1:0"
CREDENTIALS = {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET}


def assert_no_trouble(process):
    for word in TROUBLE:
        assert word not in process.stderr
    assert "level=error" not in process.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["--demo", "simulate"])
def test_an_idle_exporter_exits_at_once(number, command, start):
    """Without a request in progress, a signal makes it exit 0 at once, even if a client stays connected."""
    process = start(command, LISTEN)
    url = process.wait_until_it_listens()
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        client.get("/-/healthy")
        begin = time.monotonic()
        assert process.stop(number) == 0
        assert time.monotonic() - begin < server.SHUTDOWN_SECONDS
    assert_no_trouble(process)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 5).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scrape_in_progress_is_still_answered(number, start, config_file):
    """A scrape that is in progress when the signal comes gets its whole response; new connections are refused."""
    store = fresh_store()
    store.faults.add(Fault("delay", seconds=1.5))
    answers = []
    with serve(create_app(store)) as store_url:
        exporter = start(config_file(store_url, credentials=CREDENTIALS), LISTEN)
        url = exporter.wait_until_it_listens()
        scrape = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/metrics", timeout=PATIENCE)))
        scrape.start()
        until(lambda: store.requests)
        exporter.send(number)
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/-/healthy", timeout=PATIENCE)
        scrape.join()
        assert exporter.wait() == 0
    samples = parse(answers[0].text)
    assert value(samples, "batchops_up") == 1
    assert sum(key.name == "batchops_job_info" for key in samples) == 25
    assert_no_trouble(exporter)


@pytest.mark.slow
def test_a_listing_that_hangs_is_cancelled(start, config_file):
    """A scrape that would outlast the grace period is answered before its end, with the reason `timeout`."""
    store = fresh_store()
    store.faults.add(Fault("delay", seconds=60))
    answers = []
    with serve(create_app(store)) as store_url:
        exporter = start(config_file(store_url, credentials=CREDENTIALS, timeout="1m"), LISTEN)
        url = exporter.wait_until_it_listens()
        scrape = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/metrics", timeout=PATIENCE)))
        scrape.start()
        until(lambda: store.requests)
        exporter.send(signal.SIGTERM)
        scrape.join()
        assert exporter.wait() == 0
    assert answers[0].status_code == 200
    assert value(parse(answers[0].text), "batchops_scrape_error", reason="timeout") == 1
    assert_no_trouble(exporter)


def test_sighup_is_ignored(start):
    """SIGHUP, on which some daemons reload, leaves it running, however often it comes."""
    process = start("--demo", LISTEN)
    url = process.wait_until_it_listens()
    for _ in range(3):
        process.send(signal.SIGHUP)
    assert httpx.get(f"{url}/-/healthy", timeout=PATIENCE).status_code == 200
    assert process.stop() == 0
    assert_no_trouble(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_exits_as_the_first_process_of_a_container(number, start, as_pid_1):
    """As PID 1, which has no default signal handlers, it also exits 0."""
    outer = start("--demo", LISTEN, argv=as_pid_1)
    url = outer.wait_until_it_listens()
    assert httpx.get(f"{url}/-/healthy", timeout=PATIENCE).status_code == 200
    inner = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
    assert "NSpid:\t" in (status := Path(f"/proc/{inner}/status").read_text())
    assert next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == "1"
    os.kill(inner, number)
    assert outer.wait() == 0
    assert_no_trouble(outer)
