"""Who counts requests and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from exporter.core.errors import Reason
    from exporter.core.jobs import Parser
    from exporter.core.target import Target


class Observer(Protocol):
    """Counts the API requests."""

    def requested(self, target: Target, operation: str, seconds: float) -> None:
        """One request was sent and answered, or failed, after `seconds`."""

    def failed(self, target: Target, operation: str, reason: Reason) -> None:
        """One request failed, or its response could not be read."""

    def retried(self, target: Target, operation: str) -> None:
        """One request is sent again."""

    def page_parsed(self, parser: Parser) -> None:
        """One page was parsed by `parser`."""
