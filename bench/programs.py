"""The programs under test and the store, each a process of its own; and what a scraper does with them."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import yaml

from bench.store import SHOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROVIDER: Final = "oss"
ACCOUNT: Final = "bench"
REGION: Final = "cn-hangzhou"
KEY_ID: Final = "bench"
KEY_SECRET: Final = "opens-nothing"  # noqa: S105 - the store checks no signature

START_SECONDS: Final = 120.0
"""What a program may take to start; the store makes its pages meanwhile."""
SCRAPE_SECONDS: Final = 120.0

_SCHED: Final = 2
"""With it, a process's number makes the number of its clock, as in clock_getcpuclockid(3), which Python lacks."""
_URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """A process that answers on `url`."""

    pid: int
    url: str

    def peak(self) -> float:
        """The most memory it has had resident so far, in MiB (Linux)."""
        found = _PEAK.search(Path(f"/proc/{self.pid}/status").read_text(encoding="ascii"))
        if found is None:
            raise RuntimeError("the system does not tell the peak memory of a process")
        return int(found[1]) / 1024

    def cpu(self) -> float:
        """The seconds of CPU time that it has taken so far (Linux)."""
        return time.clock_gettime(~self.pid << 3 | _SCHED)

    def get(self, path: str = "/metrics", *, encoding: str = "identity") -> bytes:
        """The body of the answer, still encoded. Each call has a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=SCRAPE_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"accept-encoding": encoding})
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{self.url}{path} answered {answer.status}: {body[:200]!r}")
        if answer.headers.get("content-encoding", "identity") != encoding:
            raise RuntimeError(f"{self.url}{path} did not answer with the encoding {encoding}")
        return body


@contextlib.contextmanager
def store(jobs: int, *, variants: int = 1, delay: float = 0.0) -> Iterator[Program]:
    """The store with `jobs` jobs; `delay` is the seconds ahead of each of its answers."""
    command = ["-m", "bench.store", f"--jobs={jobs}", f"--variants={variants}", f"--delay={delay}"]
    with _running(command) as program:
        yield program


def show(shop: Program, variant: int) -> None:
    """Listings of the store that begin from now on are of `variant`."""
    shop.get(f"{SHOW}{variant}")


@contextlib.contextmanager
def naive(shop: Program) -> Iterator[Program]:
    """The baseline, in front of `shop`."""
    with _running(["-m", "bench.naive", f"--store={shop.url}"]) as program:
        yield program


@contextlib.contextmanager
def ours(shop: Program) -> Iterator[Program]:
    """The exporter, in front of `shop`, without the bounds that would stand in the way of a measurement."""
    account = {
        "provider": PROVIDER,
        "account": ACCOUNT,
        "regions": [REGION],
        "endpoint": shop.url,
        "credentials": {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET},
        "timeout": f"{SCRAPE_SECONDS:.0f}s",
        "requests_per_second": 0,
        "jobs": {"max": 1_000_000},
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        file = Path(directory, "config.yaml")
        file.write_text(yaml.safe_dump({"accounts": [account]}), encoding="utf-8")
        command = ["-m", "exporter", f"--config.file={file}", "--web.listen-address=127.0.0.1:0"]
        with _running(command) as program:
            yield program


@contextlib.contextmanager
def _running(arguments: Sequence[str]) -> Iterator[Program]:
    """A Python with `arguments`, once it has told its URL; ended at the end."""
    command = [sys.executable, *arguments]
    with (
        # Its lines go to a file: into a pipe that nobody reads it would write until it stands still.
        tempfile.NamedTemporaryFile() as told,
        subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT) as process,  # noqa: S603 - our own programs
    ):
        try:
            yield Program(process.pid, _url(process, Path(told.name)))
        finally:
            process.terminate()


def _url(process: subprocess.Popen[bytes], told: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        ended = process.poll() is not None
        text = told.read_text(encoding="utf-8")
        found = _URL.search(text)
        if found:
            return found[0]
        if ended:
            raise RuntimeError(f"{process.args!r} ended at once: {text}")
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not tell its URL within {START_SECONDS:.0f} s")
