"""The file of `--web.config.file`: TLS, users, headers and a rate limit, in the format of the Prometheus projects.

Source: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter import config
from exporter.core.errors import ConfigError, Problem
from exporter.core.section import Section
from exporter.core.wording import shown
from exporter.web.tls_server import CurrentContext, TlsSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that can be set, and their values; empty: any."""

CHECK_SECONDS: Final = 1.0
"""From one look at the files to the next; what has changed is read again."""

_BCRYPT: Final = re.compile(r"\$2[aby]?\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_HEADER_VALUE: Final = re.compile(r"[\t -~]*")
_LARGEST_BURST: Final = 1_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A valid file. The default is that of no file: plain HTTP for everybody."""

    context: ssl.SSLContext | None = None
    """TLS; None: plain HTTP."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of every response."""
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The bcrypt hash of each user's password; empty: no login."""
    rate_interval: float = 0.0
    """Seconds between two requests; 0: no limit."""
    rate_burst: int = 0
    files: tuple[str, ...] = ()
    """What it was read from, and must be read again from if that changes."""


def load(path: Path) -> WebConfig:
    """The configuration in the file at `path` and the files that it names. Raises ConfigError with every problem."""
    root = Section(
        config.read_yaml(path, first_key="tls_server_config", allow_empty=True), "", [], directory=str(path.parent)
    )
    tls_section = root.section("tls_server_config")
    tls = TlsSettings.from_section(tls_section) if TlsSettings.wanted(tls_section) else None
    http = root.section("http_server_config")
    http.boolean("http2", default=True)  # HTTP/1.1 is always spoken, as with clients that do not know HTTP/2
    headers = _headers(http)
    http.reject_unknown()
    users = _users(root)
    limit = root.section("rate_limit")
    interval = limit.duration("interval", 0.0)
    burst = limit.integer("burst", 0, minimum=0, maximum=_LARGEST_BURST)
    limit.reject_unknown()
    root.reject_unknown()
    context = None if tls is None else tls.context(root.problems)
    if root.problems:
        raise ConfigError(tuple(root.problems), file=str(path))
    return WebConfig(context, headers, users, interval, burst, (str(path), *(tls.files if tls else ())))


def _headers(section: Section) -> dict[str, str]:
    headers = {}
    for name, value in section.mapping("headers").items():
        key = f"headers.{name}"
        if name not in HEADERS:
            section.problem("headers", f"{shown(name)} cannot be set; known: {', '.join(HEADERS)}")
        elif not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            section.problems.append(Problem(section.path(key), "must be a string of printable ASCII characters"))
        elif HEADERS[name] and value not in HEADERS[name]:
            section.problems.append(Problem(section.path(key), f"must be {' or '.join(HEADERS[name])}"))
        else:
            headers[name] = value.strip()
    return headers


def _users(root: Section) -> dict[str, str]:
    users = {}
    for name, value in root.mapping("basic_auth_users").items():
        if isinstance(value, str) and _BCRYPT.fullmatch(value):
            users[name] = value.replace("$2$", "$2b$")  # of the first bcrypt; the same for this
        else:
            message = "the password must be hashed with bcrypt, such as by htpasswd -nBC 10 ''"
            root.problems.append(Problem(root.path(f"basic_auth_users.{name}"), message))
    return users


class WebConfigFile:
    """The configuration in a file, which is read again when it or a file that it names changes.

    While the files cannot be used, for example because only one of two has been replaced, the last good configuration
    stays, and the problem is logged once.
    """

    def __init__(self, path: Path | None) -> None:
        """Reads the file, if there is one. Raises ConfigError."""
        self._path = path
        self.current = WebConfig() if path is None else load(path)
        self._stamps = _stamps(self.current.files)
        self._problem = ""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """A context for the server; each connection uses the current one. None: plain HTTP."""
        return CurrentContext(self) if self.context else None

    @property
    def context(self) -> ssl.SSLContext | None:
        """The current TLS settings."""
        return self.current.context

    @property
    def scheme(self) -> str:
        """The scheme of its URLs."""
        return "https" if self.context else "http"

    async def watch(self) -> None:
        """Read what changes, until cancelled."""
        while self._path is not None:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await asyncio.to_thread(self._read_again, self._path)  # it may be on a mount that hangs
            except Exception:
                log.exception("internal error (please report it); the last web configuration stays in use")

    def _read_again(self, path: Path) -> None:
        stamps = _stamps(self.current.files)
        if stamps == self._stamps:
            return
        try:
            changed = load(path)
        except ConfigError as error:
            if str(error) != self._problem:
                log.error("web configuration not reloaded; the last one stays in use: %s", error)  # noqa: TRY400 - no bug
            self._problem = str(error)
            return  # and try again, as other files may still be in change
        if (changed.context is None) != (self.current.context is None):
            problem = "TLS cannot be switched on or off without a restart; the last web configuration stays in use"
            if problem != self._problem:
                log.error("%s", problem, extra={"file": str(path)})
            self._problem = problem
            return
        if self.current.users and not changed.users:
            log.warning("no basic_auth_users any more: every client can use all routes now", extra={"file": str(path)})
        self.current, self._stamps, self._problem = changed, stamps, ""
        log.info("web configuration reloaded", extra={"file": str(path)})


def _stamps(files: Sequence[str]) -> tuple[object, ...]:
    """What changes if one of the `files` does, or if a link on the way to it is replaced."""
    return tuple(map(_stamp, files))


def _stamp(file: str) -> object:
    try:
        status = os.stat(file)  # noqa: PTH116 - follows links, as open() does
    except OSError as error:
        return error.errno
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
