"""What the web configuration asks of every request, before any route sees it: a rate limit, headers, a login."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import bcrypt
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from exporter.core.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from exporter.web.web_config import WebConfig, WebConfigFile

MAX_WAITING: Final = 20
"""Passwords that are being checked or wait for it: each check takes about 70 ms of one core. One more gets a 503."""

_LONGEST_PASSWORD: Final = 72
"""Bytes that bcrypt can hash."""


class Guard:
    """An ASGI application that lets requests to `app` pass, as `file` says."""

    def __init__(self, app: ASGIApp, file: WebConfigFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._file = file
        self._logins = _Logins()
        self._limit = _TokenBucket(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        config = self._file.current

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(config.headers)
            await send(message)

        app = self._app
        if not self._limit.allows(config):
            app = _refusal(HTTPStatus.TOO_MANY_REQUESTS, {})
        elif config.users:
            status = await self._logins.status(config, Headers(scope=scope).get("authorization", ""))
            if status == HTTPStatus.UNAUTHORIZED:
                app = _refusal(status, {"www-authenticate": "Basic"})
            elif status != HTTPStatus.OK:
                app = _refusal(status, {"retry-after": "1"})
        await app(scope, receive, send_with_headers)


def _refusal(status: HTTPStatus, headers: dict[str, str]) -> ASGIApp:
    return PlainTextResponse(f"{status.phrase}\n", status, headers=headers)


class _Logins:
    """Checks passwords, one at a time and not on the event loop; those found right are known from then on."""

    def __init__(self) -> None:
        self._worker = Worker("login")
        self._waiting = 0
        self._salt = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        """For each user the digest of the hash and the password that matched."""

    async def status(self, config: WebConfig, authorization: str) -> HTTPStatus:
        """200 if the header `authorization` has a user and the right password, else 401; 503 if too many wait."""
        credentials = _basic(authorization)
        if credentials is None:
            return HTTPStatus.UNAUTHORIZED
        user, password = credentials
        known = config.users.get(user)
        digest = hashlib.blake2b(b"\0".join(((known or "").encode(), password)), key=self._salt).digest()
        if known is not None and secrets.compare_digest(self._right.get(user, b""), digest):
            return HTTPStatus.OK
        if self._waiting >= MAX_WAITING:
            return HTTPStatus.SERVICE_UNAVAILABLE
        self._waiting += 1
        try:
            # For an unknown user the hash of another one, so that it takes as long as a wrong password.
            matches = await self._worker.run(_matches, password, known or next(iter(config.users.values())))
        finally:
            self._waiting -= 1
        if not matches or known is None:
            return HTTPStatus.UNAUTHORIZED
        self._right[user] = digest
        return HTTPStatus.OK


def _matches(password: bytes, hashed: str) -> bool:
    """Whether `hashed` is of `password`."""
    long = len(password) > _LONGEST_PASSWORD
    return bcrypt.checkpw(password[:_LONGEST_PASSWORD], hashed.encode()) and not long


def _basic(authorization: str) -> tuple[str, bytes] | None:
    """User and password of a header of the scheme Basic (RFC 7617); None if it is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


class _TokenBucket:
    """Lets a request pass each interval, and a burst of them after a pause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens: float | None = None
        """None: a full bucket."""
        self._filled = 0.0

    def allows(self, config: WebConfig) -> bool:
        """Whether a request may pass now."""
        if not config.rate_interval:
            return True
        now = self._clock()
        full = float(config.rate_burst)
        tokens = full if self._tokens is None else self._tokens + (now - self._filled) / config.rate_interval
        self._filled = now
        self._tokens = min(tokens, full)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
