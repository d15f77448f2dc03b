"""What the responses of one target showed about the connection, the clock and the permissions."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from exporter.core.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.errors import ScrapeError
    from exporter.core.http import Request, Response
    from exporter.core.jobs import JobPage
    from exporter.core.target import Target

OPERATIONS: Final = frozenset({"ListJobs", "DescribeJob"})
"""Of the service; other requests are for keys."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The server's certificate. `issuer` is empty and `expires` None if it was not verified."""

    version: str
    """Of TLS."""
    issuer: str
    expires: float | None
    """Unix seconds."""

    @classmethod
    def of(cls, connection: ssl.SSLObject) -> Self:
        """Returns the certificate of the other side of `connection`."""
        found = connection.getpeercert() or {}
        names = dict(pair for part in found.get("issuer", ()) for pair in part)  # type: ignore[misc]  # its stub is vague
        issuer = str(names.get("organizationName") or names.get("commonName") or "")
        printable = "".join(character for character in issuer if character.isprintable())
        end = found.get("notAfter")
        return cls(connection.version() or "TLS", printable, ssl.cert_time_to_seconds(str(end)) if end else None)


class Trace:
    """Sees each response of one target, and counts its requests as the client's `Observer`."""

    def __init__(self, target: Target, now: Callable[[], float]) -> None:
        self._target = target
        self._now = now
        self.allowed: set[str] = set()
        """The operations whose last response was good."""
        self.errors: dict[str, ServiceError] = {}
        """The last error response of each operation."""
        self.skew: float | None = None
        """Seconds by which this machine's clock is fast, against the service's, which shows whole seconds."""
        self.certificate: Certificate | None = None

    def saw(self, request: Request, response: Response, connection: ssl.SSLObject | None) -> None:
        """Note one response; `connection` is None without TLS."""
        if request.operation not in OPERATIONS:
            return
        if response.status == HTTPStatus.OK:
            self.allowed.add(request.operation)
        else:
            self.errors[request.operation] = self._target.provider.error(response, request.operation)
        if connection is not None:
            self.certificate = Certificate.of(connection)
        try:
            self.skew = self._now() - parsedate_to_datetime(response.headers.get("date", "")).timestamp()
        except (ValueError, OverflowError):
            self.skew = None

    def prepared(self, target: Target, request: Request, *, turn: float, keys: float) -> None:
        """See `Observer`; what counts here is seen in the responses."""

    def requested(self, target: Target, request: Request, seconds: float, status: int | None) -> None:
        """See `Observer`; what counts here is seen in the responses."""

    def failed(self, target: Target, request: Request, error: ScrapeError) -> None:  # noqa: ARG002 - see `Observer`
        """See `Observer`; an error may also come with the status 200, and so may a page that is not the service's."""
        self.allowed.discard(request.operation)
        if isinstance(error, ServiceError):
            self.errors[request.operation] = error

    def retried(self, target: Target, request: Request) -> None:
        """See `Observer`; likewise."""

    def page_parsed(self, page: JobPage) -> None:
        """See `Observer`; likewise."""
