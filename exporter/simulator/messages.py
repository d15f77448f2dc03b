"""The values that the rooms of the simulator exchange: a request, what it asks for, the response, and errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request exactly as received, without its body, which no operation uses."""

    method: str
    path: str
    """Still percent-encoded."""
    query: str
    """Still percent-encoded, without the question mark."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""


class Position(NamedTuple):
    """Where a page begins; page tokens encode it.

    `offset` jobs come before the page, and `last` is the id of the last of them: so the place is found again after
    jobs were added or removed. `again`: the page before this one repeated its predecessor.
    """

    page: int = 1
    """Counts from 1."""
    offset: int = 0
    last: str = ""
    again: bool = False


FIRST: Final = Position()


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """What an authorized request asks for."""

    operation: str
    page_size: int = 0
    statuses: frozenset[str] = frozenset()
    """Empty: all."""
    token: str | None = None
    position: Position = FIRST
    job_id: str = ""
    """Empty for ListJobs."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """One whole response."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    chunked: bool = False
    """Sent without a Content-Length."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request to a store, and the status of its response."""

    time: float
    """Unix seconds, by the store's clock."""
    operation: str
    """Empty if the request was rejected."""
    page: int
    """Counts from 1; 0 if no page was requested."""
    token: str | None
    """The page token in the request, decoded."""
    status: int
    """The HTTP status; 0 if the connection was closed instead."""
    raw: RawRequest
    """The whole request, with its signature."""


@dataclass(frozen=True, slots=True)
class Style:
    """Variants of a response that services are known to send; the defaults are the documented ones."""

    elapsed_in_timers: bool = True
    """False: ElapsedTimeInActiveSeconds is a direct child of ProgressSummary."""
    token_first: bool = True
    """NextToken comes before Jobs."""
    empty_last_token: bool = False
    """The last page has an empty NextToken; else it has none."""
    unknown_elements: bool = False
    """Undocumented elements appear in the page and in its jobs."""
    token_on_last_page: bool = False
    """COS only: the last page also has a next token, the id of its last job."""


class RequestRejected(Exception):
    """The service returns an error. `ec` is its detailed error code, `details` are further elements."""

    def __init__(
        self, status: int, code: str, message: str, *, ec: str = "", details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec
        self.details = details or {}
