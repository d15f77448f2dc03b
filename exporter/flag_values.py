"""The values of flags: text to numbers, addresses and so on, each with its error for the person at the terminal."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.core import durations
from exporter.web.listeners import AddressError, parse_address

if TYPE_CHECKING:
    from exporter.web.listeners import Address

_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
"""Segments that are neither empty nor dots: `//host` would be another host to a browser."""
_HOST: Final = re.compile(r"[A-Za-z0-9._~:\[\]-]+")
"""Host and port, without a password, which every page would show."""


def address(text: str) -> Address:
    """The address in `text`. Raises ArgumentTypeError."""
    try:
        return parse_address(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def path(text: str) -> str:
    """A path of a route. Raises ArgumentTypeError."""
    if not _PATH.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path; write one such as /metrics")
    return text


def prefix(text: str) -> str:
    """A path without a slash at its end; empty for `/`. Raises ArgumentTypeError."""
    short = text.rstrip("/")
    return path(short) if short else ""


def url(text: str) -> str:
    """A URL of http or https, without a slash at its end. Raises ArgumentTypeError."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    below = parts.path.rstrip("/")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as https://example.com/batchops")
    if below:
        path(below)
    return f"{parts.scheme}://{parts.netloc}{below}"


def count(text: str) -> int:
    """A whole number. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):  # noqa: PLR2004 - digits: up to a million scrapes
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 999999")
    return int(text)


def interval(text: str) -> float:
    """The seconds of a duration above 0. Raises ArgumentTypeError."""
    seconds = duration(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration above 0 such as {durations.EXAMPLES}")
    return seconds


def duration(text: str) -> float:
    """The seconds of a duration. Raises ArgumentTypeError."""
    seconds = durations.parse(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as {durations.EXAMPLES}")
    return seconds


def seconds(text: str) -> float:
    """A number of seconds. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return number
