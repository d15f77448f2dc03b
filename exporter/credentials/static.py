"""Credentials in the configuration, or in files that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.header_values import header_problem
from exporter.credentials.key_files import read_key

if TYPE_CHECKING:
    from exporter.core.interfaces import CredentialNames, Fetch
    from exporter.core.section import Section

FILE_SUFFIX: Final = "_file"
"""`access_key_secret_file` names the file that contains `access_key_secret`."""


class KeyFile(NamedTuple):
    """The file that contains a part, and the key of the configuration that names it."""

    key: str
    path: Path

    async def read(self) -> Secret:
        """Returns its current content. Raises CredentialsError, which names the key and the file."""
        try:
            return Secret(await read_key(self.path))
        except CredentialsError as error:
            raise CredentialsError(f"credentials.{self.key}: {error}", reason=error.reason) from None


class StaticCredentials:
    """Each part is a literal or a file. Files are read at each use, because they may change."""

    name = "static"
    expires: float | None = None

    def __init__(self, key_id: Secret | KeyFile, secret: Secret | KeyFile, token: Secret | KeyFile | None) -> None:
        self._parts = tuple(part for part in (key_id, secret, token) if part is not None)

    @classmethod
    def from_section(cls, section: Section, names: CredentialNames) -> Self:
        """Returns the source that the settings describe, without reading files; adds problems to the section's."""
        return cls(
            _part(section, names.key_id) or Secret(""),
            _part(section, names.secret) or Secret(""),
            _part(section, names.token, required=False),
        )

    async def get(self, _fetch: Fetch) -> Credentials:
        """Returns the credentials, with the current content of the files. Raises CredentialsError."""
        key_id, secret, *token = [await part.read() if isinstance(part, KeyFile) else part for part in self._parts]
        return Credentials(key_id.reveal(), secret, token[0] if token else None)


def _part(section: Section, key: str, *, required: bool = True) -> Secret | KeyFile | None:
    """Returns the literal of `key` or the file of its twin; None if neither is usable."""
    file_key = key + FILE_SUFFIX
    literal = section.string(key, required=section.has(key))
    file = section.file(file_key, required=section.has(file_key), secret=True)
    if section.has(key) and section.has(file_key):
        section.problem(key, f"cannot be combined with {file_key}: set only one of them")
    elif section.has(file_key):
        return KeyFile(file_key, Path(file))
    elif section.has(key):
        if literal and (problem := header_problem(literal)):
            section.problem(key, problem)
        return Secret(literal)
    elif required:
        section.problem(key, f"is required: set it or {file_key}")
    return None
