"""Durations as the configuration spells them: 500ms, 10s, 5m, 1h, 7d or 1h30m."""

from __future__ import annotations

import re
from typing import Final

EXAMPLES: Final = "500ms, 10s, 5m, 1h or 7d"

_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PATTERN: Final = re.compile("".join(rf"(?:([0-9]+(?:\.[0-9]+)?){unit})?" for unit in _SECONDS))


def parse(text: str) -> float | None:
    """Returns the seconds of a duration such as 500ms, 10s, 5m, 1h30m or 7d; None if `text` is not a duration."""
    match = _PATTERN.fullmatch(text)
    if match is None or not text:
        return None
    return sum(float(part) * seconds for part, seconds in zip(match.groups("0"), _SECONDS.values(), strict=True))


def nearest(text: str) -> str:
    """Returns the duration that `text` was probably meant to be, such as 10s for 10 or "10 S"; "" if there is none."""
    word = text.replace(" ", "").lower()
    return next((guess for guess in (word, f"{word}s") if parse(guess) is not None), "")


def to_text(seconds: float) -> str:
    """Returns the duration in the largest unit in which it is a whole number, rounded to the millisecond."""
    milliseconds = round(seconds * 1000)
    for unit, size in _SECONDS.items():
        count, remainder = divmod(milliseconds, round(size * 1000))
        if count and not remainder:
            return f"{count}{unit}"
    return "0s"
