"""Which strings can be sent in an HTTP header."""

from __future__ import annotations

import re


def without_line_end(value: str) -> str:
    """Returns `value` without the line breaks at its end, which editors, `echo` and secret stores add."""
    return value.rstrip("\r\n")


def header_problem(value: str) -> str:
    """Returns why `value` cannot be sent, without repeating it; an empty string if it can."""
    if not value:
        return "is empty"
    if not re.fullmatch(r"[!-~]+", value):
        return "contains a character that HTTP headers do not allow (a space, a line break or a non-ASCII character)"
    return ""
