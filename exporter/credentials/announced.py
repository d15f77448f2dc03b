"""The log line that says which credentials an account uses."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.core.interfaces import CredentialSource, Fetch, Refusals
    from exporter.core.secrets import Credentials

log = logging.getLogger(__name__)


class AnnouncedCredentials:
    """A source whose first credentials are logged, once: source, key id and expiry."""

    def __init__(self, source: CredentialSource, *, account: str) -> None:
        self._source = source
        self._account = account
        self._announced = False

    @property
    def name(self) -> str:
        """That of the source."""
        return self._source.name

    @property
    def expires(self) -> float | None:
        """That of the source (Unix seconds)."""
        return self._source.expires

    async def get(self, fetch: Fetch) -> Credentials:
        """Returns the credentials of the source. Raises CredentialsError."""
        credentials = await self._source.get(fetch)
        if not self._announced:
            self._announced = True
            fields = {"account": self._account, "source": self.name, "key_id": credentials.key_id}
            if credentials.expires is not None:
                fields["expires"] = datetime.fromtimestamp(credentials.expires, UTC).isoformat()
            log.info("credentials found", extra=fields)
        return credentials

    async def refused(self, credentials: Credentials, fetch: Fetch, refusals: Refusals) -> None:
        """The service refused these credentials of the source."""
        await self._source.refused(credentials, fetch, refusals)
