"""Content negotiation: which format and encoding a client accepts (RFC 9110, 12.4 and 12.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPENMETRICS: Final = "application/openmetrics-text"
_OPENMETRICS_VERSIONS: Final = (None, "1.0.0", "0.0.1")
"""Versions whose clients can read 1.0.0; no version means the newest."""


def prefers_openmetrics(accept: str) -> bool:
    """Whether the header Accept prefers OpenMetrics 1.0 to the plain text format, or equally.

    A client that names neither gets plain text: it is then a person or a tool of the oldest kind.
    """
    openmetrics = plain = 0.0
    for name, quality, parameters in _items(accept):
        if name == _OPENMETRICS and parameters.get("version") in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif name == "text/plain":
            plain = max(plain, quality)
    return openmetrics > 0 and openmetrics >= plain


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header Accept-Encoding allows gzip."""
    qualities = {name: quality for name, quality, _ in _items(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _items(header: str) -> Iterator[tuple[str, float, dict[str, str]]]:
    """Each item of a header: its lower-case name, its quality (0 to 1) and its other parameters."""
    for item in header.split(","):
        name, *rest = (part.strip().lower() for part in item.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        yield name, quality, parameters
