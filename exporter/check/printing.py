"""Reports as text, with colour and progress on a terminal, or as JSON.

A terminal gets a few ANSI sequences from here, not from a package such as `rich`: if that is installed, httpx and
structlog import it too, and each start of the exporter takes a tenth of a second longer.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.check.report import TargetReport

_COLOURS: Final = {"ok": "\x1b[32m", "warning": "\x1b[33m", "failed": "\x1b[1;31m", "skipped": "\x1b[2m"}
_PLAIN: Final = "\x1b[0m"
_CLEAR_LINE: Final = "\r\x1b[2K"
_BAR: Final = 30
"""Characters of the bar that shows the progress."""
_INDENT: Final = " " * 23
"""Under the text of a finding."""

Part = tuple[str, str]
"""A piece of a line, and the state whose colour it has; "": none."""


@contextlib.contextmanager
def progress(total: int, stream: TextIO) -> Iterator[Callable[[TargetReport], None]]:
    """Shows how many of the targets are done, on a terminal; the function counts one more. The line is then removed."""
    done = 0

    def show(name: str) -> None:
        if stream.isatty():
            bar = ("#" * (_BAR * done // total)).ljust(_BAR, "-")
            stream.write(f"{_CLEAR_LINE}checking [{bar}] {done}/{total} {name}")
            stream.flush()

    def count(report: TargetReport) -> None:
        nonlocal done
        done += 1
        show(report.target)

    show("")
    try:
        yield count
    finally:
        if stream.isatty():
            stream.write(_CLEAR_LINE)


def as_text(reports: Sequence[TargetReport], stream: TextIO) -> str:
    """Returns the reports for people, with colours if `stream` is a terminal and NO_COLOR is not set."""
    coloured = stream.isatty() and not os.environ.get("NO_COLOR")
    lines = [line for report in reports for line in _lines(report)] + [_summary(reports)]
    return "\n".join("".join(_painted(part) if coloured else part[0] for part in line) for line in lines)


def _painted(part: Part) -> str:
    text, state = part
    return f"{_COLOURS[state]}{text}{_PLAIN}" if state else text


def as_json(reports: Sequence[TargetReport], *, interval: float) -> str:
    """Returns the reports for programs."""
    document = {
        "ok": not any(report.failed for report in reports),
        "scrape_interval_seconds": interval,
        "targets": [report.as_json() for report in reports],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _lines(report: TargetReport) -> Iterator[list[Part]]:
    outcome = "failed" if report.failed else "warning" if report.warnings else "ok"
    yield [(report.target, ""), (": ", ""), (outcome, outcome)]
    for finding in report.findings:
        yield [(f"  {finding.topic:<12} ", ""), (f"{finding.state:<7} ", finding.state), (finding.text, "")]
        if finding.remedy:
            yield [(f"{_INDENT}{finding.remedy}", "")]
    yield []


def _summary(reports: Sequence[TargetReport]) -> list[Part]:
    failed = sum(report.failed for report in reports)
    warned = sum(bool(report.warnings and not report.failed) for report in reports)
    counts = {"ok": len(reports) - failed - warned, "warning": warned, "failed": failed}
    parts = [(f"{count} {state}", state if count else "") for state, count in counts.items()]
    return [("targets: ", ""), parts[0], (", ", ""), parts[1], (", ", ""), parts[2]]
