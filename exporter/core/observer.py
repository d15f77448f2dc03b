"""Who learns what happens to the API requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from exporter.core.errors import ScrapeError
    from exporter.core.http import Request
    from exporter.core.jobs import JobPage
    from exporter.core.target import Target


class Observer(Protocol):
    """Counts the API requests, or writes down what happens to them. Each `request` is the one before it is signed."""

    def prepared(self, target: Target, request: Request, *, turn: float, keys: float) -> None:
        """One request can be sent, after it waited so many seconds for its turn and for its keys."""

    def requested(self, target: Target, request: Request, seconds: float, status: int | None) -> None:
        """One request was sent and answered with `status` after `seconds`; None: there was no whole response."""

    def failed(self, target: Target, request: Request, error: ScrapeError) -> None:
        """One request failed, or its response could not be read."""

    def retried(self, target: Target, request: Request) -> None:
        """One request is sent again."""

    def page_parsed(self, page: JobPage) -> None:
        """One page of a listing was parsed."""
