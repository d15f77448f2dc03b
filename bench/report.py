"""The forms of results: facts about the run, lines of text, Markdown for the documentation, values for JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.measure import Result

COLUMNS: Final = ("row", "what", "jobs", "baseline", "ours", "against", "ratio", "bar", "")
_LINE: Final = "{:<21} {:<33} {:>7} {:>15} {:>15}  {:<16} {:>7}  {:<7} {}"


def facts(**more: str | int) -> dict[str, str | int]:
    """What the results depend on, without the name of the machine."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "load": f"{os.getloadavg()[0]:.1f}",
        **more,
    }


def facts_line(known: Mapping[str, str | int]) -> str:
    """`known` facts as one line."""
    return ", ".join(f"{name}: {fact}" for name, fact in known.items())


def cells(result: Result) -> tuple[str, ...]:
    """A row of the table, in the order of COLUMNS."""
    row = result.row
    baseline, ours = (f"{median:,.1f} {row.unit}" for median in result.medians)
    verdict = "MISSED" if result.missed else "reached" if result.judged else "not judged at this size"
    ratio = f"{result.ratio:.2f}"
    return (row.name, row.title, f"{result.jobs:,}", baseline, ours, row.against, ratio, str(row.bar), verdict)


def line(row: Sequence[str]) -> str:
    """A row of the table, for a terminal."""
    return _LINE.format(*row).rstrip()


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns of numbers are right-aligned."""
    rows = list(rows)
    numeric = [all(cell.lstrip("-")[:1].isdigit() for cell in column) for column in zip(*rows, strict=True)]
    rules = ["--:" if is_number else "---" for is_number in numeric]
    return "".join(f"| {' | '.join(row)} |\n" for row in (columns, rules, *rows))


def values(result: Result) -> dict[str, Any]:
    """A row for JSON."""
    row = result.row
    return {
        "name": row.name,
        "title": row.title,
        "jobs": result.jobs,
        "unit": row.unit,
        "against": row.against,
        "baseline": result.baseline,
        "ours": result.ours,
        "baseline_median": result.medians[0],
        "ours_median": result.medians[1],
        "ratio": result.ratio,
        "bar": f"{row.bar.kind} {row.bar.bound:g}",
        "judged": result.judged,
        "missed": result.missed,
    }


def write(file: str | None, content: str | dict[str, Any]) -> None:
    """Write text unchanged and anything else as JSON to `file`, if there is one."""
    if file is not None:
        text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
        Path(file).write_text(text, encoding="utf-8")


def positive(text: str) -> int:
    """The whole number above 0 in an argument. Raises ArgumentTypeError."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
