"""Which keys can be sent."""

from __future__ import annotations

import re


def header_problem(key: str) -> str:
    """What is wrong with a key, in words that do not hold it; empty where nothing is."""
    if not key:
        return "is empty"
    if not re.fullmatch(r"[!-~]+", key):
        return "holds a character that cannot stand in an HTTP header: a blank, a line end, or what is not ASCII"
    return ""
