"""The entry of the command. It handles signals first: importing the rest takes a while.

PID 1, which the exporter is in a container, has no default handlers: a signal without a handler is lost.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def main() -> int:
    """Run the command line of the process and return the exit code, see `exporter.cli.main`.

    SIGTERM and SIGINT exit with code 0. A running server has handlers of its own, and raises the signal again after its
    last request. SIGHUP is ignored until there is a configuration to reload; by default it ends a process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    from exporter import cli  # noqa: PLC0415 - see above

    return cli.main()


def _exit(number: int, frame: object) -> NoReturn:
    del number, frame
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
