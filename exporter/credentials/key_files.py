"""Files that contain one key or token each, and may change at any time."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Final

from exporter.core.errors import CredentialsError
from exporter.credentials.header_values import header_problem

MAX_FILE_BYTES: Final = 64 * 1024
"""The longest tokens have a few thousand bytes."""


async def read_key(path: str | Path) -> str:
    """Returns the content of the file, without trailing line breaks. Raises CredentialsError."""
    return await asyncio.to_thread(_read_key, Path(path))


def _read_key(path: Path) -> str:
    try:
        # Opening a named pipe would block until something writes to it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CredentialsError(f"{path} is not a regular file", reason="config")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}", reason="config") from None
    if len(content) > MAX_FILE_BYTES:
        raise CredentialsError(f"{path} is longer than {MAX_FILE_BYTES} bytes and cannot be a key", reason="config")
    # Latin-1 decodes every byte, so that header_problem reports those that are not ASCII.
    key = content.decode("latin-1").rstrip("\r\n")
    if problem := header_problem(key):
        raise CredentialsError(f"{path} {problem}", reason="config")
    return key
