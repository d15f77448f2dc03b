"""The seam between a listing and the service it reads: `Request`, `JobApi`, `Target`.

A provider is pure: it builds and signs requests and reads answers, but sends nothing and reads no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.errors import Reason, ServiceError
    from exporter.core.jobs import Credentials, JobDetail, JobPage
    from exporter.core.section import Section
    from exporter.providers.keeping import KeptPages


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: what is signed is what is sent, to the byte."""

    operation: str
    """The API's name of the call, as in the label `operation`."""
    scheme: str
    host: str
    """With the port where it is not the scheme's own, as in the header Host."""
    path: str
    query: str = ""
    """Already percent-encoded."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def url(self) -> str:
        """The request's URL, as it goes on the wire."""
        return f"{self.scheme}://{self.host}{self.path}{'?' + self.query if self.query else ''}"


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer. `headers` have lower-case names; `body` is decoded (no gzip) and within its size limit."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CredentialNames:
    """What a provider calls the parts of its credentials.

    `key_id`, `secret` and `token` are the keys in the file, `environment` the families of variables (in this order,
    tried one after the other).
    """

    key_id: str
    secret: str
    token: str
    environment: tuple[tuple[str, str, str], ...]


class JobApi(Protocol):
    """What a service speaks. An instance belongs to one target; its settings are proven valid."""

    credential_names: ClassVar[CredentialNames]

    gone_codes: ClassVar[frozenset[str]]
    """Error codes that mean: there is no such job."""
    repeated_token_ends: ClassVar[bool]
    """Whether a page token that is given a second time means the last page; else it is an error."""

    @classmethod
    def from_section(cls, section: Section, region: str) -> Self:
        """The settings of an account in `region`; what is wrong with them joins the section's problems."""

    def list_jobs(self, token: str | None) -> Request:
        """The unsigned request for the page that `token` names; None asks for the first page."""

    def sign(self, request: Request, credentials: Credentials, now: float) -> Request:
        """`request` with the headers that prove who asks, at the Unix time `now` (seconds)."""

    def early_token(self, begin: bytes | bytearray) -> str | None:
        """The next page's token, where `begin`, the first bytes of a page, tells it already; None: wait for the page.

        A guess, which saves time where it is right: `parse_jobs` decides.
        """

    def parse_jobs(self, body: bytes, kept: KeptPages | None = None) -> JobPage:
        """The page in `body`; with `kept`, the same at less cost where it was met before. Raises MalformedResponse."""

    def describe_job(self, job_id: str) -> Request:
        """The unsigned request for one job."""

    def parse_job(self, body: bytes) -> JobDetail:
        """The job in `body`. Raises MalformedResponse."""

    def error(self, response: Response, operation: str) -> ServiceError:
        """What an answer with a status other than 200 means."""


class Onlooker(Protocol):
    """Who sees the body of an answer while it comes in."""

    unwanted: bool
    """Nobody waits for the answer any more: that it is broken off is no failure."""

    def see(self, begin: bytes | bytearray) -> bool:
        """`begin` is what there is of the body, decoded; True: enough was seen."""


class Fetch(Protocol):
    """How a source of credentials asks over HTTP."""

    async def __call__(self, request: Request, *, max_bytes: int, seconds: float, direct: bool) -> Response:
        """The whole answer, of at most `max_bytes` and within `seconds`; `direct`: never through a proxy.

        Raises TransportError, and MalformedResponse for a body that is not what its headers say.
        """


class CredentialSource(Protocol):
    """Where the keys of an account come from."""

    @property
    def name(self) -> str:
        """The label `source`: static, environment and so on."""

    @property
    def expires(self) -> float | None:
        """When the keys that were given last expire (Unix seconds); None where they do not, or where nobody tells."""

    async def get(self, fetch: Fetch) -> Credentials:
        """Keys that can be used now. A source that asks over HTTP does so with `fetch`. Raises CredentialsError."""


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """Which jobs get series of their own (`jobs:` of the configuration)."""

    statuses: frozenset[str] = frozenset()
    """Only these; empty: all."""
    max_age: float = 0.0
    """Seconds since a finished job ended; 0: no bound."""
    max: int = 10_000
    description: bool = True
    describe: bool = False
    """Ask DescribeJob why a job failed or is suspended."""
    ids: tuple[str, ...] = ()
    """Watch just these, by DescribeJob, without ListJobs; empty: list all."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How a target's host is reached. Empty strings: not set."""

    proxy_url: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """An account in a region: what one listing reads. Holding one proves that its settings are valid."""

    provider: str
    account: str
    region: str
    api: JobApi = field(repr=False)
    credentials: CredentialSource = field(repr=False)
    connection: ConnectionSettings = ConnectionSettings()
    jobs: JobPolicy = JobPolicy()
    timeout: float = 10.0
    """Seconds; bound of one listing."""
    max_pages: int = 1000
    retries: int = 2
    """Of one request, after its first attempt."""
    requests_per_second: float = 10.0
    """Of the whole account; 0: no limit."""
    min_interval: float = 0.0
    """Seconds; a scrape this soon after the last listing reuses it."""
    serve_stale_for: float = 0.0
    """Seconds that the last good listing is kept after a failed one."""

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that its listing calls, as in the label `operation`."""
        if self.jobs.ids:
            return ("DescribeJob",)
        return ("ListJobs", "DescribeJob") if self.jobs.describe else ("ListJobs",)

    @property
    def name(self) -> str:
        """`provider/account/region`, as in `/probe?target=`."""
        return f"{self.provider}/{self.account}/{self.region}"


class Observer(Protocol):
    """Who counts the API requests."""

    def requested(self, target: Target, operation: str, seconds: float) -> None:
        """One request was sent and answered, or failed, after `seconds`."""

    def failed(self, target: Target, operation: str, reason: Reason) -> None:
        """One request failed."""

    def retried(self, target: Target, operation: str) -> None:
        """One request is sent again."""
