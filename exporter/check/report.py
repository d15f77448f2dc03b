"""What was found about a target. Values only, no behaviour."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["ok", "warning", "failed", "skipped"]
"""`skipped`: something above it failed, or it does not apply."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    state: State
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The numbers behind the findings; None: not known, because something failed before."""

    credentials_source: str
    credentials_expire: float | None
    """Unix seconds; None also if they do not expire."""
    clock_skew_seconds: float | None
    """This machine's clock less that of the service."""
    pages: int | None
    jobs: Mapping[str, int] | None
    """By status; a status without jobs is absent."""
    series: int | None
    """Of one scrape of the target."""
    requests_per_day: int | None
    error_reason: str | None
    """As in `batchops_scrape_error`."""
    error_code: str | None


@dataclass(frozen=True, slots=True)
class TargetReport:
    """Everything about one target."""

    target: str
    findings: tuple[Finding, ...]
    facts: Facts

    @property
    def failed(self) -> bool:
        """Whether something must be corrected before the target can be scraped."""
        return any(finding.state == "failed" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """The number of things that may become a failure, or make the metrics incomplete."""
        return sum(finding.state == "warning" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Returns the report for JSON."""
        return {
            "target": self.target,
            "ok": not self.failed,
            "findings": [asdict(finding) for finding in self.findings],
            **asdict(self.facts),
        }
