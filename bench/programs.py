"""The programs under test and the store, each a process of its own; and what a scraper does with them."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from bench.pages import PAGE_SIZE
from bench.store import REGION, REQUESTS, SHOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROVIDER: Final = "oss"
ACCOUNT: Final = "bench"
KEY_ID: Final = "bench"
KEY_SECRET: Final = "opens-nothing"  # noqa: S105 - the store checks no signature

START_SECONDS: Final = 120.0
"""What a program may take to start; the store makes its pages meanwhile."""
SCRAPE_SECONDS: Final = 120.0

_SCHED: Final = 2
"""With it, a process's number makes the number of its clock, as in clock_getcpuclockid(3), which Python lacks."""
_URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Program:
    """A process that answers on `url`."""

    pid: int
    url: str

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def peak(self) -> float:
        """The most memory it has had resident so far, in MiB (Linux)."""
        return self._memory("VmHWM")

    def resident(self) -> float:
        """The memory that it has resident, in MiB (Linux)."""
        return self._memory("VmRSS")

    def descriptors(self) -> int:
        """How many file descriptors it has open (Linux)."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def cpu(self) -> float:
        """The seconds of CPU time that it has taken so far (Linux)."""
        return time.clock_gettime(~self.pid << 3 | _SCHED)

    def get(self, path: str = "/metrics", *, encoding: str = "identity") -> bytes:
        """The body of the answer, still encoded. Each call has a connection of its own."""
        connection = http.client.HTTPConnection(self.address, timeout=SCRAPE_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"accept-encoding": encoding})
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{self.url}{path} answered {answer.status}: {body[:200]!r}")
        if answer.headers.get("content-encoding", "identity") != encoding:
            raise RuntimeError(f"{self.url}{path} did not answer with the encoding {encoding}")
        return body

    def _memory(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise RuntimeError("the system does not tell the memory of a process")
        return int(found[1]) / 1024


def regions(targets: int) -> list[str]:
    """Those of so many targets."""
    return [REGION.format(number) for number in range(targets)]


def probe(region: str, name: str = ACCOUNT) -> str:
    """The path at which the exporter tells that target alone."""
    return f"/probe?target={PROVIDER}/{name}/{region}"


@contextlib.contextmanager
def store(
    jobs: int,
    *,
    targets: int = 1,
    page_size: int = PAGE_SIZE,
    churn: bool = False,
    token_first: bool = True,
    delay: float = 0.0,
    fail_every: int = 0,
) -> Iterator[Program]:
    """The store with `jobs` jobs for each of its targets; `delay` is the seconds ahead of each of its answers.

    Two variants have no job in common, or (`churn`) are successive states of one listing.
    """
    numbers = {
        "jobs": jobs,
        "targets": targets,
        "page-size": page_size,
        "delay": delay,
        "fail-every": fail_every,
    }
    command = ["-m", "bench.store", *(f"--{name}={number}" for name, number in numbers.items())]
    if churn:
        command.append("--churn")
    if not token_first:
        command.append("--token-last")
    with _running(command) as program:
        yield program


def show(shop: Program, variant: int) -> None:
    """Listings of the store that begin from now on are of `variant`."""
    shop.get(f"{SHOW}{variant}")


def requests(shop: Program) -> int:
    """How many requests for a page have reached the store so far."""
    return int(shop.get(REQUESTS))


@contextlib.contextmanager
def naive(shop: Program, *, targets: int = 1) -> Iterator[Program]:
    """The baseline, in front of `shop`."""
    with _running(["-m", "bench.naive", f"--store={shop.url}", f"--targets={targets}"]) as program:
        yield program


def account(shop: Program, *, targets: int = 1, name: str = ACCOUNT, retries: int = 2) -> dict[str, Any]:
    """An account of the configuration, without the bounds that would stand in the way of a measurement."""
    return {
        "provider": PROVIDER,
        "account": name,
        "regions": regions(targets),
        "endpoint": shop.url,
        "credentials": {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET},
        "timeout": f"{SCRAPE_SECONDS:.0f}s",
        "retries": retries,
        "requests_per_second": 0,
        "jobs": {"max": 1_000_000},
    }


@contextlib.contextmanager
def exporter(
    *accounts: dict[str, Any], module: str = "exporter", environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """The exporter of `accounts`, which answers any number of scrapes at once; `module` is how it is started.

    `environment` adds to that of this process.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        file = Path(directory, "config.yaml")
        file.write_text(yaml.safe_dump({"accounts": accounts}), encoding="utf-8")
        flags = [f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--web.max-requests=0"]
        with _running(["-m", module, *flags], environment) as program:
            yield program


@contextlib.contextmanager
def ours(shop: Program, *, targets: int = 1) -> Iterator[Program]:
    """The exporter, in front of `shop`."""
    with exporter(account(shop, targets=targets)) as program:
        yield program


@contextlib.contextmanager
def _running(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """A Python with `arguments`, once it has told its URL; ended at the end."""
    command = [sys.executable, *arguments]
    settings = os.environ | (environment or {})
    with (
        # Its lines go to a file: into a pipe that nobody reads it would write until it stands still.
        tempfile.NamedTemporaryFile() as told,
        subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, env=settings) as process,  # noqa: S603 - our own
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
