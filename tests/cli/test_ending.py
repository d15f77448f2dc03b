"""Signals during the start and the end, and readers of stdout that leave."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from exporter.simulator import Fault, create_app
from tests.cli.conftest import PATIENCE, TROUBLE, command
from tests.cli.test_signals import CREDENTIALS, LISTEN, assert_no_trouble
from tests.rig import fresh_store, parse, value
from tests.serving import serve
from tests.waiting import until

CATCHES_SIGTERM = 1 << (signal.SIGTERM - 1)


def catches_sigterm(pid):
    """Whether the process has a handler for SIGTERM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) & CATCHES_SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_imports_ends_it(number, start, tmp_path):
    """Signals are handled before anything else is imported: one that comes meanwhile ends the process with code 0."""
    (tmp_path / "yaml.py").write_text("import time\ntime.sleep(60)\n")  # found before the real one
    process = start("--demo", LISTEN)
    until(lambda: catches_sigterm(process.pid))
    assert process.stop(number) == 0
    assert "Interrupt" not in process.stderr  # only what an interrupted import leaves, as a warning


def test_pid_1_ends_during_its_imports(start, tmp_path, as_pid_1):
    """As PID 1, for which a signal without a handler is lost, it ends just as well."""
    (tmp_path / "yaml.py").write_text("import time\ntime.sleep(60)\n")
    outer = start("--demo", LISTEN, argv=as_pid_1)

    def inner():
        return Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().strip()

    pid = int(until(inner))
    until(lambda: catches_sigterm(pid))
    subprocess.run(["kill", "-TERM", str(pid)], check=True)
    assert outer.wait() == 0
    assert "Interrupt" not in outer.stderr  # likewise


def test_a_draining_exporter_says_so(start, config_file):
    """After SIGTERM a connection that is open already gets 503 from /-/ready and for scrapes, and 200 from /-/healthy.

    The listing in progress is ended in time, and its error says why; the exit code is 0.
    """
    store = fresh_store()
    store.faults.add(Fault("delay", seconds=60))
    answers = []
    with serve(create_app(store)) as store_url:
        exporter = start(
            config_file(store_url, credentials=CREDENTIALS, timeout="1m"), LISTEN, "--web.shutdown-timeout=4"
        )
        url = exporter.wait_until_it_listens()
        scrape = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/metrics", timeout=PATIENCE)))
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            assert client.get("/-/ready").status_code == 200
            scrape.start()
            until(lambda: store.requests)
            exporter.send(signal.SIGTERM)
            until(lambda: client.get("/-/ready").status_code == 503)
            refused = client.get("/metrics")
            assert (refused.status_code, refused.text) == (503, "batchops-exporter is stopping.\n")
            assert int(refused.headers["retry-after"]) > 0
            assert client.get("/-/healthy").status_code == 200
        scrape.join()
        assert exporter.wait() == 0
    assert value(parse(answers[0].text), "batchops_scrape_error", reason="timeout") == 1
    assert exporter.stderr.count("msg=stopping") == 1
    assert "because the exporter is stopping" in exporter.stderr
    assert "raise scrape_timeout" not in exporter.stderr
    assert_no_trouble(exporter)


def test_several_hangups(start):
    """SIGHUP during the imports and after does not end it, however often it comes."""
    process = start("--demo", LISTEN)
    until(lambda: catches_sigterm(process.pid))
    for _ in range(3):
        process.send(signal.SIGHUP)
    url = process.wait_until_it_listens()
    process.send(signal.SIGHUP)
    assert httpx.get(f"{url}/-/healthy", timeout=PATIENCE).status_code == 200
    assert process.stop() == 0


@pytest.mark.parametrize("arguments", [["--config.check"], ["--help"], ["--version"]])
def test_a_reader_that_leaves(arguments, tmp_path, environment, config_file):
    """If the reader of stdout has left, as with `| head`, it ends quietly."""
    config_file("https://{region}.example", regions=[f"cn-{number}" for number in range(900)])
    with subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_encoding_of_the_output(encoding, run, start, config_file):
    """Names that an encoding does not have are shown in escapes, on stdout and in the log, without a traceback."""
    flag = config_file("http://127.0.0.1:1", account="größe-🚚", retries=0)
    done = run("--config.check", flag, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "oss/gr" in done.stdout
    exporter = start(flag, LISTEN, PYTHONIOENCODING=encoding)
    url = exporter.wait_until_it_listens()
    assert httpx.get(f"{url}/metrics", timeout=PATIENCE).status_code == 200
    assert exporter.stop() == 0
    assert "listing failed" in exporter.stderr
    for word in TROUBLE:
        assert word not in exporter.stderr


def test_the_first_line_names_file_targets_and_addresses(start, config_file):
    """The line of the start has the file, the number of targets and the addresses."""
    flag = config_file("https://{region}.example", regions=["r-one", "r-two"])
    exporter = start(flag, LISTEN)
    url = exporter.wait_until_it_listens()
    file = flag.partition("=")[2]
    assert f"file={file} targets=2 addresses={url}\n" in exporter.lines[0]
