"""`python -m bench`: measures, prints a table, and exits 1 if a bar is missed; or runs one of COMMANDS."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from bench import parts, report, sizes, soak
from bench.measure import measure
from bench.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = {"parts": parts.main, "sizes": sizes.main, "soak": soak.main}
"""Commands other than measuring rows, each with arguments of its own."""

ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what `arguments` (None: those of the process) select; 1 if a bar is missed, else 0."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        return COMMANDS[given[0]](given[1:])
    options = _parser().parse_args(given)
    chosen = [row for row in ROWS if not options.rows or row.name in options.rows]
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    facts = report.facts(rounds=rounds)
    print(report.facts_line(facts))
    print(report.line(report.COLUMNS), flush=True)
    results = []
    for row in chosen:
        result = measure(row, jobs=min(row.jobs, options.most_jobs or row.jobs), rounds=rounds)
        print(report.line(report.cells(result)), flush=True)
        results.append(result)
    report.write(options.json, {"facts": facts, "rows": [report.values(result) for result in results]})
    table = report.markdown(report.COLUMNS, map(report.cells, results))
    report.write(options.markdown, f"{report.facts_line(facts)}\n\n{table}")
    return int(any(result.missed for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the exporter against the naive baseline; exits 1 if a bar is missed.",
        epilog=f"Other commands, each with its own --help: {', '.join(COMMANDS)}.",
    )
    names = [row.name for row in ROWS]
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROW",
        type=_one_of(names),
        help=f"what to measure: {', '.join(names)} (default: all)",
    )
    parser.add_argument(
        "--rounds", type=report.positive, metavar="N", help=f"measurements of each side (default: {ROUNDS})"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds: shows that it runs, proves nothing"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to this file, for the documentation")
    parser.add_argument(
        "--most-jobs",
        type=report.positive,
        metavar="N",
        help="maximum jobs of a row; a row that is reduced is not judged by its bar",
    )
    return parser


def _one_of(names: Sequence[str]) -> Any:  # noqa: ANN401 - the type of argparse
    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} is not a row; the rows are {', '.join(names)}")
        return text

    return read


if __name__ == "__main__":
    sys.exit(main())
