"""The exporter without the garbage collector: `python -m bench.uncollected` accepts the exporter's flags.

Memory that only the collector would free, because it is in a cycle of references, then grows without limit.
"""

from __future__ import annotations

import gc
import sys

from exporter.cli import main

if __name__ == "__main__":
    gc.disable()
    sys.exit(main())
