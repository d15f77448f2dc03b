"""The first source that is configured on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core.errors import CredentialsError

if TYPE_CHECKING:
    from exporter.core.interfaces import CredentialSource, Fetch, Refusals
    from exporter.core.secrets import Credentials


class NotConfigured(CredentialsError):
    """A source is not configured on this machine; another one may be."""


class DefaultChain:
    """Tries the sources in their order, and keeps to the first that returns credentials.

    A source that is not configured is skipped. One that is configured but fails ends the search, because the next one
    could return the credentials of another identity.
    """

    def __init__(self, sources: tuple[CredentialSource, ...]) -> None:
        self._sources = sources
        self._chosen: CredentialSource | None = None

    @property
    def name(self) -> str:
        """The chosen source; `default` until one is chosen."""
        return self._chosen.name if self._chosen else "default"

    @property
    def expires(self) -> float | None:
        """When the credentials of the chosen source expire (Unix seconds)."""
        return self._chosen.expires if self._chosen else None

    async def get(self, fetch: Fetch) -> Credentials:
        """Returns valid credentials. Raises CredentialsError, which names what each source lacks."""
        if self._chosen:
            return await self._chosen.get(fetch)
        skipped = []
        for source in self._sources:
            try:
                credentials = await source.get(fetch)
            except NotConfigured as error:
                skipped.append(f"{source.name}: {error}")
            except CredentialsError as error:
                raise CredentialsError(f"{source.name}: {error}", reason=error.reason) from None
            else:
                self._chosen = self._chosen or source  # concurrent scrapes may get here
                return credentials
        raise CredentialsError(f"no credentials are configured; {'; '.join(skipped)}", reason="config")

    async def refused(self, credentials: Credentials, fetch: Fetch, refusals: Refusals) -> None:
        """The service refused these credentials of the chosen source."""
        if self._chosen:
            await self._chosen.refused(credentials, fetch, refusals)
