"""The ASGI application: what every request must fulfil, the handler of each path, and what every response has."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.web.clients import ABORT, Outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Receive, Scope, Send

MAX_LINE_BYTES: Final = 8 * 1024
"""Of the path and the query of a request."""

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of a request line and all headers."""

MAX_BODY_BYTES: Final = 64 * 1024
"""Of the body of a request. No route needs one, but clients may send one."""

HEADERS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Of every response, unless its route has another value."""

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


class BlocksResponse(Response):
    """A response whose body is in `blocks`; `on_end` is called when it is sent, or its client has left."""

    def __init__(self, blocks: Sequence[bytes], on_end: Callable[[], None], *, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self.headers["content-length"] = str(sum(map(len, blocks)))
        self.blocks = deque(blocks)  # lets go what was sent
        self.on_end = on_end


class Router:
    """Calls the handler of a path and a method: `routes[path][method]`. A GET is also the answer to HEAD."""

    def __init__(self, routes: Mapping[str, Mapping[str, Handler]]) -> None:
        self._routes = routes
        self._outbox = Outbox()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.monotonic()
        request = Request(scope, receive)
        try:
            response = refusal(request) or await self._respond(request)
        except Exception:
            log.exception("internal error (please report it)", extra={"path": scope["path"]})
            response = text("Internal error, see the exporter's log.\n", HTTPStatus.INTERNAL_SERVER_ERROR)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        blocks = response.blocks if isinstance(response, BlocksResponse) else deque([bytes(response.body)])
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
            await self._outbox.send(blocks, scope["state"][ABORT], send)
        finally:
            if isinstance(response, BlocksResponse):
                response.on_end()
        facts = {
            "client": request.client.host if request.client else "",
            "method": request.method,
            "path": scope["path"],  # without the query, in which clients may send anything
            "status": int(response.status_code),
            "seconds": round(time.monotonic() - started, 3),
        }
        log.debug("request", extra=facts)

    async def _respond(self, request: Request) -> Response:
        methods = self._routes.get(request.scope["path"])
        if methods is None:
            return text("There is nothing at this path; / has links to what there is.\n", HTTPStatus.NOT_FOUND)
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is not None:
            return await handler(request)
        allow = {"allow": ", ".join(sorted({*methods, *(("HEAD",) if "GET" in methods else ()), "OPTIONS"}))}
        if request.method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=allow)
        return text("This method is not allowed here.\n", HTTPStatus.METHOD_NOT_ALLOWED, allow)


def refusal(request: Request) -> Response | None:
    """The response to a request that is larger than a request here may be; None: it is not."""
    line = len(request.scope["raw_path"]) + len(request.scope["query_string"])
    head = line + sum(len(name) + len(value) for name, value in request.headers.raw)
    close = {"connection": "close"}
    if line > MAX_LINE_BYTES:
        return text(f"The URL is longer than {MAX_LINE_BYTES} bytes.\n", HTTPStatus.REQUEST_URI_TOO_LONG, close)
    if head > MAX_HEAD_BYTES:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return text(f"The headers are longer than {MAX_HEAD_BYTES} bytes.\n", status, close)
    if "transfer-encoding" in request.headers:
        return text("A body needs the header Content-Length.\n", HTTPStatus.LENGTH_REQUIRED, close)
    if int(request.headers.get("content-length", "0")) > MAX_BODY_BYTES:
        message = f"The body is longer than {MAX_BODY_BYTES} bytes.\n"
        return text(message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, close)
    return None


def text(content: str, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """A response in plain text."""
    return PlainTextResponse(content, status, headers=headers)
