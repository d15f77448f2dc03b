"""Credentials from the vendor's own package, with all that it supports: profiles, assumed roles, single sign-on.

The packages are optional, block, start threads and loggers, and may wait for minutes. So a package is imported only
when its credentials are requested, runs in a thread of its own, times out after `SDK_SECONDS`, and logs nothing: its
log lines may contain what it sends, and its errors are reported by this module.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.header_values import header_problem
from exporter.credentials.issuer_response import Issued, safe_code
from exporter.credentials.oidc import SESSION_NAME
from exporter.credentials.refreshing import Issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from exporter.core.errors import Reason
    from exporter.core.interfaces import Fetch
    from exporter.core.section import Section

SDK_SECONDS: Final = 8.0
"""How long a package may take. A result that arrives later is used at the next request."""

IDENTITY_KEYS: Final = ("profile", "role_arn", "external_id", "session_name")
"""The keys of an account that only the source `sdk` reads."""


class Package(Protocol):
    """A vendor's package, for one account. It is made from an `Identity`."""

    extra: str
    """The extra of this distribution that installs it."""
    module: str
    """Its top-level module."""
    role_pattern: str
    """How its vendor writes the ARN of a role."""
    role_example: str
    unsupported: ClassVar[Mapping[str, str]]
    """The keys of an identity that it cannot use, each with the problem."""

    def load(self, *, fresh: bool = False) -> Credentials:
        """Returns its credentials; blocks. `fresh`: not those that it keeps, which the service refused.

        Raises CredentialsError, and whatever the package raises.
        """


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose credentials a package returns. Empty strings: its own choice; `session_name` is used with a role only."""

    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    session_name: str = SESSION_NAME


def read_identity(section: Section, package: type[Package]) -> Identity:
    """Returns the identity that the keys of an account describe; adds problems to the section's."""
    for key, problem in package.unsupported.items():
        section.forbid(key, problem)
    role = section.string("role_arn", pattern=package.role_pattern, hint=f"a role such as {package.role_example}")
    for key in ("external_id", "session_name"):
        if section.has(key) and not section.has("role_arn"):
            section.problem(key, "requires role_arn")
    return Identity(
        profile=section.string("profile", required=section.has("profile")),
        role_arn=role,
        external_id=section.string(
            "external_id",
            pattern=r"[A-Za-z0-9+=,.@:/_-]{2,1224}",
            hint="2 to 1224 letters, digits and +=,.@:/_-",
        ),
        session_name=section.string(
            "session_name", SESSION_NAME, pattern=r"[A-Za-z0-9.@_-]{2,64}", hint="2 to 64 letters, digits and . @ _ -"
        ),
    )


class SdkIssuer(Issuer):
    """Issues the credentials of a package, which renews them itself."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._result: Future[Credentials | BaseException] | None = None
        self._fresh = False

    def missing(self) -> str:
        """Returns how to install the package; an empty string if it is installed. Does not import it."""
        if find_spec(self._package.module):
            return ""
        return f"requires the package {self._package.module}: pip install 'batchops-exporter[{self._package.extra}]'"

    def forget(self) -> None:
        """Makes the package ask its own issuer the next time."""
        self._fresh = True

    async def issue(self, _fetch: Fetch, now: float) -> Issued:
        """Returns the current credentials of the package. Raises CredentialsError."""
        if missing := self.missing():
            raise NotConfigured(missing, reason="config")
        if self._result is None:
            self._result = _start_thread(partial(self._package.load, fresh=self._fresh))
            self._fresh = False
        future = self._result
        waiting = asyncio.wrap_future(future)
        await asyncio.wait({waiting}, timeout=SDK_SECONDS)
        module = self._package.module
        if not future.done():
            waiting.cancel()  # only the waiting: the thread goes on
            raise CredentialsError(f"{module} returned no credentials within {SDK_SECONDS:g} s", reason="timeout")
        self._result = None
        result = future.result()
        if isinstance(result, CredentialsError):
            raise result
        if isinstance(result, BaseException):
            raise _to_error(module, result)
        return _check(result, module, now)


def _start_thread(function: Callable[[], Credentials]) -> Future[Credentials | BaseException]:
    """Returns the future of what `function` returns or raises. Its thread never delays the end of the process.

    An exception is a result here, because a future logs exceptions that are never retrieved.
    """
    future: Future[Credentials | BaseException] = Future()
    future.set_running_or_notify_cancel()  # a running future cannot be cancelled

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - whatever a package raises is a result
            future.set_result(error)

    Thread(target=run, name="credentials", daemon=True).start()
    return future


def _to_error(module: str, error: BaseException) -> CredentialsError:
    """Returns the error for what a package raised, without its message: that may contain what was sent."""
    if hasattr(error, "get_code"):  # of Tencent's package
        code = safe_code(error.get_code())
    else:  # of botocore
        response = getattr(error, "response", None)
        code = safe_code(response.get("Error", {}).get("Code") if isinstance(response, dict) else None)
    name = type(error).__name__
    reason: Reason = "config"
    if re.search("Connect|Network|Timeout", code or name):
        reason = "connect"
    elif code and not code.startswith("Client"):
        reason = "auth"
    return CredentialsError(f"{module} returned no credentials: {name}{f' ({code})' if code else ''}", reason=reason)


def _check(credentials: Credentials, module: str, now: float) -> Issued:
    token = credentials.token
    for key in (credentials.key_id, credentials.secret.reveal(), *([token.reveal()] if token else [])):
        if problem := header_problem(key):
            raise CredentialsError(f"{module} returned a key that {problem}", reason="malformed")
    if credentials.expires is None:
        return Issued(credentials, None)
    if credentials.expires <= now:
        raise CredentialsError(f"{module} returned credentials that have already expired", reason="auth")
    return Issued(credentials, credentials.expires - now, by_own_clock=True)


def import_quietly(name: str, *loggers: str) -> ModuleType:
    """Returns the imported module of a package, whose `loggers` are silenced."""
    module = importlib.import_module(name)
    for logger in loggers:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    return module


def make_credentials(
    key_id: str | None, secret: str | None, token: str | None, expires: float | None = None
) -> Credentials:
    """Returns the credentials of a package; parts that it does not have are empty."""
    return Credentials(key_id or "", Secret(secret or ""), Secret(token) if token else None, expires)
