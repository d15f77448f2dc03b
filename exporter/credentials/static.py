"""Keys in the configuration, or in files that it names."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from exporter.credentials import characters
from exporter.errors import CredentialsError
from exporter.model import Credentials, Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.jobapi import CredentialNames
    from exporter.section import Section

FILE: Final = "_file"
"""With it, a key names the file that holds its value."""
LARGEST_FILE: Final = 64 * 1024
"""Bytes; the longest tokens have a few thousand."""


class Static:
    """Each part is a literal, or the file that holds it; the files are read at each use, so they may change."""

    name = "static"
    expires: float | None = None

    def __init__(self, key_id: Secret | Path, secret: Secret | Path, token: Secret | Path | None) -> None:
        self._parts = tuple(part for part in (key_id, secret, token) if part is not None)

    @classmethod
    def from_section(cls, section: Section, names: CredentialNames, _environment: Mapping[str, str]) -> Self:
        """The settings of this source; files are not read yet."""
        return cls(
            _part(section, names.key_id) or Secret(""),
            _part(section, names.secret) or Secret(""),
            _part(section, names.token, required=False),
        )

    async def get(self) -> Credentials:
        """The keys, as they stand in the files now. Raises CredentialsError."""
        key_id, secret, *token = [
            await asyncio.to_thread(_contents, part) if isinstance(part, Path) else part for part in self._parts
        ]
        return Credentials(key_id.reveal(), secret, token[0] if token else None)


def _part(section: Section, key: str, *, required: bool = True) -> Secret | Path | None:
    """The literal under `key` or the file under its twin; None where neither can be used."""
    twin = key + FILE
    literal = section.string(key, required=section.has(key))
    file = section.file(twin, required=section.has(twin))
    if section.has(key) and section.has(twin):
        section.problem(key, f"stands beside {twin}: write one of the two")
    elif section.has(twin):
        return Path(file)
    elif section.has(key):
        if literal and (wrong := characters.wrong(literal)):
            section.problem(key, wrong)
        return Secret(literal)
    elif required:
        section.problem(key, f"is required, here or in the file that {twin} names")
    return None


def _contents(path: Path) -> Secret:
    """What the file holds, without the line end at its end. Raises CredentialsError."""
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
    wrong = characters.wrong(key)
    if wrong:
        raise CredentialsError(f"{path} {wrong}", reason="config")
    return Secret(key)
