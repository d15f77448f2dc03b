"""The routes: parameters, status codes, negotiation, and the landing page for people."""

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

from exporter.exposition.renderer import Form, Renderer
from exporter.web import landing
from exporter.web.negotiation import accepts_gzip, prefers_openmetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from exporter.collector.target_collector import Collector
    from exporter.core.snapshot import Snapshot
    from exporter.exposition.renderer import Blocks
    from exporter.exposition.self_metrics import SelfMetrics

TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"

PIECE_BYTES: Final = 256 * 1024
"""Of a body handed to the connection at once: a stalled reader holds no more than this in buffers."""

FINISH_FACTOR: Final = 1.2
"""Where the answer took longer than the offset after the last listing, so many times as long is taken off instead."""

SEND_SECONDS: Final = 60.0
"""A client that has not taken its answer by then is left."""

FIXED_PATHS: Final = ("/probe", "/sd", "/", "/-/healthy", "/-/ready")
"""Routes whose path no flag changes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags say of the routes."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    """Scrapes answered at once, 0 for no limit; one more is told to come later."""
    timeout_offset: float = 0.5
    """Seconds taken off the scrape's timeout, for rendering and the way back."""
    external_url: str = ""


class Routes:
    """The handlers, and what they share: nothing but the scraper, the own metrics and one place to render."""

    def __init__(self, scraper: Collector, selfmetrics: SelfMetrics, settings: Settings) -> None:
        self._scraper = scraper
        self._selfmetrics = selfmetrics
        self._settings = settings
        self._scrapes = 0
        self._renderer = Renderer(selfmetrics)
        self._finish_seconds: dict[tuple[Form, tuple[str, ...]], float] = {}
        """From the last listing to the answer, the last time, by what was asked for."""

    async def metrics(self, request: Request) -> Response:
        """Every target, then the exporter's own metrics."""
        return await self._answer(request, self._scraper.names, own=True)

    async def probe(self, request: Request) -> Response:
        """The families of the one target that the parameter `target` names."""
        known = self._scraper.names
        wanted = request.query_params.getlist("target")
        hint = f"known targets: {', '.join(known)}\n"
        if len(wanted) != 1:
            return _text(f"The parameter target is required, once, as in /probe?target={known[0]}; {hint}", 400)
        if wanted[0] not in known:
            return _text(f"This target is not in the configuration; {hint}", 404)
        return await self._answer(request, wanted, own=False)

    async def sd(self, request: Request) -> Response:
        """An entry per target for Prometheus: each is scraped at /probe, without any relabel_configs.

        Source: https://prometheus.io/docs/prometheus/latest/http_sd/
        """
        own = urlsplit(self._settings.external_url or str(request.base_url))
        entries = []
        for name in self._scraper.names:
            provider, account, region = name.split("/")
            labels = {
                "__scheme__": own.scheme,
                "__metrics_path__": f"{own.path.rstrip('/')}/probe",
                "__param_target": name,
                "__meta_batchops_provider": provider,
                "__meta_batchops_account": account,
                "__meta_batchops_region": region,
                "instance": name,  # else all targets would have one series `up` in common
            }
            entries.append({"targets": [own.netloc], "labels": labels})
        return JSONResponse(entries)

    async def landing(self, request: Request) -> Response:
        """A page for people: each target with its last listing. It asks no service."""
        del request
        rows = [(name, self._scraper.last(name)) for name in self._scraper.names]
        page = landing.page(rows, base=self._settings.external_url.rstrip("/"), metrics=self._settings.telemetry_path)
        return HTMLResponse(page, headers=landing.HEADERS)

    async def healthy(self, request: Request) -> Response:
        """The process runs and answers."""
        del request
        return _text("batchops-exporter is healthy.\n")

    async def ready(self, request: Request) -> Response:
        """The configuration is read and scrapes are answered."""
        del request
        return _text("batchops-exporter is ready.\n")

    async def _answer(self, request: Request, names: list[str], *, own: bool) -> Response:
        form = Form(
            openmetrics=prefers_openmetrics(request.headers.get("accept", "")),
            gzip=accepts_gzip(request.headers.get("accept-encoding", "")),
            own=own,
        )
        headers = {"vary": "accept, accept-encoding"}
        if form.gzip:
            headers["content-encoding"] = "gzip"
        media_type = CONTENT_TYPE_OPENMETRICS if form.openmetrics else CONTENT_TYPE_PLAIN_0_0_4
        if request.method == "HEAD":  # tells what a scrape would be; that must not cost a listing
            answer = Response(headers=headers | {"content-type": media_type})
            del answer.headers["content-length"]  # a scrape's would not be 0
            return answer
        if 0 < self._settings.max_requests <= self._scrapes:
            return _text(
                f"Limit of concurrent scrapes ({self._settings.max_requests}) reached, try again later.\n", 503
            )
        self._scrapes += 1
        try:
            with self._selfmetrics.in_flight.track_inprogress():
                body = await self._body(names, self._allowed(request, names, form), form)
        except BaseException:
            self._scrapes -= 1
            raise
        headers["content-length"] = str(sum(map(len, body)))
        return _Sent(_pieces(body), self._sent, headers=headers, media_type=media_type)

    def _sent(self) -> None:
        self._scrapes -= 1

    async def _body(self, names: list[str], allowed: float | None, form: Form) -> list[bytes]:
        """The answer: each target's lines are rendered while others are still being listed, then all are joined."""
        listed = time.monotonic()

        async def blocks(listing: Snapshot) -> Blocks:
            nonlocal listed
            listed = time.monotonic()
            return await self._renderer.blocks(listing, form)

        body = await self._renderer.body(await self._scraper.scrape(names, allowed, blocks), form)
        self._finish_seconds[form, tuple(names)] = time.monotonic() - listed
        return body

    def _allowed(self, request: Request, names: list[str], form: Form) -> float | None:
        """Seconds that the scrape may take: its timeout less the offset (at most half of it); None: it names none."""
        try:
            timeout = float(request.headers.get(TIMEOUT_HEADER, ""))
        except ValueError:
            return None
        if not math.isfinite(timeout) or timeout <= 0:
            return None
        finish = FINISH_FACTOR * self._finish_seconds.get((form, tuple(names)), 0.0)
        return timeout - min(max(self._settings.timeout_offset, finish), timeout / 2)


