"""The routes: parameters, status codes, content negotiation."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from starlette.responses import HTMLResponse, JSONResponse, Response

from exporter.core.errors import ConfigError
from exporter.core.workers import Worker
from exporter.exposition.renderer import ResponseFormat
from exporter.web import debug_page, landing
from exporter.web.clients import ClientLeft, unless_left
from exporter.web.documentation import documentation
from exporter.web.negotiation import accepts_gzip, prefers_openmetrics
from exporter.web.router import BlocksResponse, Handler, Router, text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request

    from exporter.collector.collector import Collector
    from exporter.collector.target_collector import TargetCollector
    from exporter.exposition.renderer import Renderer, TargetLines
    from exporter.exposition.self_metrics import SelfMetrics

TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"

FINISH_FACTOR: Final = 1.2
"""If the last response took longer than the offset after its last listing, so many times as long is subtracted."""

RETRY_AFTER_SECONDS: Final = 5
"""When a scrape that was rejected may be tried again."""

CLIENT_LEFT: Final = 499
"""The status, in the log only, of a request whose client has left; it is nginx's."""

FIXED_PATHS: Final = ("/probe", "/sd", "/", "/config", "/docs", "/-/healthy", "/-/metrics", "/-/ready")
"""Routes whose path no flag changes."""

RELOAD_PATH: Final = "/-/reload"
"""The one route that changes something: it takes POST and PUT."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags say about the routes."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    """Scrapes answered at the same time; 0: no limit. One more gets a 503."""
    timeout_offset: float = 0.5
    """Seconds subtracted from the scrape timeout for rendering and sending."""
    timeout_default: float = 0.0
    """Seconds; the timeout of scrapes that name none. 0: only each target's own."""
    external_url: str = ""
    """Where the exporter is reached from outside; empty: as the request says."""
    route_prefix: str = ""
    """The path below which every route can be found too, such as /batchops."""
    enable_lifecycle: bool = False
    """Whether a request may reload the configuration."""
    disable_exporter_metrics: bool = False
    """Leave out the metrics about the exporter itself, its process and Python."""


