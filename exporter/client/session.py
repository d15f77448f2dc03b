"""The requests of one target: signed, paced, sent, counted, and sent again if that may help."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.client.rate_limit import RateLimiter
from exporter.core.errors import CredentialsError, ScrapeError, ServiceError, TransportError
from exporter.core.interfaces import Refusals
from exporter.core.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.client.transport import Transport
    from exporter.core.deadline import Deadline
    from exporter.core.http import Request, Response
    from exporter.core.interfaces import Fetch, OnProgress
    from exporter.core.observer import Observer
    from exporter.core.secrets import Credentials
    from exporter.core.target import Target
    from exporter.core.workers import Turns

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
"""Of a response, after decompression; a page of 1000 jobs is below 1 MiB."""

LARGE_PAGE_BYTES: Final = 1024 * 1024
"""A larger page may take too long to be parsed on the event loop, and is parsed in a thread. A usual one is smaller."""

BACKOFF_SECONDS: Final = 0.2
"""Before the first retry; each further one waits twice as long."""

MAX_BACKOFF_SECONDS: Final = 5.0
"""The longest pause that we choose; a service may ask for more."""

NOTABLE_SKEW_SECONDS: Final = 60.0
"""If the service refuses the signature and the clocks differ by more than this, the message says so."""

NEW_KEYS_SHARE: Final = 0.5
"""The part of the time left in which the source of refused keys must have others; the rest is for the retry."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Client:
    """Opens the sessions of all targets. `now` returns Unix seconds: the time that requests are signed for."""

    transport: Transport
    observer: Observer
    turns: Turns
    now: Callable[[], float] = time.time
    jitter: Callable[[], float] = field(default=random.random, repr=False)
    """From 0 to 1: spreads the retries of many exporters."""
    worker: Worker = field(default_factory=lambda: Worker("parse"), init=False, repr=False)
    refusals: dict[str, Refusals] = field(default_factory=dict, init=False, repr=False)
    """Of the keys, by the name of the target that they are for."""
    _rate_limiters: dict[tuple[str, str, float], RateLimiter] = field(default_factory=dict, init=False, repr=False)

    def keep_only(self, targets: Iterable[Target]) -> None:
        """Forget the rate limiters of all but `targets`, and all refusals: a user may have repaired the keys."""
        self.refusals.clear()
        kept = {_rate_key(target) for target in targets}
        for key in self._rate_limiters.keys() - kept:
            del self._rate_limiters[key]

    def session(self, target: Target, deadline: Deadline, observer: Observer | None = None) -> Session:
        """A session for the requests to `target` until `deadline`. `observer`: None is that of the client."""
        return Session(self, target, deadline, self._rate_limiter(target), observer or self.observer)

    def _rate_limiter(self, target: Target) -> RateLimiter:
        """The rate limiter of the account: its regions share one, unless they are configured with another rate."""
        return self._rate_limiters.setdefault(_rate_key(target), RateLimiter(target.requests_per_second))


def _rate_key(target: Target) -> tuple[str, str, float]:
    return target.provider_name, target.account, target.requests_per_second


