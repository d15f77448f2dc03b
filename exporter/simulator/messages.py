"""What a wire has to say: how requests of one service are proven and read, and how its answers are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.store import Store


@dataclass(frozen=True, slots=True)
class Head:
    """A request as it stood on the wire; its body is of no interest."""

    method: str
    path: str
    """Still percent-encoded."""
    query: str
    """Still percent-encoded, without the question mark."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer. `chunked`: it does not tell its length ahead."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    chunked: bool = False


class Position(NamedTuple):
    """Where a page begins; what a page token stands for.

    `page` counts from 1. `offset` jobs stand ahead of it, the last of them is `last`: so the place is found again where
    jobs came or went meanwhile. `again`: this page follows one that repeated its forerunner.
    """

    page: int = 1
    offset: int = 0
    last: str = ""
    again: bool = False


FIRST: Final = Position()


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for. `job_id` is empty but for DescribeJob, `statuses` empty where all are wanted."""

    operation: str
    page_size: int = 0
    statuses: frozenset[str] = frozenset()
    token: str | None = None
    position: Position = FIRST
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """Forms of an answer that are all met in the wild; the defaults are the documented ones."""

    elapsed_in_timers: bool = True
    """Else ElapsedTimeInActiveSeconds stands directly under ProgressSummary."""
    token_first: bool = True
    """NextToken stands ahead of Jobs."""
    empty_last_token: bool = False
    """The last page has an empty NextToken; else it has none."""
    unknown_elements: bool = False
    """Elements that no documentation knows stand everywhere."""
    token_on_last_page: bool = False
    """COS only: the last page names its last job as the next token, too."""


class Refused(Exception):
    """The service answers with an error. `ec` is its detailed error code, `details` are further elements."""

    def __init__(
        self, status: int, code: str, message: str, *, ec: str = "", details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec
        self.details = details or {}


class Wire(Protocol):
    """One service's way to speak."""

    scheme: str
    """How the header Authorization begins."""
    settings: tuple[str, ...]
    """What a client's configuration must say of the account, beside region and keys: names of a store's attributes."""

    def address(self, head: Head) -> tuple[str, str] | None:
        """Key id and region that the request names; no region where it does not tell, None where nothing is signed."""

    def stranger(self, head: Head, *, known_key: bool) -> Refused:
        """The error for a request that belongs to no store; `known_key`: only the region is wrong."""

    def admit(self, head: Head, store: Store, now: float) -> Call:
        """What a request asks for that `store` may serve at `now` (Unix seconds). Raises Refused."""

    def token(self, position: Position, store: Store) -> str:
        """The page token for `position`."""

    def listed(self, jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
        """The body of one page; `token` is the next page's, None on the last one."""

    def described(self, job: Job, detail: Detail) -> bytes:
        """The body that describes one job."""

    def unknown_job(self, job_id: str) -> Refused:
        """The error for a job that does not exist."""

    def headers(self, request_id: str) -> dict[str, str]:
        """The headers of every answer."""

    def refusal(self, refused: Refused, head: Head, request_id: str, *, bodyless: bool = False) -> Answer:
        """The answer that tells an error; `bodyless`: in a header, as for a HEAD request."""
