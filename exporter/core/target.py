"""A target and its settings, proven valid by the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.core.http import ConnectionSettings

if TYPE_CHECKING:
    from exporter.core.interfaces import CredentialSource, Provider


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """Which jobs get their own series (`jobs:` of the configuration)."""

    statuses: frozenset[str] = frozenset()
    """Only these; empty: all."""
    max_age: float = 0.0
    """Seconds since a finished job ended; 0: no limit."""
    max: int = 10_000
    description: bool = True
    describe: bool = True
    """Ask DescribeJob why a job failed or is suspended, and where its report is."""
    ids: tuple[str, ...] = ()
    """Read only these jobs, by DescribeJob, without ListJobs; empty: list all."""


@dataclass(frozen=True, slots=True)
class Target:
    """An account in a region: what one listing reads."""

    provider_name: str
    """The label `provider`."""
    account: str
    region: str
    provider: Provider = field(repr=False)
    credentials: CredentialSource = field(repr=False)
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    jobs: JobPolicy = field(default_factory=JobPolicy)
    timeout: float = 10.0
    """Seconds; limit of one listing."""
    attempt_timeout: float = 0.0
    """Seconds; limit of one attempt of a request; 0: a third of `timeout`."""
    max_pages: int = 1000
    retries: int = 2
    """Of one request, after its first attempt."""
    requests_per_second: float = 10.0
    """Of the whole account; 0: no limit."""
    min_interval: float = 0.0
    """Seconds; a scrape this soon after the last listing reuses it."""
    serve_stale_for: float = 0.0
    """Seconds that the last good snapshot is kept after a failed listing."""

    @property
    def attempt_seconds(self) -> float:
        """Limit of one attempt of a request."""
        return self.attempt_timeout or self.timeout / 3

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that its listing calls, as in the label `operation`."""
        if self.jobs.ids:
            return ("DescribeJob",)
        return ("ListJobs", "DescribeJob") if self.jobs.describe else ("ListJobs",)

    @property
    def name(self) -> str:
        """`provider/account/region`, as in `/probe?target=`."""
        return "/".join(self.labels)

    @property
    def labels(self) -> tuple[str, str, str]:
        """The values of the labels `provider`, `account` and `region`."""
        return self.provider_name, self.account, self.region
