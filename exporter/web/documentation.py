"""The documentation that is installed with the exporter."""

from __future__ import annotations

from typing import Final

_PACKAGE: Final = "batchops-exporter"


def documentation() -> str:
    """The README of the installed version, which its package contains as the description."""
    from importlib import metadata  # noqa: PLC0415 - it imports much, and few people ask for this page

    try:
        text = metadata.metadata(_PACKAGE).json.get("description")
    except metadata.PackageNotFoundError:
        text = None
    return str(text or f"{_PACKAGE} is not installed as a package; read README.md in its source.\n")
