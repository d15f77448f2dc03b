"""The exporter, put together from its parts: the one builder, for the command line and the tests."""

from __future__ import annotations

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
from exporter.web.app import Settings, create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from exporter.core.target import Target


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
        self.targets = targets
        self.self_metrics = SelfMetrics(
            version=__version__, revision=revision, process=not settings.disable_exporter_metrics
        )
        self.self_metrics.config_loaded(now())
        self.self_metrics.show_from_zero(targets)
        self.transport = Transport()
        self.client = Client(self.transport, self.self_metrics, turns, now, jitter)
        self.collector = Collector(targets, self.client, self.self_metrics, turns, now=now)
        renderer = Renderer(self.self_metrics, turns)
        self.asgi = create_app(self.collector, renderer, self.self_metrics, settings, configuration)

    async def __aenter__(self) -> Self:
        await self.transport.prepare(
            [(target.provider.list_request(None).host, target.connection) for target in self.targets]
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.transport.close()
