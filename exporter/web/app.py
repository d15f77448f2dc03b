"""The routes: parameters, status codes, content negotiation."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from exporter.exposition.renderer import ResponseFormat
from exporter.web import landing
from exporter.web.negotiation import accepts_gzip, prefers_openmetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from exporter.collector.collector import Collector
    from exporter.exposition.renderer import Renderer, TargetLines
    from exporter.exposition.self_metrics import SelfMetrics

TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"

PIECE_BYTES: Final = 256 * 1024
"""Of a body passed to the connection at once: a reader that stalls holds no more than this in buffers."""

FINISH_FACTOR: Final = 1.2
"""If the last response took longer than the offset after its last listing, so many times as long is subtracted."""

SEND_SECONDS: Final = 60.0
"""A client that has not read its response by then is disconnected."""

FIXED_PATHS: Final = ("/probe", "/sd", "/", "/config", "/-/healthy", "/-/metrics", "/-/ready")
"""Routes whose path no flag changes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags say about the routes."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    """Scrapes answered at the same time; 0: no limit. One more gets a 503."""
    timeout_offset: float = 0.5
    """Seconds subtracted from the scrape timeout for rendering and sending."""
    external_url: str = ""
    """Where the exporter is reached from outside; empty: as the request says."""
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
        self._collector = collector
        self._renderer = renderer
        self._self_metrics = self_metrics
        self._settings = settings
        self._configuration = configuration
        self._finish_seconds: dict[tuple[ResponseFormat, tuple[str, ...]], float] = {}
        """From the last listing to the whole body, the last time, by what was requested."""

    async def metrics(self, request: Request) -> Response:
        """Every target, then the exporter's own metrics."""
        return await self._scrape(request, list(self._collector.targets), with_self_metrics=True)

    async def probe(self, request: Request) -> Response:
        """The families of the one target that the parameter `target` names."""
        known = list(self._collector.targets)
        names = request.query_params.getlist("target")
        hint = f"known targets: {', '.join(known)}\n"
        if len(names) != 1:
            return _text(f"The parameter target is required once, as in /probe?target={known[0]}; {hint}", 400)
        if names[0] not in known:
            return _text(f"This target is not in the configuration; {hint}", 404)
        return await self._scrape(request, names, with_self_metrics=False)

    async def self_metrics(self, request: Request) -> Response:
        """The exporter's own metrics, without any call to a cloud."""
        return await self._scrape(request, [], with_self_metrics=True)

    async def sd(self, request: Request) -> Response:
        """An entry per target for Prometheus: each is scraped at /probe, without any relabel_configs.

        Source: https://prometheus.io/docs/prometheus/latest/http_sd/
        """
        own = urlsplit(self._settings.external_url or str(request.base_url))
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
        page = landing.page(rows, base=self._settings.external_url.rstrip("/"), metrics=self._settings.telemetry_path)
        return HTMLResponse(page, headers=landing.HEADERS)

    async def config(self, request: Request) -> Response:
        """The configuration in use, without secrets."""
        del request
        return _text(self._configuration)

    async def healthy(self, request: Request) -> Response:
        """The process runs and responds."""
        del request
        return _text("batchops-exporter is healthy.\n")

    async def ready(self, request: Request) -> Response:
        """The configuration is loaded, and scrapes are answered."""
        del request
        return _text("batchops-exporter is ready.\n")

    async def _scrape(self, request: Request, names: list[str], *, with_self_metrics: bool) -> Response:
        """The exposition of the targets with these names."""
        response_format = ResponseFormat(
            openmetrics=prefers_openmetrics(request.headers.get("accept", "")),
            gzip=accepts_gzip(request.headers.get("accept-encoding", "")),
            with_self_metrics=with_self_metrics,
        )
        headers = {"vary": "accept, accept-encoding"}
        if response_format.gzip:
            headers["content-encoding"] = "gzip"
        media_type = CONTENT_TYPE_OPENMETRICS if response_format.openmetrics else CONTENT_TYPE_PLAIN_0_0_4
        if request.method == "HEAD":  # shows what a scrape would return, and must not cost a listing
            response = Response(headers=headers | {"content-type": media_type})
            del response.headers["content-length"]  # a scrape's would not be 0
            return response
        limit = self._settings.max_requests
        if 0 < limit <= self._self_metrics.in_flight:
            self._self_metrics.scrape_rejected()
            return _text(f"Limit of concurrent scrapes ({limit}) reached, try again later.\n", 503)
        self._self_metrics.scrape_started()
        try:
            body = await self._body(names, self._allowed(request, names, response_format), response_format)
        except BaseException:
            self._self_metrics.scrape_ended()
            raise
        headers["content-length"] = str(sum(map(len, body)))
        return _ScrapeResponse(body, self._self_metrics.scrape_ended, headers=headers, media_type=media_type)

    async def _body(self, names: list[str], allowed: float | None, response_format: ResponseFormat) -> list[bytes]:
        """The body: each target is rendered as soon as its snapshot is complete, then all are joined."""
        listed = time.monotonic()

        async def lines(name: str) -> TargetLines:
            nonlocal listed
            snapshot = await self._collector.snapshot(name, allowed)
            listed = time.monotonic()
            return await self._renderer.lines(snapshot, response_format)

        body = await self._renderer.body(await asyncio.gather(*map(lines, names)), response_format)
        self._finish_seconds[response_format, tuple(names)] = time.monotonic() - listed
        return body

    def _allowed(self, request: Request, names: list[str], response_format: ResponseFormat) -> float | None:
        """Seconds for the listings: the scrape timeout less the offset (at most half of it); None: there is none."""
        try:
            timeout = float(request.headers.get(TIMEOUT_HEADER, ""))
        except ValueError:
            return None
        if not math.isfinite(timeout) or timeout <= 0:
            return None
        finish = FINISH_FACTOR * self._finish_seconds.get((response_format, tuple(names)), 0.0)
        return timeout - min(max(self._settings.timeout_offset, finish), timeout / 2)


