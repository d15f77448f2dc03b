"""The protocol of a dialect: how one service authenticates and parses requests, and how it writes responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import ParsedRequest, Position, RawRequest, RawResponse, RequestRejected, Style
    from exporter.simulator.store import Store


class Dialect(Protocol):
    """How one service speaks."""

    scheme: str
    """The prefix of the Authorization header."""
    settings: tuple[str, ...]
    """The attributes of a store that a client's account also needs in its configuration, besides region and keys."""

    def key_and_region(self, request: RawRequest) -> tuple[str, str] | None:
        """Returns the access key id and the region in `request`; None if it is not signed.

        The region is empty if the request names none. Raises RequestRejected if the signature is malformed.
        """

    def unknown_credentials(self, request: RawRequest, *, known_key: bool) -> RequestRejected:
        """Returns the error for a request that matches no store; `known_key`: only its region is wrong."""

    def authorize(self, request: RawRequest, store: Store, now: float) -> ParsedRequest:
        """Returns what `request` asks `store` for at `now` (Unix seconds). Raises RequestRejected."""

    def page_token(self, position: Position, store: Store) -> str:
        """Returns the page token for `position`."""

    def list_response(self, jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
        """Returns the body of a ListJobs page; `token` is that of the next page, None on the last one."""

    def describe_response(self, job: Job, detail: Detail) -> bytes:
        """Returns the body of a DescribeJob response."""

    def unknown_job(self, job_id: str) -> RequestRejected:
        """Returns the error for a job that does not exist."""

    def common_headers(self, request_id: str) -> dict[str, str]:
        """Returns the headers of every response."""

    def error_response(
        self, rejection: RequestRejected, request: RawRequest, request_id: str, *, bodyless: bool = False
    ) -> RawResponse:
        """Returns the response for an error; `bodyless`: with headers only, as for a HEAD request."""
