"""One API call: signed, sent, counted, and sent again where that may help."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.client.rate_limit import RateLimiter
from exporter.core.errors import ScrapeError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.client.transport import Transport
    from exporter.core.deadline import Deadline
    from exporter.core.http import Request, Response
    from exporter.core.interfaces import Observer, Onlooker
    from exporter.core.target import Target

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
"""Of an answer, after decompression; a page of 1000 jobs is below 1 MiB."""

BACKOFF_SECONDS: Final = 0.2
"""Before the first retry; each further one waits twice as long."""

MAX_BACKOFF_SECONDS: Final = 5.0
"""Of our own accord; a service may ask for more."""

NOTABLE_SKEW_SECONDS: Final = 60.0
"""A clock that is this far off is named where the service refused the signature."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Caller:
    """Sends the calls of all targets. `now` gives Unix seconds: the time that requests are signed for."""

    transport: Transport
    observer: Observer
    now: Callable[[], float] = time.time
    jitter: Callable[[], float] = field(default=random.random, repr=False)
    """From 0 to 1: spreads the retries of many exporters."""
    _paces: dict[tuple[str, str, float], RateLimiter] = field(default_factory=dict, init=False, repr=False)
    """Of each account: its regions share one, but those that the configuration gives another rate."""

    async def call(
        self, target: Target, request: Request, deadline: Deadline, onlooker: Onlooker | None = None
    ) -> bytes:
        """The body of the answer to `request`, signed anew at each attempt; `onlooker` sees it come in each time.

        Raises ScrapeError: the last one, where the retries are used up or none fits before `deadline`.
        """
        attempt = 0
        while True:
            try:
                return await self._attempt(target, request, onlooker)
            except ScrapeError as error:
                pause = self._pause(attempt, error)
                late = pause >= deadline.remaining(time.monotonic())
                if not error.transient or late or attempt == target.retries:
                    raise
                log.debug("retry in %.3f s: %s", pause, error, extra={"target": target.name})
            attempt += 1
            await asyncio.sleep(pause)
            self.observer.retried(target, request.operation)

    def _pause(self, attempt: int, error: ScrapeError) -> float:
        """Seconds to wait after `attempt` (from 0): what the service asks for, or our own doubling, jittered time."""
        asked = error.retry_after if isinstance(error, ServiceError) else None
        own = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * float(2**attempt))
        return max(asked or 0.0, own * (0.5 + 0.5 * self.jitter()))

    async def _attempt(self, target: Target, request: Request, onlooker: Onlooker | None) -> bytes:
        rate = target.requests_per_second
        pace = self._paces.setdefault((target.provider_name, target.account, rate), RateLimiter(rate))
        try:
            await asyncio.sleep(pace.wait(time.monotonic()))
        except asyncio.CancelledError:
            pace.give_back()
            raise
        fetch = partial(self.transport.fetch, proxy_url=target.connection.proxy_url)
        credentials = await target.credentials.get(fetch)
        signed = target.provider.sign(request, credentials, self.now())
        start = time.monotonic()
        try:
            response = await self.transport.send(signed, target.connection, max_bytes=MAX_PAGE_BYTES, onlooker=onlooker)
            if response.status != 200:  # noqa: PLR2004 - the only documented success
                error = target.provider.error(response, request.operation)
                error.message += self._skew(error, response)
                raise error
        except ScrapeError as error:
            self.observer.failed(target, request.operation, error.reason)
            raise
        except asyncio.CancelledError:
            if onlooker is None or not onlooker.unwanted:  # then the deadline ended the listing
                self.observer.failed(target, request.operation, "timeout")
            raise
        finally:
            self.observer.requested(target, request.operation, time.monotonic() - start)
        return response.body

    def _skew(self, error: ServiceError, response: Response) -> str:
        """A sentence on this machine's clock, where it may be why the keys were refused."""
        if error.reason != "auth":
            return ""
        try:
            theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return ""
        ahead = self.now() - theirs
        if abs(ahead) < NOTABLE_SKEW_SECONDS:
            return ""
        return f"; this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the service's"
