"""The values of the batch dialect. Both parsers read them here, so that they cannot differ in what a value means."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_TOKEN_CHARACTERS: Final = 1024
"""The longest page token that any of the services documents."""

MAX_WORD_CHARACTERS: Final = 256
"""Limit of a job's id and status; the longest documented id has 64 characters."""

MAX_PAGE_JOBS: Final = 1000
"""Limit of the jobs in a page, whatever was requested: the largest page that any of the services documents."""

MAX_TEXT_BYTES: Final = 1024
"""Limit of a text that becomes a label, in UTF-8: the longest one that any of the services documents."""

_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
_MAX_INT: Final = 2**63 - 1
_SAFE_DIGITS: Final = len(str(_MAX_INT)) - 1
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_EPOCH: Final = re.compile(r"[0-9]{1,19}\.[0-9]{1,9}")
_CLOCK: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_OFFSET: Final = "[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]"
_ISO8601: Final = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}(?:\.[0-9]{{1,9}})?(?:Z|{_OFFSET})?")
_RFC1123: Final = re.compile(
    rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?[0-9]{{1,2}} [A-Z][a-z]{{2}} [1-9][0-9]{{3}} {_CLOCK} "
    r"(?:GMT|UTC|[+-](?:[01][0-9]|2[0-3])[0-5][0-9])"  # `parsedate_to_datetime` ignores an offset with a colon
)


def shorten(text: str) -> str:
    """`text`, or as much of it as fits into MAX_TEXT_BYTES together with an ellipsis at its end."""
    start = text[: MAX_TEXT_BYTES + 1].encode()  # a character has at least one byte
    if len(start) <= MAX_TEXT_BYTES:
        return text
    return start[: MAX_TEXT_BYTES - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def parse_int(text: str | None) -> int | None:
    """The whole number in `text`; None if it is absent or blank.

    Raises ValueError if it is not a number from 0 to 2**63 - 1 in decimal digits.
    """
    text = (text or "").strip()
    if not text:
        return None
    number = int(text) if _NUMBER.fullmatch(text) else -1
    if not 0 <= number <= _MAX_INT:
        raise ValueError("not a whole number of at most 64 bits")
    return number


def parse_time(text: str | None) -> float | None:
    """The Unix time in `text`, an int if it is whole seconds; None if it is absent, blank or 0.

    It may be epoch seconds (1576753540, also with a fraction), ISO 8601 (2019-12-19T11:05:40Z, also with a fraction, an
    offset, a blank for the T, or no zone, which means UTC), or RFC 1123 (Thu, 19 Dec 2019 11:05:40 GMT). Raises
    ValueError for any other form: `fromisoformat` and `parsedate_to_datetime` accept much that no service sends.
    """
    text = text or ""
    if text.isdecimal() and text.isascii() and len(text) <= _SAFE_DIGITS:  # nearly all times of OSS
        return int(text) or None
    text = text.strip()
    if _ISO8601.fullmatch(text):
        seconds = _timestamp(datetime.fromisoformat(text))
    elif _EPOCH.fullmatch(text):
        seconds = float(text)
    elif _RFC1123.fullmatch(text):
        seconds = _timestamp(parsedate_to_datetime(text))
    else:
        return parse_int(text) or None
    return (int(seconds) if seconds.is_integer() else seconds) or None


def parse_moment(text: str | None) -> float | None:
    """As `parse_time`, but raises ValueError for 0 too, which some services send for a time that they do not know."""
    time = parse_time(text)
    if time is None and (text or "").strip():
        raise ValueError("0 is not a time")
    return time


def _timestamp(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
