from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.waiting import until

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds that a process may take to start, to answer or to exit."""
LISTENING = re.compile(r'msg"?[=:] ?"?listening\b')
URL = re.compile(r'url"?[=:] ?"?(https?://[^\s"]+)/')

TROUBLE = ("Traceback", "ResourceWarning", "DeprecationWarning", "unclosed", "never retrieved", "was never awaited")
"""Words that a process that works well never writes."""


def command(*arguments: str) -> list[str]:
    """Returns the command line of the exporter, with every warning an error."""
    return [sys.executable, "-W", "error", "-m", "exporter", *arguments]


class Process:
    """A running exporter, whose lines on stderr are read as they arrive."""

    def __init__(self, argv: list[str], **options: Any) -> None:
        self.lines: list[str] = []
        self.urls: list[str] = []
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if LISTENING.search(line) and (url := URL.search(line)):
                self.urls.append(url[1])

    def wait_until_it_listens(self, addresses: int = 1) -> str:
        """Returns its first URL, once it listens on `addresses` of them."""
        until(lambda: len(self.urls) >= addresses or not self._reader.is_alive(), seconds=PATIENCE)
        assert len(self.urls) == addresses, self.stderr
        return self.urls[0]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stderr(self) -> str:
        return "".join(self.lines)

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Returns the exit code, once all of stderr is read."""
        code = self._process.wait(PATIENCE)
        self._reader.join()
        assert self._process.stdout is not None
        assert self._process.stdout.read() == ""
        self._process.stdout.close()
        assert self._process.stderr is not None
        self._process.stderr.close()
        return code

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """Kill it, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self.wait()


@pytest.fixture
def environment():
    """The environment of a process, without this machine's credentials and proxies."""
    kept = {"PATH", "HOME", "LANG", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}
    return {name: value for name, value in os.environ.items() if name in kept} | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def start(tmp_path, environment):
    """Starts an exporter with the given arguments in an empty directory, and kills it at the end of the test."""
    running = []

    def starting(*arguments, argv=(), **variables):
        full = [*argv, *command(*arguments)]
        running.append(Process(full, cwd=tmp_path, env=environment | variables))
        return running[-1]

    yield starting
    for process in running:
        process.kill()


@pytest.fixture
def run(tmp_path, environment):
    """Runs an exporter that exits by itself, and returns its exit code, stdout and stderr."""

    def running(*arguments, **variables):
        return subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return running


@pytest.fixture(scope="module")
def as_pid_1():
    """The command prefix that starts a process as PID 1; without the permission to do so, the test is skipped."""
    unshare = shutil.which("unshare")
    options = ["--fork", "--pid", "--mount-proc", "--kill-child"]
    if unshare is None:
        pytest.skip("unshare is not installed")
    trial = subprocess.run([unshare, *options, "true"], capture_output=True, check=False)
    if trial.returncode:
        pytest.skip(f"a PID namespace cannot be made here: {trial.stderr.decode().strip()}")
    return [unshare, *options]


@pytest.fixture
def config_file(tmp_path):
    """Writes a configuration with one account at `url`, and returns the flag that names it."""

    def writing(url, **account):
        document = {
            "provider": "oss",
            "account": "prod",
            "regions": ["cn-hangzhou"],
            "endpoint": url,
            "credentials": {"source": "static", "access_key_id": "an-id", "access_key_secret": "CANARY-secret"},
            **account,
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"accounts": [document]}))
        return f"--config.file={path}"

    return writing
