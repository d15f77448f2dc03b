"""The exporter, and a full collection of garbage every second: what memory it still has, it holds.

`python -m bench.collecting` takes the exporter's flags. Python itself makes a full collection only when a quarter more
objects than before have come, so garbage in cycles piles up for thousands of scrapes, and would pass for a leak.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from typing import Final

from exporter.cli import main

PAUSE: Final = 1.0
"""Seconds."""


def _collect() -> None:
    while True:
        time.sleep(PAUSE)
        gc.collect()


if __name__ == "__main__":
    threading.Thread(target=_collect, daemon=True).start()
    sys.exit(main())
