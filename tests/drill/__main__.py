"""`./dev drill [SCENARIO...]`: plays failures against the shipped rules, and shows what arrives at a webhook.

It needs the programs prometheus and prometheus-alertmanager. Without a scenario, all are played.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import pytest

from tests.drill.player import play
from tests.drill.scenarios import SCENARIOS

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
    parser.add_argument("scenario", nargs="*", choices=[*known], metavar="SCENARIO", help="default: all")
    names = parser.parse_args().scenario or list(known)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    log.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        try:
            result = play([known[name] for name in names], Path(folder))
        except pytest.skip.Exception as missing:
            parser.exit(1, f"./dev drill: {missing.msg}\n")
    for name in names:
        log.info("%s: %s", name, "; ".join(result[name]) or "as expected")
    return int(any(result.values()))


if __name__ == "__main__":
    sys.exit(main())
