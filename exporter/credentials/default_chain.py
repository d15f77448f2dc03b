"""The first source that is set up on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core.errors import CredentialsError

if TYPE_CHECKING:
    from exporter.core.interfaces import CredentialSource, Fetch
    from exporter.core.secrets import Credentials


class NotConfigured(CredentialsError):
    """There is no such source of keys on this machine; another one may be."""


class DefaultChain:
    """Asks the sources in their order, and stays with the first that gives keys.

    A source that is not set up here is passed over. One that is, and fails, ends the search: the next would give keys
    of somebody else.
    """

    def __init__(self, sources: tuple[CredentialSource, ...]) -> None:
        self._sources = sources
        self._found: CredentialSource | None = None

    @property
    def name(self) -> str:
        """The source that gave the keys; `default` as long as none did."""
        return self._found.name if self._found else "default"

    @property
    def expires(self) -> float | None:
        """As the source that gave the keys tells it."""
        return self._found.expires if self._found else None

    async def get(self, fetch: Fetch) -> Credentials:
        """Keys that can be used now. Raises CredentialsError, with what each of the sources lacks."""
        if self._found:
            return await self._found.get(fetch)
        lacking = []
        for source in self._sources:
            try:
                credentials = await source.get(fetch)
            except NotConfigured as error:
                lacking.append(f"{source.name}: {error}")
            except CredentialsError as error:
                raise CredentialsError(f"{source.name}: {error}", reason=error.reason) from None
            else:
                self._found = source
                return credentials
        raise CredentialsError(f"no source of keys is set up; {'; '.join(lacking)}", reason="config")
