"""Credentials that expire, and are renewed before they do."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.core.errors import CredentialsError, ScrapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.interfaces import Fetch, Refusals
    from exporter.core.secrets import Credentials
    from exporter.credentials.issuer_response import Issued

RENEW_SECONDS: Final = 15 * 60.0
"""How long before their expiry credentials are renewed; a quarter of their lifetime if that is shorter."""

RECHECK_SECONDS: Final = 60.0
"""How often credentials are requested again if it is unknown when they expire."""

RETRY_SECONDS: Final = 30.0
"""The pause after a failed renewal, while the current credentials are valid."""

REFUSED_SECONDS: Final = 30.0
"""The pause after a renewal because the service refused the credentials; doubled if it refuses the new ones too."""

MAX_REFUSED_SECONDS: Final = 900.0
"""The longest such pause."""

CLOCK_STEP_SECONDS: Final = 60.0
"""If this machine's clock is set by more than this, lifetimes that were measured with it are measured again."""

log = logging.getLogger(__name__)


def seconds_since_boot() -> float:
    """Returns the seconds since the machine was started, including those in which it was suspended.

    Setting the clock does not change them. On systems without such a clock: the monotonic one.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Issuer:
    """Issues temporary credentials: the base of all issuers."""

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """Returns new credentials, requested at the Unix time `now`, within a bounded time.

        Raises ScrapeError; NotConfigured if there is no such issuer on this machine.
        """
        raise NotImplementedError

    def forget(self) -> None:
        """Called before `issue` if the service refused the last credentials: those that are kept must not be used."""


@dataclass(frozen=True, slots=True)
class _Current:
    credentials: Credentials
    until: float
    """A reading of `seconds_since_boot`."""
    booted: float | None
    """This machine's clock at its start, if the lifetime was measured with that clock (Unix seconds)."""


class RefreshingCredentials:
    """The credentials of an issuer. One request serves all that wait for it.

    Valid credentials are returned at once and renewed in the background, so that a slow issuer delays no scrape. If a
    renewal fails, they are used until they expire. Credentials whose expiry is doubtful because the clock was set are
    returned only if their renewal failed.

    `now` returns Unix seconds, `since_boot` what `seconds_since_boot` does: lifetimes are kept on that clock.
    """

    def __init__(
        self,
        name: str,
        issuer: Issuer,
        *,
        account: str = "",
        now: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self.name = name
        self.expires: float | None = None
        self._issuer = issuer
        self._account = account
        self._now = now
        self._since_boot = since_boot
        self._current: _Current | None = None
        self._renew_at = 0.0
        self._doubtful = False
        self._last_refusal = float("-inf")
        """When the last renewal because of a refusal began; minus infinity after another one that brought new keys."""
        self._renewal: asyncio.Task[CredentialsError | None] | None = None
        self._warning = ""
        """The last warning, until a renewal succeeds."""

    async def get(self, fetch: Fetch) -> Credentials:
        """Returns valid credentials. Raises CredentialsError."""
        now = self._since_boot()
        self._notice_clock_step(now)
        if self._current is not None and now < self._current.until:
            if now >= self._renew_at:
                renewal = self._start_renewal(fetch)
                if self._doubtful:
                    await asyncio.wait({renewal})
            return self._current.credentials
        renewal = self._start_renewal(fetch)
        # Waiting with `wait`: a cancelled scrape must not cancel the renewal, which others may wait for.
        await asyncio.wait({renewal})
        error = renewal.result()
        if error is not None:  # a new object, because several scrapes may raise it at once
            raise type(error)(error.message, reason=error.reason)
        assert self._current is not None  # noqa: S101 - set by a renewal that returned no error
        return self._current.credentials

    async def refused(self, credentials: Credentials, fetch: Fetch, refusals: Refusals) -> None:
        """Requests new credentials, unless that was done lately; each time in vain, the pause after it is doubled.

        Only this caller waits for them: for others, such as another region, these may be good. A renewal that one
        region caused counts for each region that refuses what it brought.
        """
        now = self._since_boot()
        if self._current is None or credentials != self._current.credentials:
            return  # they are replaced already
        if refusals.asked != self._last_refusal:
            longer = min(2 * refusals.pause, MAX_REFUSED_SECONDS) or REFUSED_SECONDS
            refusals.pause = longer if refusals.asked < self._last_refusal else 0.0
            refusals.asked = self._last_refusal
        if now - self._last_refusal >= refusals.pause:
            self._last_refusal = now
            self._issuer.forget()
            self._start_renewal(fetch, refused=True)
        if self._renewal is not None:
            await asyncio.wait({self._renewal})

    def _notice_clock_step(self, now: float) -> None:
        """Makes the credentials doubtful if the clock that measured their lifetime was set."""
        current = self._current
        if current is None or current.booted is None:
            return
        booted = self._now() - now
        if abs(booted - current.booted) > CLOCK_STEP_SECONDS:
            self._current = replace(current, booted=booted)
            self._renew_at, self._doubtful = now, True

    def _start_renewal(self, fetch: Fetch, *, refused: bool = False) -> asyncio.Task[CredentialsError | None]:
        """Returns the renewal in progress, or a new one."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(
                self._renew(fetch, refused=refused), name=f"credentials {self._account}"
            )
        return self._renewal

    async def _renew(self, fetch: Fetch, *, refused: bool) -> CredentialsError | None:
        """Stores new credentials; returns the error if that fails."""
        now, since_boot = self._now(), self._since_boot()
        try:
            issued = await self._issuer.issue(fetch, now)
        except CredentialsError as error:
            return self._failed(error)
        except ScrapeError as error:
            return self._failed(CredentialsError(error.message, reason=error.reason))
        except Exception:
            log.exception("internal error (please report it)", extra={"account": self._account})
            return self._failed(CredentialsError("internal error (please report it): see the log", reason="internal"))
        lifetime = issued.lifetime
        self.expires = issued.credentials.expires
        until = float("inf") if lifetime is None else since_boot + lifetime
        booted = now - since_boot if issued.by_own_clock else None
        if not refused and self._current and not issued.credentials.same_keys(self._current.credentials):
            self._last_refusal = float("-inf")
        self._current = _Current(issued.credentials, until, booted)
        self._renew_at = since_boot + (
            RECHECK_SECONDS if lifetime is None else lifetime - min(RENEW_SECONDS, lifetime / 4)
        )
        self._doubtful = False
        if self._warning:
            log.info("credentials renewed again", extra=self._log_fields())
            self._warning = ""
        return None

    def _failed(self, error: CredentialsError) -> CredentialsError:
        """Returns `error`, and schedules the next attempt.

        Logs a warning, once for each reason, if the metrics do not show the error because valid credentials remain.
        """
        now = self._since_boot()
        self._renew_at, self._doubtful = now + RETRY_SECONDS, False
        if self._current is not None and now < self._current.until and error.message != self._warning:
            self._warning = error.message
            message = "credentials not renewed, the current ones are used until they expire: %s"
            log.warning(message, error, extra=self._log_fields())
        return error

    def _log_fields(self) -> dict[str, str]:
        return {"account": self._account, "source": self.name}
