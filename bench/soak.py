"""`python -m bench soak`: one exporter, thousands of scrapes; memory and descriptors must stay as they were."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import programs, report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.programs import Program

SCRAPES: Final = 2000
LEAST_SCRAPES: Final = 20
JOBS: Final = 500
"""Of each target."""
PAGE_SIZE: Final = 100
"""Jobs: so many pages that several are under way at once."""
TARGETS: Final = 3
"""That never fail, beside the one of the account FLAKY."""
FLAKY: Final = "flaky"
FAIL_EVERY: Final = 17
"""Of the requests to the store of FLAKY, one in so many fails."""
LEAVE_EVERY: Final = 10
"""Of the clients, one in so many hangs up before it has its answer."""

READINGS: Final = 200
"""Along the whole run, at most."""
SHOWN: Final = 20
"""Of the readings, in the table."""
COLUMNS: Final = ("scrapes", "resident memory", "open file descriptors")

MOST_GROWTH: Final = 0.5
"""KiB a scrape: a scrape each 15 seconds makes a GiB of that in a year."""
MEMORY_NOISE: Final = 1.5
"""MiB: what memory differs by though nothing was kept. Two levels 1.3 MiB apart were seen, back and forth."""
DESCRIPTORS_NOISE: Final = 5
"""Connections that clients hang up are closed a moment later."""

ALLOCATOR: Final = {
    "MALLOC_ARENA_MAX": "1",
    "PYTHONMALLOC": "malloc",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
"""Of glibc, so that what is freed goes back to the system: else what it keeps, some tens of MiB, would hide a leak.

Python's own allocator takes a MiB at a time: one more, late, would pass for a leak.
"""

_UP: Final = re.compile(r'^batchops_up\{provider="\w+",account="(\w+)",region="[\w-]+"\} ([01])', re.MULTILINE)


class Reading(NamedTuple):
    """The exporter after so many `scrapes`; `resident` is its memory in MiB."""

    scrapes: int
    resident: float
    descriptors: int


@dataclass
class Soak:
    """Scrapes one exporter."""

    failed: int = field(default=0, init=False)
    """Times that the target of FLAKY was told to be down."""
    succeeded: int = field(default=0, init=False)

    def run(self, scrapes: int) -> list[Reading]:
        """The curve over so many scrapes."""
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
                if number % 3:  # each third scrape finds nothing new
                    state += 1
                    programs.show(steady, state)
                    programs.show(failing, state)
                if number % LEAVE_EVERY == LEAVE_EVERY // 2:
                    _leave(program, path, encoding, wait=bool(number // LEAVE_EVERY % 2))
                else:
                    self._check(program.get(path, encoding=encoding), encoding)
                if number % every == 0:
                    curve.append(Reading(number, program.resident(), program.descriptors()))
        return curve

    def _check(self, body: bytes, encoding: str) -> None:
        text = (gzip.decompress(body) if encoding == "gzip" else body).decode()
        ups = _UP.findall(text)
        if not ups or any(up == "0" for account, up in ups if account != FLAKY):
            raise RuntimeError(f"a target failed that must not: {ups}")
        told = [up for account, up in ups if account == FLAKY]
        self.failed += told.count("0")
        self.succeeded += told.count("1")


def _kinds() -> Iterator[tuple[str, str]]:
    """Path and encoding of each scrape: every second one is of all targets, the others of one after the other."""
    single = [programs.probe(region) for region in programs.regions(TARGETS)]
    single.append(programs.probe(programs.regions(1)[0], FLAKY))
    paths = itertools.cycle(path for probe in single for path in ("/metrics", "/metrics", probe, probe))
    return zip(paths, itertools.cycle(("identity", "gzip")), strict=False)


def _leave(program: Program, path: str, encoding: str, *, wait: bool) -> None:
    """Ask and hang up, at once or (`wait`) when the first bytes of the answer are there."""
    host, _, port = program.address.partition(":")
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=programs.SCRAPE_SECONDS)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: {encoding}\r\n\r\n".encode())
        if wait:
            connection.recv(100)


def judge(curve: Sequence[Reading]) -> list[str]:
    """What is not flat, a sentence each.

    The first quarter of the scrapes warms up: caches fill, and the heap finds its shape. Then the second quarter is
    compared with the last one, by the least memory that was seen in each: a peak is no leak, a leak lifts the floor.
    """
    quarter = len(curve) // 4
    if not quarter:
        raise ValueError("a curve has at least four readings")
    early, late = curve[quarter : 2 * quarter], curve[-quarter:]
    scrapes = late[0].scrapes - early[0].scrapes
    floors = [min(reading.resident for reading in part) for part in (early, late)]
    ceilings = [max(reading.descriptors for reading in part) for part in (early, late)]
    found = []
    if floors[1] - floors[0] > max(MEMORY_NOISE, MOST_GROWTH * scrapes / 1024):
        found.append(f"in {scrapes} scrapes the resident memory grew from {floors[0]:.1f} MiB to {floors[1]:.1f} MiB")
    if ceilings[1] - ceilings[0] > DESCRIPTORS_NOISE:
        found.append(f"in {scrapes} scrapes the open file descriptors grew from {ceilings[0]} to {ceilings[1]}")
    return found


def main(arguments: Sequence[str]) -> int:
    """Scrape and print the curve; 1 where it is not flat, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m bench soak", description="Shows that memory and file descriptors of the exporter stay flat."
    )
    parser.add_argument("--scrapes", type=report.positive, default=SCRAPES, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", metavar="FILE", help="write the whole curve there too")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there too")
    options = parser.parse_args(arguments)
    if options.scrapes < LEAST_SCRAPES:
        parser.error(f"fewer than {LEAST_SCRAPES} scrapes are no soak")
    soak = Soak()
    facts = report.facts(scrapes=options.scrapes, jobs=JOBS, targets=TARGETS + 1)
    curve = soak.run(options.scrapes)
    facts |= {"failed": soak.failed, "succeeded": soak.succeeded}
    problems = judge(curve)
    if not (soak.failed and soak.succeeded):
        problems.append("the target that fails now and then did not")
    shown = curve[-1 :: -max(1, len(curve) // SHOWN)][::-1]
    rows = [(f"{one.scrapes:,}", f"{one.resident:.1f} MiB", str(one.descriptors)) for one in shown]
    flat = "memory and file descriptors are flat"
    if options.scrapes < SCRAPES:
        flat += f", as far as fewer than {SCRAPES:,} scrapes can tell: a small leak would not show"
    verdict = "; ".join(problems) or flat
    text = f"{report.told(facts)}\n\n{report.markdown(COLUMNS, rows)}\n{verdict}\n"
    print(text, end="")
    report.write(options.json, {"facts": facts, "curve": [one._asdict() for one in curve], "problems": problems})
    report.write(options.markdown, text)
    return int(bool(problems))