@dataclass(frozen=True, slots=True)
class Session:
    """The requests of one target under one deadline."""

    client: Client
    target: Target
    deadline: Deadline
    rate_limiter: RateLimiter
    observer: Observer

    async def get(self, request: Request, parse: Callable[[bytes], T], on_progress: OnProgress | None = None) -> T:
        """What `parse` returns for the body of the response to `request`.

        Raises ScrapeError: the last one, if the retries are used up or none fits before the deadline.
        """
        attempt = 0
        while True:
            try:
                return await self._attempt(request, parse, on_progress)
            except ScrapeError as error:
                pause = self._pause(attempt, error)
                late = pause >= self.deadline.remaining(time.monotonic())
                if not error.transient or late or attempt == self.target.retries:
                    raise
                log.debug("retry in %.3f s: %s", pause, error, extra={"target": self.target.name})
            attempt += 1
            await asyncio.sleep(pause)
            self.observer.retried(self.target, request)

    def _pause(self, attempt: int, error: ScrapeError) -> float:
        """Seconds to wait after `attempt` (from 0): what the service asks for, or our own time if that is longer."""
        wanted = error.retry_after if isinstance(error, ServiceError) else None
        own = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * float(2**attempt))
        return max(wanted or 0.0, own * (0.5 + 0.5 * self.client.jitter()))

    async def _attempt(self, request: Request, parse: Callable[[bytes], T], on_progress: OnProgress | None) -> T:
        """One request and its response; a second one if the service refuses the keys and their source has others.

        Raises ScrapeError.
        """
        target, observer = self.target, self.observer
        start = time.monotonic()
        await self._wait_for_rate_limit()
        turn = time.monotonic()
        fetch = partial(self.client.transport.fetch, connection=target.connection)
        credentials = await target.credentials.get(fetch)
        observer.prepared(target, request, turn=turn - start, keys=time.monotonic() - turn)
        try:
            return await self._signed(request, credentials, parse, on_progress)
        except ServiceError as error:
            others = await self._other_keys(credentials, fetch) if error.reason == "auth" else None
            if others is None:
                raise
            log.debug("retry with new keys: %s", error, extra={"target": target.name})
        observer.retried(target, request)
        await self._wait_for_rate_limit()
        return await self._signed(request, others, parse, on_progress)

    async def _other_keys(self, refused: Credentials, fetch: Fetch) -> Credentials | None:
        """The keys that their source has instead of the `refused` ones; None if it has no others in time."""
        source = self.target.credentials
        try:
            async with asyncio.timeout(NEW_KEYS_SHARE * self.deadline.remaining(time.monotonic())):
                await source.refused(refused, fetch, self.client.refusals.setdefault(self.target.name, Refusals()))
                credentials = await source.get(fetch)
        except (TimeoutError, CredentialsError):
            return None
        return None if credentials.same_keys(refused) else credentials

    async def _signed(
        self, request: Request, credentials: Credentials, parse: Callable[[bytes], T], on_progress: OnProgress | None
    ) -> T:
        """One request and its response. Raises ScrapeError, which is counted here."""
        target, observer = self.target, self.observer
        signed = target.provider.sign(request, credentials, self.client.now())
        try:
            result = await self._send(request, signed, parse, on_progress)
        except ScrapeError as error:
            observer.failed(target, request, error)
            if error.reason == "access_denied":  # the keys are good
                self.client.refusals.pop(target.name, None)
            raise
        except asyncio.CancelledError:
            if self.deadline.remaining(time.monotonic()) <= 0:  # otherwise the response is not needed any more
                observer.failed(target, request, TransportError("the time was up", reason="timeout"))
            raise
        self.client.refusals.pop(target.name, None)
        return result

    async def _wait_for_rate_limit(self) -> None:
        try:
            await asyncio.sleep(self.rate_limiter.reserve(time.monotonic()))
        except asyncio.CancelledError:
            self.rate_limiter.release()
            raise

    async def _send(
        self, request: Request, signed: Request, parse: Callable[[bytes], T], on_progress: OnProgress | None
    ) -> T:
        client, target = self.client, self.target
        status: int | None = None
        with client.transport.budget.body(MAX_PAGE_BYTES) as limit:  # the body is held until it is parsed
            start = time.monotonic()
            try:
                response = await client.transport.send(
                    signed, target.connection, limit, seconds=target.attempt_seconds, on_progress=on_progress
                )
                status = response.status
            finally:
                self.observer.requested(target, request, time.monotonic() - start, status)
            if response.status != HTTPStatus.OK:
                raise self._error(response, signed.operation)  # no variable: it would be in a cycle with this frame
            run = client.worker.run if len(response.body) > LARGE_PAGE_BYTES else client.turns.run
            return await run(parse, response.body)

    def _error(self, response: Response, operation: str) -> ServiceError:
        """The error that the service returned."""
        error = self.target.provider.error(response, operation)
        error.message += self._skew(error, response)
        return error

    def _skew(self, error: ServiceError, response: Response) -> str:
        """A sentence on this machine's clock, if it may be why the keys were refused."""
        if error.reason != "auth":
            return ""
        try:
            theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return ""
        skew = self.client.now() - theirs
        if abs(skew) < NOTABLE_SKEW_SECONDS:
            return ""
        return f"; this machine's clock is {abs(skew):.0f} s {'fast' if skew > 0 else 'slow'}"