class _ScrapeResponse(StreamingResponse):
    """A response that counts as a scrape in flight until it is sent, or its client has left."""

    def __init__(self, body: Sequence[bytes], on_end: Callable[[], None], **options: Any) -> None:  # noqa: ANN401 - its base's
        super().__init__(_pieces(body), **options)
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log.warning("a client did not read its response within %g s", SEND_SECONDS)
        finally:
            self._on_end()


async def _pieces(body: Sequence[bytes]) -> AsyncIterator[bytes]:
    """`body` in pieces of at most PIECE_BYTES, with a pass of the event loop between them for everybody else."""
    first = True
    for block in body:
        for start in range(0, len(block), PIECE_BYTES):
            if not first:
                await asyncio.sleep(0)  # otherwise a fast reader gets all of it in one pass
            first = False
            yield block[start : start + PIECE_BYTES]


def _text(text: str, status: int = 200) -> Response:
    return PlainTextResponse(text, status, headers={"x-content-type-options": "nosniff"})


def create_app(
    collector: Collector, renderer: Renderer, self_metrics: SelfMetrics, settings: Settings, configuration: str
) -> Starlette:
    """The ASGI application; `configuration` is shown at `/config`, without secrets."""
    routes = Routes(collector, renderer, self_metrics, settings, configuration)
    handlers = {
        settings.telemetry_path: routes.metrics,
        "/probe": routes.probe,
        "/sd": routes.sd,
        "/": routes.landing,
        "/config": routes.config,
        "/-/healthy": routes.healthy,
        "/-/metrics": routes.self_metrics,
        "/-/ready": routes.ready,
    }
    app = Starlette(routes=[Route(path, handler, methods=["GET"]) for path, handler in handlers.items()])
    app.router.redirect_slashes = False  # it would redirect to whatever host the client names
    return app
