"""Points in time as issuers, the environment and the configuration write them: 2026-12-01T00:00:00Z."""

from __future__ import annotations

from datetime import datetime
from typing import Final

LATEST: Final = 1e11
"""Unix seconds, beyond the year 5000: a larger number is not in seconds."""


def parse(text: str) -> float | None:
    """Returns the Unix seconds of a time with its zone; None if `text` is no such time."""
    try:
        moment = datetime.fromisoformat(text)
        seconds = moment.timestamp() if moment.tzinfo else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < LATEST else None
