"""`python -m bench soak`: thousands of scrapes of one exporter; its memory and file descriptors must stay flat."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import re
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from bench import programs, report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.programs import Program

SCRAPES: Final = 2000
MIN_SCRAPES: Final = 20
JOBS: Final = 500
"""Of each target."""
PAGE_SIZE: Final = 100
"""Jobs: small, so that a listing has some pages."""
TARGETS: Final = 3
"""Without the target of the account FLAKY; these never fail."""
FLAKY: Final = "flaky"
FAIL_EVERY: Final = 17
"""One in so many requests to the store of FLAKY fails."""
DISCONNECT_EVERY: Final = 10
"""One in so many clients disconnects before it has its response."""

READINGS: Final = 200
"""Maximum in the whole run."""
SHOWN: Final = 20
"""Readings in the table."""
COLUMNS: Final = ("scrapes", "resident memory", "its peak so far", "open file descriptors")

MAX_GROWTH: Final = 0.5
"""KiB a scrape: with a scrape every 15 seconds, 1 GiB in a year."""
MEMORY_NOISE: Final = 1.5
"""MiB: the difference without a leak. Memory was seen to alternate between two levels 1.3 MiB apart."""
DESCRIPTORS_NOISE: Final = 5
"""Connections of clients that disconnect are closed a moment later."""

ALLOCATOR: Final = {
    "MALLOC_ARENA_MAX": "1",
    "PYTHONMALLOC": "malloc",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
"""Settings of glibc with which freed memory is returned to the system: otherwise tens of MiB of it would hide a leak.

Python's own allocator grows by 1 MiB at a time, which would look like a leak.
"""


class Scenario(NamedTuple):
    """How a hostile store is scraped. `timeout`: of a target, in seconds. `scrapes`: by default.

    `pages`: how many are read whole in each scrape, at least; 0: each target fails in the end.
    """

    targets: int
    timeout: float
    scrapes: int
    pages: int = 0


HOSTILE: Final = {
    "slow": Scenario(10, 1.0, 200),
    "slowing": Scenario(4, 3.0, 60),
    "large": Scenario(3, 3.0, 60),
    "endless": Scenario(30, 1.0, 60),
    "packed": Scenario(30, 20.0, 20, pages=10),
    "stalled": Scenario(30, 1.0, 60),
}
"""By the scenario of `bench.hostile`."""

UNREAD: Final = "unread"
"""The scenario of `unread`."""
CLIENTS: Final = 30
UNREAD_JOBS: Final = 14_000
"""Whose text has 18 MB."""
UNREAD_SECONDS: Final = 1.5
"""For which the clients wait without reading."""
UNREAD_ROUNDS: Final = 20

CONNECTION_KIB: Final = 8
"""Of memory that each closed connection leaves without the garbage collector: asyncio's transport refers to itself."""

CLIENT_KIB: Final = 32
"""Likewise, of a client's connection: uvicorn's protocol and its request refer to each other."""

MAX_CONNECTIONS: Final = 6
"""That a scrape of a hostile store opens for each target."""

_UP: Final = re.compile(r'^batchops_up\{provider="\w+",account="(\w+)",region="[\w-]+"\} ([01])', re.MULTILINE)
_PAGES: Final = re.compile(r"^batchops_scrape_pages\{.*\} (\d+)$", re.MULTILINE)


class Reading(NamedTuple):
    """The exporter after so many `scrapes`; `resident` is its resident memory in MiB, `peak` the largest so far."""

    scrapes: int
    resident: float
    descriptors: int
    peak: float

    @classmethod
    def of(cls, program: Program, scrapes: int) -> Self:
        """A reading of `program`."""
        return cls(scrapes, program.resident(), program.descriptors(), program.peak())


