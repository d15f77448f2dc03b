"""The exporter with a full garbage collection every second, so that all of its memory is in use.

`python -m bench.collecting` accepts the exporter's flags. Python itself starts a full collection only if there are a
quarter more objects than after the last one, so that cycles accumulate for thousands of scrapes, like a leak.
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
