"""The errors of the exporter.

::

    ExporterError
    ├── ConfigError            problems: each with its path and a sentence, all at once
    └── ScrapeError            one target could not be listed; `reason` is one of REASONS
        ├── CredentialsError   config, auth, or why their issuer did not respond: no usable credentials
        ├── TransportError     connect, tls, timeout, too_large: no whole response
        ├── ServiceError       auth, access_denied, throttled, http_4xx, http_5xx: status, code, request id
        ├── MalformedResponse  malformed: not what the API documents
        ├── PaginationError    pagination: a token repeats, or pages never end
        └── InternalError      internal: a bug of the exporter

People see the messages (log, landing page): they never contain a key, a token or a response body.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, Self, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Reason = Literal[
    "timeout",
    "connect",
    "tls",
    "throttled",
    "auth",
    "access_denied",
    "http_4xx",
    "http_5xx",
    "malformed",
    "pagination",
    "too_large",
    "config",
    "internal",
]

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""The values of the label `reason`, in the order of the documentation."""

REMEDIES: Final[Mapping[Reason, str]] = {
    "timeout": "raise scrape_timeout in Prometheus, timeout or attempt_timeout in the file; "
    "batchops_scrape_pages shows how many pages were read",
    "connect": "check endpoint, DNS, firewall, proxy",
    "tls": "check tls.ca_file, tls.server_name and proxies",
    "throttled": "set a longer scrape interval, min_interval or a lower requests_per_second",
    "auth": "the message says whether it is a wrong key, a wrong secret, an expired token or a wrong clock",
    "access_denied": "grant the permission that the message names",
    "http_4xx": "check endpoint and region, and whether the region offers batch operations",
    "http_5xx": "see the status page of the service",
    "malformed": "check whether a proxy or another host responds instead of the service",
    "pagination": "raise max_pages; if a token repeats, it is a bug of the service",
    "too_large": "set a smaller page_size",
    "config": "set the variable, or provide the file, that the message names",
    "internal": "report it, with the log line and its traceback",
}
"""What to do, in general; the message of an error may know more."""


class ExporterError(Exception):
    """Base of all errors of this package."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in the configuration.

    `path` is the place, as in ``accounts[0].jobs.max``; it is empty where the file as a whole is meant.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that the configuration names; `path` is that of the key. A `secret` one is for this user only."""

    path: str
    name: str
    secret: bool


class ConfigError(ExporterError):
    """The configuration cannot be used; `problems` has all that is wrong with it, `files` the files it names."""

    def __init__(self, problems: tuple[Problem, ...], *, file: str = "", files: tuple[NamedFile, ...] = ()) -> None:
        self.problems = problems
        self.file = file
        self.files = files
        super().__init__(problems, file, files)

    def __str__(self) -> str:
        prefix = f"{self.file}: " if self.file else ""
        return "\n".join(f"{prefix}{problem}" for problem in self.problems)


class ScrapeError(ExporterError):
    """One target could not be listed. `reason` is the value of the label.

    `transient`: the same request, sent again, may succeed. `page`: the page that could not be read, from 1 (None: it is
    not about a page).
    """

    def __init__(self, message: str, *, reason: Reason, transient: bool = False) -> None:
        self.message = message
        self.reason: Reason = reason
        self.code: str | None = None
        """The service's own error code, if it returned one."""
        self.transient = transient
        self.page: int | None = None
        super().__init__(message)

    def __str__(self) -> str:
        return self.message if self.page is None else f"page {self.page}: {self.message}"

    def detached(self) -> Self:
        """This error as a value: without the frames it was raised in, which hold pages and often the error itself."""
        self.__cause__ = self.__context__ = self.__traceback__ = None
        return self


class CredentialsError(ScrapeError):
    """There are no usable credentials.

    `config` if this machine lacks them, `auth` if their issuer refused, otherwise why its response is unusable.
    """


class TransportError(ScrapeError):
    """There was no whole response: `connect`, `tls`, `timeout`, or `too_large`."""


class MalformedResponse(ScrapeError):
    """The service returned something that its API does not document."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="malformed")


class PaginationError(ScrapeError):
    """Following the page tokens would not end."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="pagination")


class InternalError(ScrapeError):
    """A bug of the exporter."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="internal")


class ServiceError(ScrapeError):
    """The service returned an error.

    `status` is the HTTP status, `code` and `request_id` are what the vendor's support asks for, `retry_after` is
    how many seconds the service asks to wait. None: not in the response.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        status: int,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        transient = (
            status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
            or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )
        super().__init__(message, reason=reason, transient=transient or reason == "throttled")
        self.code = code
