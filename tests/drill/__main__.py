"""`./dev drill [SCENARIO...]`: plays failures against the shipped rules, and shows what arrives at a webhook.

It needs the programs prometheus and prometheus-alertmanager. Without a scenario, all are played. With `--write`, the
logs in docs/drill.md are written again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.drill.player import play
from tests.drill.scenarios import SCENARIOS
from tests.drill.shortened import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.drill.player import Outcome

PAGE: Final = DEPLOY.parent / "docs/drill.md"
MARK: Final = "<!-- What follows is written by ./dev drill --write -->\n"

log = logging.getLogger("drill")


def main() -> int:
    """Returns the exit code: 1 if an alert was missing, wrong, sent twice or not expected."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    lines = [f"  {name:26} {scenario.text}" for name, scenario in known.items()]
    parser = argparse.ArgumentParser(
        prog="./dev drill",
        description="Plays failures against the shipped rules and shows which alerts arrive at a webhook.",
        epilog="\n".join(["scenarios:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help="default: all")
    parser.add_argument("--write", action="store_true", help="play all, and write their logs to docs/drill.md")
    options = parser.parse_args()
    names = options.scenario or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no scenario {unknown[0]}; --help lists them")
    if options.write and len(names) < len(known):
        parser.error("--write plays all scenarios")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    log.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        try:
            result = play([known[name] for name in names], Path(folder))
        except pytest.skip.Exception as missing:
            parser.exit(1, f"./dev drill: {missing.msg}\n")
    for name in names:
        log.info("%s: %s", name, "; ".join(result[name].problems) or "as expected")
    failed = any(outcome.problems for outcome in result.values())
    if options.write and not failed:
        write(result)
    return int(failed)


def write(outcomes: Mapping[str, Outcome]) -> None:
    """Writes the logs to the page."""
    sections = [
        f"\n### {scenario.name}\n\n{scenario.text}\n\n```text\n" + "\n".join(outcomes[scenario.name].log) + "\n```\n"
        for scenario in SCENARIOS
    ]
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(head + MARK + "".join(sections))


if __name__ == "__main__":
    sys.exit(main())
