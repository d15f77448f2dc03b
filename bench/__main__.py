"""`python -m bench`: measure, show a table, and end with 1 where a bar is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.measure import Result, measure
from bench.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2

_LINE: Final = "{:<15} {:<24} {:>7} {:>11} {:>11} {:>8}  {:<8} {}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what `arguments` ask for (None: those of the process); 1 where a bar is missed, else 0."""
    options = _parser().parse_args(arguments)
    chosen = [row for row in ROWS if not options.rows or row.name in options.rows]
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    facts = _facts(rounds)
    print(", ".join(f"{name}: {fact}" for name, fact in facts.items()))
    print(_LINE.format("row", "what", "jobs", "baseline", "ours", "ratio", "bar", ""), flush=True)
    results = []
    for row in chosen:
        result = measure(row, jobs=min(row.jobs, options.most_jobs or row.jobs), rounds=rounds)
        print(_line(result), flush=True)
        results.append(result)
    if options.json:
        told = {"facts": facts, "rows": [_told(result) for result in results]}
        Path(options.json).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return int(any(result.missed for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures the exporter against the naive baseline."
    )
    names = [row.name for row in ROWS]
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROW",
        type=_one_of(names),
        help=f"what to measure: {', '.join(names)} (default: all)",
    )
    parser.add_argument("--rounds", type=_positive, help=f"turns of each side (default: {ROUNDS})")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds: shows that it runs, proves nothing"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result there too")
    parser.add_argument(
        "--most-jobs", type=_positive, metavar="N", help="no row has more jobs; one that is cut is not held to its bar"
    )
    return parser


def _one_of(names: Sequence[str]) -> Any:  # noqa: ANN401 - what argparse takes
    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} is no row; there are {', '.join(names)}")
        return text

    return read


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _facts(rounds: int) -> dict[str, str | int]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "load": f"{os.getloadavg()[0]:.1f}",
        "rounds": rounds,
    }


def _line(result: Result) -> str:
    row = result.row
    baseline, ours = (f"{median:.1f} {row.unit}" for median in result.medians)
    verdict = "MISSED" if result.missed else "reached" if result.judged else "not judged at this size"
    return _LINE.format(row.name, row.title, result.jobs, baseline, ours, f"{result.ratio:.2f}", str(row.bar), verdict)


def _told(result: Result) -> dict[str, Any]:
    row = result.row
    return {
        "name": row.name,
        "title": row.title,
        "jobs": result.jobs,
        "unit": row.unit,
        "baseline": result.baseline,
        "ours": result.ours,
        "baseline_median": result.medians[0],
        "ours_median": result.medians[1],
        "ratio": result.ratio,
        "bar": f"{row.bar.kind} {row.bar.bound:g}",
        "judged": result.judged,
        "missed": result.missed,
    }


if __name__ == "__main__":
    sys.exit(main())
