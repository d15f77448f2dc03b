"""Keys that expire, held and renewed in time."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core.errors import CredentialsError, ScrapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.interfaces import Fetch
    from exporter.core.secrets import Credentials
    from exporter.credentials.issuer_response import Issued

RENEW_SECONDS: Final = 15 * 60.0
"""Keys are renewed so long before they expire; those of a short life when a quarter of it is left."""

RECHECK_SECONDS: Final = 60.0
"""Keys of which nobody tells when they expire are asked for again after so long."""

RETRY_SECONDS: Final = 30.0
"""A renewal that failed is tried again after so long, while the old keys are good."""

log = logging.getLogger(__name__)


class Issuer(Protocol):
    """Who gives temporary keys."""

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """New keys, asked for at the Unix time `now`. Raises ScrapeError; NotConfigured where there is no such issuer.

        Whatever is waited for is bounded.
        """


@dataclass(frozen=True, slots=True)
class _Held:
    credentials: Credentials
    until: float
    """Unix seconds of this machine's clock, like all times here."""


class RefreshingCredentials:
    """The keys of an issuer. They are asked for once at a time, whoever waits for them.

    Keys that are still good are given at once, and renewed meanwhile; so a slow issuer delays no listing. Where the
    renewal fails they stay in use until they expire.
    """

    def __init__(self, name: str, issuer: Issuer, *, account: str = "", now: Callable[[], float] = time.time) -> None:
        self.name = name
        self.expires: float | None = None
        self._issuer = issuer
        self._account = account
        self._now = now
        self._held: _Held | None = None
        self._renew_at = 0.0
        self._renewal: asyncio.Task[CredentialsError | None] | None = None
        self._told = ""
        """The last warning, until a renewal succeeds."""

    async def get(self, fetch: Fetch) -> Credentials:
        """Keys that can be used now. Raises CredentialsError."""
        now = self._now()
        if self._held is not None and now < self._held.until:
            if now >= self._renew_at:
                self._start(fetch)
            return self._held.credentials
        renewal = self._start(fetch)
        # Who gives up waiting must not end what others wait for.
        await asyncio.wait({renewal})
        error = renewal.result()
        if error is not None:  # anew: many may raise it at once
            raise type(error)(error.message, reason=error.reason)
        assert self._held is not None  # noqa: S101 - what a renewal without an error leaves behind
        return self._held.credentials

    def _start(self, fetch: Fetch) -> asyncio.Task[CredentialsError | None]:
        """The renewal that is under way, or a new one."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(fetch), name=f"credentials {self._account}")
        return self._renewal

    async def _renew(self, fetch: Fetch) -> CredentialsError | None:
        """Take new keys; else what went wrong."""
        now = self._now()
        try:
            issued = await self._issuer.issue(fetch, now)
        except CredentialsError as error:
            return self._failed(error)
        except ScrapeError as error:
            return self._failed(CredentialsError(error.message, reason=error.reason))
        except Exception:
            log.exception("a fault of the exporter itself; please report it", extra={"account": self._account})
            return self._failed(CredentialsError("the exporter failed to get keys; see its log", reason="config"))
        life = issued.lifetime
        self.expires = issued.credentials.expires
        self._held = _Held(issued.credentials, float("inf") if life is None else now + life)
        self._renew_at = now + (RECHECK_SECONDS if life is None else life - min(RENEW_SECONDS, life / 4))
        if self._told:
            log.info("the credentials are renewed again", extra=self._facts())
            self._told = ""
        return None

    def _failed(self, error: CredentialsError) -> CredentialsError:
        """Plan the next try; warn, once for each reason, where the old keys hide the failure from the metrics."""
        now = self._now()
        self._renew_at = now + RETRY_SECONDS
        if self._held is not None and now < self._held.until and error.message != self._told:
            self._told = error.message
            log.warning("the credentials could not be renewed, the old ones are used: %s", error, extra=self._facts())
        return error

    def _facts(self) -> dict[str, str]:
        return {"account": self._account, "source": self.name}
