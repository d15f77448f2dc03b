"""The interfaces between the rooms: what a provider and a source of credentials must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.errors import ServiceError
    from exporter.core.http import Request, Response
    from exporter.core.jobs import JobDetail, JobPage
    from exporter.core.secrets import Credentials
    from exporter.core.section import Section


OnProgress: TypeAlias = "Callable[[bytes | bytearray], bool]"
"""Called with what there is of a response's body, decoded, each time more has arrived, until it returns True."""


@dataclass(frozen=True, slots=True)
class CredentialNames:
    """What a provider calls the parts of its credentials.

    `key_id`, `secret` and `token` are the keys in the file. `environment` has groups of variables, which are tried in
    this order: the names of the key id, the secret, and those of the token, of which the first one that is set counts.
    `expiry_variable` contains when they expire, if the vendor's tools have such a variable.
    """

    key_id: str
    secret: str
    token: str
    environment: tuple[tuple[str, ...], ...]
    expiry_variable: str = ""


class Provider(Protocol):
    """A service's language. Pure: it builds and signs requests and reads responses, but sends nothing.

    An instance belongs to one target.
    """

    credential_names: ClassVar[CredentialNames]

    not_found_codes: ClassVar[frozenset[str]]
    """Error codes for a job that does not exist."""
    repeated_token_is_last: ClassVar[bool]
    """Whether a repeated page token marks the last page; otherwise it is an error."""

    @classmethod
    def from_section(cls, section: Section, region: str) -> Self:
        """The provider for an account in `region`; problems of its settings are added to the section's."""

    def list_request(self, token: str | None) -> Request:
        """The unsigned request for the page of `token`; None: the first page."""

    def describe_request(self, job_id: str) -> Request:
        """The unsigned request for one job."""

    def sign(self, request: Request, credentials: Credentials, now: float) -> Request:
        """`request` with its signature for the Unix time `now` (seconds)."""

    def peek_next_token(self, start: bytes | bytearray) -> str | None:
        """The next page's token, if `start`, the first bytes of a page, already contains it.

        A guess, so that the next page can be requested early; `parse_jobs` decides.
        """

    def parse_jobs(self, body: bytes) -> JobPage:
        """The page in `body`. Raises MalformedResponse, or ServiceError if it is an error."""

    def parse_job(self, body: bytes) -> JobDetail:
        """The job in `body`. Raises MalformedResponse, or ServiceError if it is an error."""

    def error(self, response: Response, operation: str) -> ServiceError:
        """The error for a response whose status is not 200, or whose body is an error."""


class Fetch(Protocol):
    """How a source of credentials sends a request."""

    async def __call__(self, request: Request, *, max_bytes: int, seconds: float, direct: bool) -> Response:
        """The whole response, of at most `max_bytes` and within `seconds`; `direct`: never through a proxy.

        Raises TransportError, and MalformedResponse for a body that does not match its headers.
        """


@dataclass(slots=True)
class Refusals:
    """The refusals of an account's keys by one target, since its last success; for their source."""

    asked: float = float("-inf")
    """When their issuer was last asked because of a refusal, by any target: a reading of the source's clock."""
    pause: float = 0.0
    """Seconds from then until this target may have it asked again."""


class CredentialSource(Protocol):
    """Where the keys of an account come from."""

    @property
    def name(self) -> str:
        """The label `source`: static, environment and so on."""

    @property
    def expires(self) -> float | None:
        """When the last returned keys expire (Unix seconds); None if they do not, or if it is unknown."""

    async def get(self, fetch: Fetch) -> Credentials:
        """Keys that can be used now. `fetch` sends the requests that this takes. Raises CredentialsError."""

    async def refused(self, credentials: Credentials, fetch: Fetch, refusals: Refusals) -> None:
        """The service refused these keys: gets others, which the next `get` returns, if that may help.

        `refusals`: of the target so far; while new keys are refused too, it gets others less and less often.
        """
