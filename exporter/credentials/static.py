"""Credentials in the configuration, or in files that it names."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from exporter.core.errors import CredentialsError
from exporter.core.files import Readings
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.header_values import header_problem
from exporter.credentials.key_files import KeyFile, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.interfaces import CredentialNames, Fetch, Refusals
    from exporter.core.section import Section

FILE_SUFFIX: Final = "_file"
"""`access_key_secret_file` names the file that contains `access_key_secret`."""

GRACE_SECONDS: Final = 60.0
"""How long the last keys are used while a file cannot be read, or while only some of the files have new keys."""

log = logging.getLogger(__name__)


class StaticCredentials:
    """Each part is a literal or a file. Files are read at each use, because they may change.

    `expires`: when they expire (Unix seconds), if the configuration says so. `since_start`: a monotonic clock.
    """

    name = "static"

    def __init__(
        self,
        key_id: Secret | KeyFile,
        secret: Secret | KeyFile,
        token: Secret | KeyFile | None,
        *,
        expires: float | None = None,
        account: str = "",
        since_start: Callable[[], float] = time.monotonic,
    ) -> None:
        self.expires = expires
        self._parts = tuple(part for part in (key_id, secret, token) if part is not None)
        self._readings = Readings()
        self._files = [part for part in self._parts if isinstance(part, KeyFile)]
        self._account = account
        self._since_start = since_start
        self._last: list[Secret] | None = None
        """The content of the files that was used last, and not refused."""
        self._unsettled_since: float | None = None

    @classmethod
    def from_section(cls, section: Section, names: CredentialNames, *, account: str) -> Self:
        """Returns the source that the settings describe, without reading files; adds problems to the section's."""
        return cls(
            _part(section, names.key_id) or Secret(""),
            _part(section, names.secret) or Secret(""),
            _part(section, names.token, required=False),
            expires=section.moment("expires"),
            account=account,
        )

    async def get(self, _fetch: Fetch) -> Credentials:
        """Returns the credentials, with the current content of the files. Raises CredentialsError."""
        found = iter(await self._read_files() if self._files else ())
        key_id, secret, *token = [next(found) if isinstance(part, KeyFile) else part for part in self._parts]
        return Credentials(key_id.reveal(), secret, token[0] if token else None, self.expires)

    async def refused(self, _credentials: Credentials, _fetch: Fetch, _refusals: Refusals) -> None:
        """Makes the next `get` use what the files contain then."""
        self._last = None

    async def _read_files(self) -> list[Secret]:
        """Returns the content of the files; if it is unusable or half new, the last one, for GRACE_SECONDS."""
        try:
            known = [key.reveal() for key in self._last] if self._last else None
            found = [Secret(key) for key in await self._readings.run("keys", read_keys, *self._files, known=known)]
        except CredentialsError as error:
            if self._last is None or not self._in_grace(error.message):
                raise
            return self._last
        if self._last is not None:
            changed = [new != old for new, old in zip(found, self._last, strict=True)]
            if any(changed) and not all(changed) and self._in_grace("only some of the key files have new content"):
                return self._last
        self._last, self._unsettled_since = found, None
        return found

    def _in_grace(self, problem: str) -> bool:
        """Returns whether the last keys may still be used; logs the problem when it begins."""
        now = self._since_start()
        if self._unsettled_since is None:
            self._unsettled_since = now
            message = "key files are not usable, the last keys are used for %g s: %s"
            log.warning(message, GRACE_SECONDS, problem, extra={"account": self._account, "source": self.name})
        return now - self._unsettled_since < GRACE_SECONDS


def _part(section: Section, key: str, *, required: bool = True) -> Secret | KeyFile | None:
    """Returns the literal of `key` or the file of its twin; None if neither is usable."""
    file_key = key + FILE_SUFFIX
    literal = section.string(key, required=section.has(key))
    file = section.file(file_key, required=section.has(file_key), secret=True)
    if section.has(key) and section.has(file_key):
        section.problem(key, f"cannot be combined with {file_key}: set only one of them")
    elif section.has(file_key):
        return KeyFile(Path(file), file_key)
    elif section.has(key):
        if literal and (problem := header_problem(literal)):
            section.problem(key, problem)
        return Secret(literal)
    elif required:
        section.problem(key, f"is required: set it or {file_key}")
    return None
