"""The webhook to which Alertmanager sends its notifications."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger("drill")


class Arrival(NamedTuple):
    """One alert in one notification."""

    time: float
    receiver: str
    status: str
    """firing or resolved."""
    fingerprint: str
    """What Alertmanager identifies the alert by: a hash of its labels."""
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        """The alert and its severity."""
        return f"{self.labels['alertname']}/{self.labels['severity']}"

    @property
    def title(self) -> str:
        """The same for people."""
        return f"{self.labels['alertname']} ({self.labels['severity']})"


class Receiver:
    """Keeps what arrived, in its order, and logs it."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.app = Starlette(routes=[Route("/{name}", self._notified, methods=["POST"])])

    async def _notified(self, request: Request) -> Response:
        document: dict[str, Any] = await request.json()
        for alert in document["alerts"]:
            arrival = Arrival(
                time.time(),
                request.path_params["name"],
                alert["status"],
                alert["fingerprint"],
                alert["labels"],
                alert["annotations"],
            )
            self.arrivals.append(arrival)
            log.info(
                "  %-8s %-8s %s: %s", arrival.receiver, arrival.status, arrival.name, alert["annotations"]["summary"]
            )
            if arrival.status == "firing":
                log.info("  %s", alert["annotations"]["description"])
        return Response(status_code=204)

    def seen(self, account: str, name: str, status: str) -> list[Arrival]:
        """Returns the arrivals of an alert; `account` is empty for alerts about exporters."""
        return [
            arrival
            for arrival in list(self.arrivals)
            if (arrival.labels.get("account", ""), arrival.name, arrival.status) == (account, name, status)
        ]