class _Sent(StreamingResponse):
    """An answer that counts as a scrape until it is sent, or its client has gone."""

    def __init__(self, body: AsyncIterator[bytes], sent: Callable[[], None], **options: Any) -> None:  # noqa: ANN401 - its base's
        super().__init__(body, **options)
        self._tell = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log.warning("a client did not take its answer within %g s", SEND_SECONDS)
        finally:
            self._tell()


async def _pieces(body: list[bytes]) -> AsyncIterator[bytes]:
    begun = False
    for block in body:
        for start in range(0, len(block), PIECE_BYTES):
            if begun:
                await asyncio.sleep(0)  # else a fast reader gets all of it before anyone else has a turn
            begun = True
            yield block[start : start + PIECE_BYTES]


def _text(text: str, status: int = 200) -> Response:
    return PlainTextResponse(text, status, headers={"x-content-type-options": "nosniff"})


def create_app(scraper: Collector, selfmetrics: SelfMetrics, settings: Settings) -> Starlette:
    """The ASGI application."""
    routes = Routes(scraper, selfmetrics, settings)
    fixed = zip(FIXED_PATHS, (routes.probe, routes.sd, routes.landing, routes.healthy, routes.ready), strict=True)
    paths = [(settings.telemetry_path, routes.metrics), *fixed]
    app = Starlette(routes=[Route(path, handler, methods=["GET"]) for path, handler in paths])
    app.router.redirect_slashes = False  # it would lead to whatever host the client has named
    return app