@dataclass
class Soak:
    """Scrapes one exporter."""

    failed: int = field(default=0, init=False)
    """Scrapes in which the target of FLAKY was down."""
    succeeded: int = field(default=0, init=False)
    """Scrapes in which it was up."""

    def run(self, scrapes: int) -> list[Reading]:
        """The readings during so many scrapes. Raises RuntimeError if another target than that of FLAKY is down."""
        every = max(1, scrapes // READINGS)
        curve = []
        with (
            programs.store(JOBS, targets=TARGETS, page_size=PAGE_SIZE, churn=True) as steady,
            programs.store(JOBS, page_size=PAGE_SIZE, churn=True, fail_every=FAIL_EVERY) as failing,
            programs.exporter(
                programs.account(steady, targets=TARGETS),
                programs.account(failing, name=FLAKY, retries=0),
                module="bench.collecting",
                environment=ALLOCATOR,
            ) as program,
        ):
            state = 0
            for number, (path, encoding) in zip(range(1, scrapes + 1), _kinds(), strict=False):
                if number % 3:  # for each third scrape the jobs are unchanged
                    state += 1
                    programs.show(steady, state)
                    programs.show(failing, state)
                if number % DISCONNECT_EVERY == DISCONNECT_EVERY // 2:
                    _disconnect(program, path, encoding, wait=bool(number // DISCONNECT_EVERY % 2))
                else:
                    self._check(program.get(path, encoding=encoding), encoding)
                if number % every == 0:
                    curve.append(Reading.of(program, number))
        return curve

    def _check(self, body: bytes, encoding: str) -> None:
        text = (gzip.decompress(body) if encoding == "gzip" else body).decode()
        ups = _UP.findall(text)
        if not ups or any(up == "0" for account, up in ups if account != FLAKY):
            raise RuntimeError(f"a target that never fails is down: {ups}")
        flaky = [up for account, up in ups if account == FLAKY]
        self.failed += flaky.count("0")
        self.succeeded += flaky.count("1")


def hostile(name: str, scrapes: int) -> list[Reading]:
    """The readings during so many scrapes of a hostile store by an exporter without the garbage collector.

    Raises RuntimeError if the scenario is not what it should be: if a target is up at the end, or too few pages are
    read whole.
    """
    scenario = HOSTILE[name]
    with programs.hostile(name) as shop:
        account = programs.account(shop, targets=scenario.targets) | {"timeout": f"{scenario.timeout * 1000:.0f}ms"}
        with programs.exporter(account, module="bench.uncollected", environment=ALLOCATOR) as program:
            curve = []
            for number in range(1, scrapes + 1):
                short = 0.0 if number % 2 else 0.5 + scenario.timeout / 2  # ends by the scrape's own deadline
                text = program.get(scrape_timeout=short).decode()
                curve.append(Reading.of(program, number))
                pages = sum(map(int, _PAGES.findall(text)))
                if pages < scenario.pages:
                    raise RuntimeError(f"a scrape of the hostile store read {pages} pages")
    if not scenario.pages and {up for _, up in _UP.findall(text)} != {"0"}:
        raise RuntimeError("a target of a hostile store is up")
    return curve


def unread(rounds: int) -> list[Reading]:
    """The readings in so many rounds of CLIENTS that ask an exporter without the garbage collector for much text.

    They read none of it until the reading is taken, and leave then.
    """
    curve = []
    with programs.store(UNREAD_JOBS) as shop:
        account = programs.account(shop) | {"min_interval": "1h"}
        with programs.exporter(account, module="bench.uncollected", environment=ALLOCATOR) as program:
            program.get()
            for number in range(1, rounds + 1):
                with contextlib.ExitStack() as opened:
                    for _ in range(CLIENTS):
                        opened.enter_context(contextlib.closing(_asking(program, "/metrics", "identity")))
                    time.sleep(UNREAD_SECONDS)
                    curve.append(Reading.of(program, number))
    return curve


def allowed_growth(name: str) -> float:
    """MiB a scrape that the scenario `name` may add without a leak."""
    if name == UNREAD:
        return CLIENTS * CLIENT_KIB / 1024
    return HOSTILE[name].targets * MAX_CONNECTIONS * CONNECTION_KIB / 1024


def _kinds() -> Iterator[tuple[str, str]]:
    """Path and encoding of each scrape: half of them are of all targets, the others of each target in turn."""
    single = [programs.probe(region) for region in programs.regions(TARGETS)]
    single.append(programs.probe(programs.regions(1)[0], FLAKY))
    paths = itertools.cycle(path for probe in single for path in ("/metrics", "/metrics", probe, probe))
    return zip(paths, itertools.cycle(("identity", "gzip")), strict=False)


def _disconnect(program: Program, path: str, encoding: str, *, wait: bool) -> None:
    """Send a request and disconnect, immediately or (`wait`) after the first bytes of the response."""
    with contextlib.closing(_asking(program, path, encoding)) as connection:
        if wait:
            connection.recv(100)


def _asking(program: Program, path: str, encoding: str) -> socket.socket:
    """A connection on which `path` was requested."""
    host, _, port = program.address.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=programs.SCRAPE_SECONDS)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: {encoding}\r\n\r\n".encode())
    return connection


def judge(curve: Sequence[Reading], max_growth: float = MAX_GROWTH / 1024) -> list[str]:
    """A sentence for each value that is not flat. Raises ValueError if the curve has too few readings.

    `max_growth` is in MiB a scrape.

    The first quarter of the scrapes is the warm-up. The second quarter is compared with the last one, by the smallest
    memory in each: a peak is not a leak, while a leak raises the minimum.
    """
    quarter = len(curve) // 4
    if not quarter:
        raise ValueError("a curve must have at least four readings")
    early, late = curve[quarter : 2 * quarter], curve[-quarter:]
    scrapes = late[0].scrapes - early[0].scrapes
    minima = [min(reading.resident for reading in part) for part in (early, late)]
    maxima = [max(reading.descriptors for reading in part) for part in (early, late)]
    problems = []
    if minima[1] - minima[0] > max(MEMORY_NOISE, max_growth * scrapes):
        problems.append(
            f"in {scrapes} scrapes the resident memory grew from {minima[0]:.1f} MiB to {minima[1]:.1f} MiB"
        )
    if maxima[1] - maxima[0] > DESCRIPTORS_NOISE:
        problems.append(f"in {scrapes} scrapes the open file descriptors grew from {maxima[0]} to {maxima[1]}")
    return problems


def main(arguments: Sequence[str]) -> int:
    """Scrape and print the curve; 1 if it is not flat, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m bench soak", description="Shows that memory and file descriptors of the exporter stay flat."
    )
    parser.add_argument(
        "--scenario",
        choices=(*HOSTILE, UNREAD),
        help="without the garbage collector scrape a hostile store, or a good one by clients that do not read"
        " (default: a good one by good clients)",
    )
    parser.add_argument(
        "--scrapes",
        type=report.positive,
        metavar="N",
        help=f"default: {SCRAPES}, or as many as the scenario needs",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the whole curve to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to this file")
    options = parser.parse_args(arguments)
    name: str | None = options.scenario
    wanted = SCRAPES if name is None else UNREAD_ROUNDS if name == UNREAD else HOSTILE[name].scrapes
    scrapes: int = options.scrapes or wanted
    if scrapes < MIN_SCRAPES:
        parser.error(f"--scrapes must be at least {MIN_SCRAPES}")
    if name == UNREAD:
        facts = report.facts(scrapes=scrapes, scenario=name, clients=CLIENTS)
        curve = unread(scrapes)
        problems = judge(curve, allowed_growth(name))
    elif name:
        facts = report.facts(scrapes=scrapes, scenario=name, targets=HOSTILE[name].targets)
        curve = hostile(name, scrapes)
        problems = judge(curve, allowed_growth(name))
    else:
        soak = Soak()
        facts = report.facts(scrapes=scrapes, jobs=JOBS, targets=TARGETS + 1)
        curve = soak.run(scrapes)
        facts |= {"failed": soak.failed, "succeeded": soak.succeeded}
        problems = judge(curve)
        if not (soak.failed and soak.succeeded):
            problems.append(f"the target of the account {FLAKY} did not both fail and succeed")
    shown = curve[-1 :: -max(1, len(curve) // SHOWN)][::-1]
    rows = [
        (f"{reading.scrapes:,}", f"{reading.resident:.1f} MiB", f"{reading.peak:.1f} MiB", str(reading.descriptors))
        for reading in shown
    ]
    flat = "memory and file descriptors are flat"
    if scrapes < wanted:
        flat += f" (fewer than {wanted:,} scrapes do not show a small leak)"
    verdict = "; ".join(problems) or flat
    text = f"{report.facts_line(facts)}\n\n{report.markdown(COLUMNS, rows)}\n{verdict}\n"
    print(text, end="")
    report.write(
        options.json, {"facts": facts, "curve": [reading._asdict() for reading in curve], "problems": problems}
    )
    report.write(options.markdown, text)
    return int(bool(problems))
