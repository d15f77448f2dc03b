"""The programs under test and the store, each in a process of its own, and what a scraper does with them."""

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
"""The limit for the start of a program; the store makes its pages meanwhile."""
SCRAPE_SECONDS: Final = 120.0

_SCHED: Final = 2
"""Makes the id of a process the id of its clock, as clock_getcpuclockid(3) does, which Python lacks."""
_URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Program:
    """A process that serves on `url`."""

    pid: int
    url: str

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def peak(self) -> float:
        """Its largest resident memory so far, in MiB (Linux)."""
        return self._memory("VmHWM")

    def resident(self) -> float:
        """Its resident memory, in MiB (Linux)."""
        return self._memory("VmRSS")

    def descriptors(self) -> int:
        """The number of its open file descriptors (Linux)."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def cpu(self) -> float:
        """Its CPU time so far, in seconds (Linux)."""
        return time.clock_gettime(~self.pid << 3 | _SCHED)

    def get(self, path: str = "/metrics", *, encoding: str = "identity", scrape_timeout: float = 0.0) -> bytes:
        """The body of the response, still encoded. Each call has a connection of its own.

        `scrape_timeout`: what the scraper announces, in seconds; 0: nothing.

        Raises RuntimeError if the status is not 200, or if the response has another encoding.
        """
        connection = http.client.HTTPConnection(self.address, timeout=SCRAPE_SECONDS)
        with contextlib.closing(connection):
            headers = {"accept-encoding": encoding}
            if scrape_timeout:
                headers["x-prometheus-scrape-timeout-seconds"] = str(scrape_timeout)
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{self.url}{path} returned {response.status}: {body[:200]!r}")
        if response.headers.get("content-encoding", "identity") != encoding:
            raise RuntimeError(f"{self.url}{path} did not return the encoding {encoding}")
        return body

    def _memory(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        size = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        if size is None:
            raise RuntimeError(f"/proc does not contain {name} of the process")
        return int(size[1]) / 1024


def regions(targets: int) -> list[str]:
    """The regions of so many targets."""
    return [REGION.format(number) for number in range(targets)]


def probe(region: str, name: str = ACCOUNT) -> str:
    """The path of the exporter for that target only."""
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
    rate: float = 0.0,
    fail_every: int = 0,
) -> Iterator[Program]:
    """The store with `jobs` jobs for each of its targets.

    It sends each page after `delay` seconds, at `rate` bytes a second (0: as fast as possible). Two variants have no
    job in common, or (`churn`) are successive states of one listing.
    """
    numbers = {
        "jobs": jobs,
        "targets": targets,
        "page-size": page_size,
        "delay": delay,
        "rate": rate,
        "fail-every": fail_every,
    }
    command = ["-m", "bench.store", *(f"--{name}={number}" for name, number in numbers.items())]
    if churn:
        command.append("--churn")
    if not token_first:
        command.append("--token-last")
    with _running(command) as program:
        yield program


@contextlib.contextmanager
def hostile(scenario: str) -> Iterator[Program]:
    """The store of a scenario of `bench.hostile`."""
    with _running(["-m", "bench.hostile", scenario]) as program:
        yield program


def show(shop: Program, variant: int) -> None:
    """Have the store show `variant` to listings that start from now on."""
    shop.get(f"{SHOW}{variant}")


def requests(shop: Program) -> int:
    """The number of requests for a page that the store has received so far."""
    return int(shop.get(REQUESTS))


@contextlib.contextmanager
def naive(shop: Program, *, targets: int = 1) -> Iterator[Program]:
    """The baseline, with the targets of `shop`, ready to be scraped."""
    with _running(["-m", "bench.naive", f"--store={shop.url}", f"--targets={targets}"]) as program:
        program.get("/favicon.ico")  # the only path that collects nothing
        yield program


def account(shop: Program, *, targets: int = 1, name: str = ACCOUNT, retries: int = 2) -> dict[str, Any]:
    """An account of the configuration, without limits that would affect a measurement."""
    return {
        "provider": PROVIDER,
        "account": name,
        "regions": regions(targets),
        "endpoint": shop.url,
        "credentials": {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET},
        "timeout": f"{SCRAPE_SECONDS:.0f}s",
        "retries": retries,
        "requests_per_second": 0,
        "jobs": {"max": 1_000_000, "describe": False},  # the baseline only lists jobs
    }


@contextlib.contextmanager
def exporter(
    *accounts: dict[str, Any], module: str = "exporter", environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """The exporter of `accounts`, ready, without a limit of concurrent scrapes; `module` is what is started.

    `environment` adds to that of this process.
    """
    # A store has one host for all regions, so each region is an account of its own in the file.
    entries = [entry | {"regions": [region]} for entry in accounts for region in entry["regions"]]
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        file = Path(directory, "config.yaml")
        file.write_text(yaml.safe_dump({"accounts": entries}), encoding="utf-8")
        flags = [f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--web.max-requests=0"]
        with _running(["-m", module, *flags], environment) as program:
            program.get("/-/ready")
            yield program


@contextlib.contextmanager
def ours(shop: Program, *, targets: int = 1) -> Iterator[Program]:
    """The exporter, with the targets of `shop`, ready to be scraped."""
    with exporter(account(shop, targets=targets)) as program:
        yield program


@contextlib.contextmanager
def _running(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """A Python with `arguments` that has printed its URL; it is terminated at the end."""
    command = [sys.executable, *arguments]
    settings = os.environ | (environment or {})
    settings.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    with (
        # Its output goes to a file: a pipe that is not read would block it.
        tempfile.NamedTemporaryFile() as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=settings) as process,  # noqa: S603 - our own
    ):
        try:
            yield Program(process.pid, _url(process, Path(output.name)))
        finally:
            process.terminate()


def _url(process: subprocess.Popen[bytes], output: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        ended = process.poll() is not None
        text = output.read_text(encoding="utf-8")
        url = _URL.search(text)
        if url:
            return url[0]
        if ended:
            raise RuntimeError(f"{process.args!r} exited early: {text}")
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not print its URL within {START_SECONDS:.0f} s")
