"""Keys in the configuration, or in files that it names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from exporter.core.secrets import Credentials, Secret
from exporter.credentials import key_files
from exporter.credentials.header_values import header_problem

if TYPE_CHECKING:
    from exporter.core.interfaces import CredentialNames, Fetch
    from exporter.core.section import Section

FILE_SUFFIX: Final = "_file"
"""With it, a key names the file that holds its value."""


class StaticCredentials:
    """Each part is a literal, or the file that holds it; the files are read at each use, so they may change."""

    name = "static"
    expires: float | None = None

    def __init__(self, key_id: Secret | Path, secret: Secret | Path, token: Secret | Path | None) -> None:
        self._parts = tuple(part for part in (key_id, secret, token) if part is not None)

    @classmethod
    def from_section(cls, section: Section, names: CredentialNames) -> Self:
        """The settings of this source; files are not read yet."""
        return cls(
            _part(section, names.key_id) or Secret(""),
            _part(section, names.secret) or Secret(""),
            _part(section, names.token, required=False),
        )

    async def get(self, _fetch: Fetch) -> Credentials:
        """The keys, as they stand in the files now. Raises CredentialsError."""
        key_id, secret, *token = [
            Secret(await asyncio.to_thread(key_files.read_key, part)) if isinstance(part, Path) else part
            for part in self._parts
        ]
        return Credentials(key_id.reveal(), secret, token[0] if token else None)


def _part(section: Section, key: str, *, required: bool = True) -> Secret | Path | None:
    """The literal under `key` or the file under its twin; None where neither can be used."""
    twin = key + FILE_SUFFIX
    literal = section.string(key, required=section.has(key))
    file = section.file(twin, required=section.has(twin))
    if section.has(key) and section.has(twin):
        section.problem(key, f"stands beside {twin}: write one of the two")
    elif section.has(twin):
        return Path(file)
    elif section.has(key):
        if literal and (wrong := header_problem(literal)):
            section.problem(key, wrong)
        return Secret(literal)
    elif required:
        section.problem(key, f"is required, here or in the file that {twin} names")
    return None
