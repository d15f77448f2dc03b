"""A key in a file of its own, which may change at any time."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from exporter.core.errors import CredentialsError
from exporter.credentials.header_values import header_problem

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_FILE: Final = 64 * 1024
"""Bytes; the longest tokens have a few thousand."""


def read_key(path: Path) -> str:
    """What the file holds, without the line end at its end. It blocks. Raises CredentialsError."""
    try:
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CredentialsError(f"{path} is not a file", reason="config")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}", reason="config") from None
    if len(content) > LARGEST_FILE:
        raise CredentialsError(f"{path} is longer than {LARGEST_FILE} bytes: it is not a key", reason="config")
    # As Latin-1, every byte is a character: what is none of ASCII is told as such.
    key = content.decode("latin-1").rstrip("\r\n")
    if wrong := header_problem(key):
        raise CredentialsError(f"{path} {wrong}", reason="config")
    return key
