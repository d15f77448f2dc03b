"""Files that contain one key or token each, and may change at any time, also while they are read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final, NamedTuple

from exporter.core.errors import CredentialsError
from exporter.core.files import require_regular
from exporter.credentials.header_values import header_problem, without_line_end

MAX_FILE_BYTES: Final = 64 * 1024
"""The longest tokens have a few thousand bytes."""

MAX_READINGS: Final = 5
"""How often files are read, until two readings in a row are equal."""

READING_PAUSE_SECONDS: Final = 0.02
"""Between two readings. A file that is written in place is empty or half written for a much shorter time."""


class KeyFile(NamedTuple):
    """A file, and the key of the configuration that names it, if there is one."""

    path: Path
    key: str = ""

    def __str__(self) -> str:
        return f"credentials.{self.key}: {self.path}" if self.key else str(self.path)


async def read_key(path: str | Path) -> str:
    """Returns the content of one file; see `read_keys`."""
    [key] = await asyncio.to_thread(read_keys, KeyFile(Path(path)))
    return key


def read_keys(*files: KeyFile, known: list[str] | None = None) -> list[str]:
    """Returns the content of each file, without trailing line breaks; blocks. Raises CredentialsError.

    Unless it is the `known` one, the files are read until two readings in a row are equal: so keys which are being
    replaced are never mixed, and a file that is empty only while it is written is no error.
    """
    last, problem = known, ""
    for reading in range(MAX_READINGS):
        if reading:
            time.sleep(READING_PAUSE_SECONDS)
        try:
            keys = [_read_key(file) for file in files]
        except CredentialsError as error:
            last, problem = None, error.message
            continue
        if keys == last:
            return keys
        last, problem = keys, f"{', '.join(map(str, files))} changed during each of {MAX_READINGS} readings"
    raise CredentialsError(problem, reason="config")


def _read_key(named: KeyFile) -> str:
    try:
        require_regular(named.path)
        with named.path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CredentialsError(f"{named} cannot be read: {error.strerror}", reason="config") from None
    if len(content) > MAX_FILE_BYTES:
        raise CredentialsError(f"{named} is longer than {MAX_FILE_BYTES} bytes and cannot be a key", reason="config")
    # Latin-1 decodes every byte, so that header_problem reports those that are not ASCII.
    key = without_line_end(content.decode("latin-1"))
    if problem := header_problem(key):
        raise CredentialsError(f"{named} {problem}", reason="config")
    return key