class Routes:
    """The handlers of all routes."""

    def __init__(
        self,
        collector: Collector,
        renderer: Renderer,
        self_metrics: SelfMetrics,
        settings: Settings,
        configuration: str,
    ) -> None:
        self.draining = False
        """The exporter is about to end: it finishes the scrapes in flight, and takes no new ones."""
        self.reload_with: Callable[[], Awaitable[None]] | None = None
        """Loads the configuration again, or raises ConfigError; None: there is no file."""
        self.configuration = configuration
        """In use, without secrets."""
        self._collector = collector
        self._renderer = renderer
        self._self_metrics = self_metrics
        self._settings = settings
        self._pages = Worker("page")
        self._finish_seconds: dict[tuple[ResponseFormat, tuple[str, ...]], float] = {}
        """From the last listing to the whole body, the last time, by what was requested."""

    async def metrics(self, request: Request) -> Response:
        """Every target, then the exporter's own metrics."""
        return await self._scrape(request, list(self._collector.targets), with_self_metrics=True)

    async def probe(self, request: Request) -> Response:
        """The families of the one target that the parameter `target` names; with `debug=true` how they were read."""
        known = list(self._collector.targets)
        names = request.query_params.getlist("target")
        hint = f"known targets: {', '.join(known)}\n"
        if len(names) != 1:
            return text(f"The parameter target is required once, as in /probe?target={known[0]}; {hint}", 400)
        if names[0] not in known:
            return text(f"This target is not in the configuration; {hint}", 404)
        debug = request.query_params.get("debug") == "true"
        return await self._scrape(request, names, with_self_metrics=False, debug=debug)

    async def self_metrics(self, request: Request) -> Response:
        """The exporter's own metrics, without any call to a cloud."""
        return await self._scrape(request, [], with_self_metrics=True)

    async def sd(self, request: Request) -> Response:
        """An entry per target for Prometheus: each is scraped at /probe, without any relabel_configs.

        Source: https://prometheus.io/docs/prometheus/latest/http_sd/
        """
        own = urlsplit(self._settings.external_url or f"{request.base_url}".rstrip("/") + self._settings.route_prefix)
        entries = []
        for name, target in self._collector.targets.items():
            labels = {
                "__scheme__": own.scheme,
                "__metrics_path__": f"{own.path.rstrip('/')}/probe",
                "__param_target": name,
                "__meta_batchops_provider": target.provider_name,
                "__meta_batchops_account": target.account,
                "__meta_batchops_region": target.region,
                "instance": name,  # otherwise all targets would share one series `up`
            }
            entries.append({"targets": [own.netloc], "labels": labels})
        return JSONResponse(entries)

    async def landing(self, request: Request) -> Response:
        """A page for people: each target with its last snapshot. It calls no service."""
        del request
        rows = [(name, self._collector.last(name)) for name in self._collector.targets]
        base, metrics = (
            self._settings.external_url.rstrip("/") or self._settings.route_prefix,
            self._settings.telemetry_path,
        )
        page = await self._pages.run(landing.page, rows, base=base, metrics=metrics, now=time.time())
        return HTMLResponse(page, headers=landing.HEADERS)

    async def docs(self, request: Request) -> Response:
        """The documentation of the installed version, for people without access to anything else."""
        del request
        return text(documentation())

    async def config(self, request: Request) -> Response:
        """The configuration in use, without secrets."""
        del request
        return text(self.configuration)

    async def healthy(self, request: Request) -> Response:
        """The process runs and responds."""
        del request
        return text("batchops-exporter is healthy.\n")

    async def ready(self, request: Request) -> Response:
        """The configuration is loaded, and scrapes are answered."""
        del request
        return _stopping() if self.draining else text("batchops-exporter is ready.\n")

    async def reload(self, request: Request) -> Response:
        """Load the configuration again; if it cannot be used, the last one stays."""
        del request
        if not self._settings.enable_lifecycle or self.reload_with is None:
            return text(
                "Reloading is not enabled; start the exporter with --web.enable-lifecycle.\n", HTTPStatus.FORBIDDEN
            )
        try:
            await self.reload_with()
        except ConfigError as error:
            return text(f"The configuration was not reloaded; the last one stays in use:\n{error}\n", 500)
        return text("")

    async def _scrape(
        self, request: Request, names: list[str], *, with_self_metrics: bool, debug: bool = False
    ) -> Response:
        """The exposition of the targets with these names; `debug`: of one target, after what its run did."""
        response_format = ResponseFormat(
            openmetrics=not debug and prefers_openmetrics(request.headers.get("accept", "")),
            gzip=not debug and accepts_gzip(request.headers.get("accept-encoding", "")),
            with_self_metrics=with_self_metrics,
        )
        headers = {"vary": "accept, accept-encoding"}
        if response_format.gzip:
            headers["content-encoding"] = "gzip"
        headers["content-type"] = CONTENT_TYPE_OPENMETRICS if response_format.openmetrics else CONTENT_TYPE_PLAIN_0_0_4
        if debug:
            headers["content-type"] = debug_page.CONTENT_TYPE
        if request.method == "HEAD":  # shows what a scrape would return, and must not cost a listing
            response = Response(headers=headers)
            del response.headers["content-length"]  # a scrape's would not be 0
            return response
        limit = self._settings.max_requests
        if 0 < limit <= self._self_metrics.in_flight:
            self._self_metrics.scrape_rejected()
            return _unavailable(f"Limit of concurrent scrapes ({limit}) reached, try again later.\n")
        if self.draining:
            return _stopping()
        self._self_metrics.scrape_started()
        try:
            allowed = self._allowed(request, names, response_format)
            collectors = [self._collector.find(name) for name in names]  # a reload may replace them meanwhile
            making = self._debug_body if debug else self._body
            body = await unless_left(request.receive, making(collectors, allowed, response_format))
        except ClientLeft:
            self._self_metrics.scrape_ended()
            return Response(status_code=CLIENT_LEFT)
        except BaseException:
            self._self_metrics.scrape_ended()
            raise
        return BlocksResponse(body, self._self_metrics.scrape_ended, headers=headers)

    async def _body(
        self, collectors: Sequence[TargetCollector], allowed: float | None, response_format: ResponseFormat
    ) -> list[bytes]:
        """The body: each target is rendered as soon as its snapshot is complete, then all are joined."""
        listed = time.monotonic()

        async def lines(collector: TargetCollector) -> TargetLines:
            nonlocal listed
            snapshot = await collector.snapshot(allowed)
            listed = time.monotonic()
            return await self._renderer.lines(snapshot, response_format)

        body = await self._renderer.body(await asyncio.gather(*map(lines, collectors)), response_format)
        names = tuple(collector.target.name for collector in collectors)
        self._finish_seconds[response_format, names] = time.monotonic() - listed
        return body

    async def _debug_body(
        self, collectors: Sequence[TargetCollector], allowed: float | None, response_format: ResponseFormat
    ) -> list[bytes]:
        """What a run of its own did, then the metrics of its snapshot; of one target."""
        started = time.time()
        (collector,) = collectors
        snapshot, trace = await collector.traced(allowed)
        lines = await self._renderer.lines(snapshot, response_format)
        page = debug_page.text(snapshot, trace, started=started, allowed=allowed)
        return [page.encode(), *await self._renderer.body([lines], response_format)]

    def forget_durations(self) -> None:
        """Forget how long responses took to finish, as they will be about other targets."""
        self._finish_seconds.clear()

    def _allowed(self, request: Request, names: list[str], response_format: ResponseFormat) -> float | None:
        """Seconds for the listings: the scrape timeout less the offset (at most half of it); None: there is none."""
        timeout = _timeout(request.headers.get(TIMEOUT_HEADER, "")) or self._settings.timeout_default
        if not timeout:
            return None
        finish = FINISH_FACTOR * self._finish_seconds.get((response_format, tuple(names)), 0.0)
        return timeout - min(max(self._settings.timeout_offset, finish), timeout / 2)


def _timeout(header: str) -> float:
    """The seconds in the header of a scrape; 0 if it is missing or no number of seconds above 0."""
    try:
        seconds = float(header)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < math.inf else 0.0


def _stopping() -> Response:
    return _unavailable("batchops-exporter is stopping.\n")


def _unavailable(message: str) -> Response:
    return text(message, HTTPStatus.SERVICE_UNAVAILABLE, {"retry-after": str(RETRY_AFTER_SECONDS)})


def create_app(routes: Routes, settings: Settings) -> Router:
    """The ASGI application."""
    handlers = {
        settings.telemetry_path: routes.metrics,
        "/probe": routes.probe,
        "/sd": routes.sd,
        "/": routes.landing,
        "/config": routes.config,
        "/docs": routes.docs,
        "/-/healthy": routes.healthy,
        "/-/metrics": routes.self_metrics,
        "/-/ready": routes.ready,
    }
    below = {f"{settings.route_prefix}{path}": handler for path, handler in handlers.items()}
    if settings.route_prefix:
        below[settings.route_prefix] = routes.landing
    routed: dict[str, dict[str, Handler]] = {path: {"GET": handler} for path, handler in (below | handlers).items()}
    for prefix in {"", settings.route_prefix}:
        routed[f"{prefix}{RELOAD_PATH}"] = {"POST": routes.reload, "PUT": routes.reload}
    return Router(routed)
