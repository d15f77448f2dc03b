"""The exporter, put together from its parts: the one builder, for the command line and the tests."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.client.session import Client
from exporter.client.transport import Transport
from exporter.collector.collector import Collector
from exporter.core.workers import Turns
from exporter.exposition.renderer import Renderer
from exporter.exposition.self_metrics import SelfMetrics
from exporter.web.app import Routes, Settings, create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from exporter.core.target import Target

log = logging.getLogger(__name__)


class Application:
    """An exporter of some targets. Use it as an async context manager: then its connections are ready.

    `configuration`: the text of `/config`, without secrets.
    `revision`: of the source, for `build_info`. `now` returns Unix seconds; `jitter`: see `Client`.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        settings: Settings | None = None,
        *,
        configuration: str = "",
        revision: str = "unknown",
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        settings = settings or Settings()
        turns = Turns()
        self._now = now
        self.self_metrics = SelfMetrics(
            version=__version__, revision=revision, process=not settings.disable_exporter_metrics
        )
        self.self_metrics.config_loaded(now())
        self.self_metrics.keep_only(targets)
        self.transport = Transport()
        self.client = Client(self.transport, self.self_metrics, turns, now, jitter)
        self.collector = Collector(targets, self.client, turns, now=now)
        renderer = Renderer(self.self_metrics, turns)
        self.routes = Routes(self.collector, renderer, self.self_metrics, settings, configuration)
        self.asgi = create_app(self.routes, settings)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is exported, in the order of the configuration."""
        return tuple(self.collector.targets.values())

    async def replace(self, targets: Sequence[Target], configuration: str) -> None:
        """Export `targets` from now on. Those that are exported already keep their connections, keys and history.

        Listings in progress end as they began. `configuration`: see `Application`.
        """
        connections = [target.connection for target in targets]
        await self.transport.prepare(connections)
        self.self_metrics.keep_only(targets)
        self.self_metrics.config_loaded(self._now())
        self.collector.replace(targets)
        self.routes.forget_durations()
        self.routes.configuration = configuration
        self.client.keep_only(targets)
        requests = [(target.provider.list_request(None), target.connection) for target in targets]
        self.transport.keep_only({(f"{request.scheme}://{request.host}", way) for request, way in requests})

    def drain(self) -> None:
        """Take no new scrapes: the exporter is about to end."""
        log.info("stopping")
        self.routes.draining = True

    async def __aenter__(self) -> Self:
        await self.transport.prepare([target.connection for target in self.targets])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.transport.close()
