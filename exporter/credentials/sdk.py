"""Keys from the vendor's own package, with all that it knows: profiles, assumed roles, single sign-on.

The packages are optional, block, bring threads and loggers of their own, and may wait for minutes. So a package is
imported when its keys are asked for and not before, runs in a thread of its own, is given up after `SECONDS`, and logs
nothing: its lines may hold what it sends, and what it raises is told here.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from concurrent.futures import Future
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.header_values import header_problem
from exporter.credentials.issuer_response import Issued

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from exporter.core.errors import Reason
    from exporter.core.interfaces import Fetch

SECONDS: Final = 8.0
"""For a package to give keys; then it is told as too slow, and what it gives later counts at the next use."""

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Package(Protocol):
    """A vendor's package."""

    extra: str
    """The extra of this distribution that installs it."""
    module: str
    """What it is imported as, at the top."""

    def keys(self) -> Credentials:
        """Its keys. It blocks. Raises CredentialsError, and whatever the package raises."""


class SdkIssuer:
    """Issues the keys of a package, which renews them by itself."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._answer: Future[Credentials | BaseException] | None = None

    def lacking(self) -> str:
        """How to get the package where it is not installed; empty where it is. It is not imported."""
        if find_spec(self._package.module):
            return ""
        return f"needs the package {self._package.module}: pip install 'batchops-exporter[{self._package.extra}]'"

    async def issue(self, _fetch: Fetch, now: float) -> Issued:
        """The keys that the package gives now. Raises CredentialsError."""
        if missing := self.lacking():
            raise NotConfigured(missing, reason="config")
        answer = self._answer = self._answer or _in_a_thread(self._package.keys)
        waiting = asyncio.wrap_future(answer)
        await asyncio.wait({waiting}, timeout=SECONDS)
        if not answer.done():
            waiting.cancel()  # the waiting, not what runs
            raise CredentialsError(f"{self._package.module} gave no keys within {SECONDS:g} s", reason="timeout")
        self._answer = None
        outcome = answer.result()
        if isinstance(outcome, CredentialsError):
            raise outcome
        if isinstance(outcome, BaseException):
            raise _failure(self._package.module, outcome)
        return _checked(outcome, self._package.module, now)


def _in_a_thread(function: Callable[[], Credentials]) -> Future[Credentials | BaseException]:
    """What `function` returns or raises. Its thread ends with the process, however long it takes: no pool waits.

    What it raises is a result here, because a future logs an exception that nobody fetched.
    """
    answer: Future[Credentials | BaseException] = Future()
    answer.set_running_or_notify_cancel()  # nobody cancels what runs

    def run() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:  # noqa: BLE001 - whatever a package raises is an answer
            answer.set_result(error)

    Thread(target=run, name="credentials", daemon=True).start()
    return answer


def _failure(who: str, error: BaseException) -> CredentialsError:
    """What the person on call needs to know of what a package raised. Its message may hold what was sent: left out."""
    if hasattr(error, "get_code"):  # of Tencent's package
        code = error.get_code()
    else:  # of botocore
        told = getattr(error, "response", None)
        code = told.get("Error", {}).get("Code") if isinstance(told, dict) else None
    code = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    reason: Reason = "config"
    if re.search("Connect|Network|Timeout", code or type(error).__name__):
        reason = "connect"
    elif code and not code.startswith("Client"):
        reason = "auth"
    return CredentialsError(f"{who} gave no keys: {type(error).__name__}{f' ({code})' if code else ''}", reason=reason)


def _checked(found: Credentials, who: str, now: float) -> Issued:
    for key in (found.key_id, found.secret.reveal(), *([found.token.reveal()] if found.token else [])):
        if wrong := header_problem(key):
            raise CredentialsError(f"{who} gave a key that {wrong}", reason="malformed")
    if found.expires is None:
        return Issued(found, None)
    if found.expires <= now:
        raise CredentialsError(f"{who} gave keys that have expired already", reason="auth")
    return Issued(found, found.expires - now)


def import_quietly(name: str, *loggers: str) -> ModuleType:
    """Import a module of a package, and silence its `loggers`."""
    module = importlib.import_module(name)
    for logger in loggers:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    return module


def make_credentials(key_id: str, secret: str, token: str | None, expires: float | None = None) -> Credentials:
    return Credentials(key_id or "", Secret(secret or ""), Secret(token) if token else None, expires)
