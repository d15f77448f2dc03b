"""The ASGI application that serves the stores, with routes that change their faults while it runs.

`GET /-/faults` returns the faults, `POST` adds one (a JSON object) or several (a list of objects), `DELETE` removes all
of them. The parameters `region` and `access_key_id` select some of the stores. These routes need no signature.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from exporter.core.errors import ConfigError, Problem
from exporter.core.section import Section
from exporter.simulator.faults import Fault, read_fault
from exporter.simulator.messages import RawRequest, RawResponse
from exporter.simulator.responder import Responder
from exporter.simulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

_PIECE: Final = 256 * 1024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def create_app(stores: Store | Sequence[Store]) -> Starlette:
    """Returns the application that serves `stores`; run it with uvicorn, because some faults close its connections."""
    responder = Responder([stores] if isinstance(stores, Store) else stores)

    async def faults(request: Request) -> Response:
        try:
            selected = _selected_stores(responder.stores, request)
            added = _read_faults(await request.body()) if request.method == "POST" else []
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        for store in selected:
            if request.method == "DELETE":
                store.faults.clear()
            for fault in added:
                store.faults.add(fault)
        return JSONResponse(
            [
                {"region": store.region, "access_key_id": store.access_key_id, **fault.as_json()}
                for store in selected
                for fault in store.faults
            ]
        )

    async def dialects(scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(responder, scope, receive, send)

    return Starlette(routes=[Route("/-/faults", faults, methods=["GET", "POST", "DELETE"]), Mount("/", dialects)])


def _selected_stores(stores: Sequence[Store], request: Request) -> list[Store]:
    """Returns the stores that the parameters of `request` select. Raises ConfigError if they select none."""
    section = Section(dict(request.query_params), "", [])
    region, key_id = section.string("region"), section.string("access_key_id")
    section.reject_unknown()
    selected = [store for store in stores if region in ("", store.region) and key_id in ("", store.access_key_id)]
    if not selected:
        section.problems.append(Problem("", f"no store has region {region!r} and access_key_id {key_id!r}"))
    if section.problems:
        raise ConfigError(tuple(section.problems))
    return selected


def _read_faults(body: bytes) -> list[Fault]:
    """Returns the faults in the JSON `body`. Raises ConfigError."""
    try:
        document: Any = json.loads(body)
    except ValueError as error:
        raise ConfigError((Problem("", f"the body must be JSON: {error}"),)) from error
    # A section reads a list only under a key.
    section = Section({"faults": document if isinstance(document, list) else [document]}, "", [])
    faults = [read_fault(item) for item in section.sections("faults", hint="a list of mappings, each with a kind")]
    if section.problems:
        raise ConfigError(tuple(section.problems))
    return [fault for fault in faults if fault]


async def _respond(responder: Responder, scope: Scope, receive: Receive, send: Send) -> None:
    """Responds to one signed request, from its exact bytes."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    request = RawRequest(
        scope["method"], scope["raw_path"].decode("ascii"), scope["query_string"].decode("ascii"), headers
    )
    while (await receive()).get("more_body", False):
        pass
    response, faults = responder.respond(request)
    by_kind = {fault.kind: fault for fault in faults}
    if "delay" in by_kind and await _disconnected(receive, by_kind["delay"].seconds):
        return
    if "close" in by_kind or "reset" in by_kind:
        await _hang_up(receive, reset="reset" in by_kind)
        return
    length = [] if response.chunked else [(b"content-length", b"%d" % len(response.body))]
    encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded + length})
    for piece, pause in _pieces(response, by_kind):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        if pause and await _disconnected(receive, pause):
            return
    if "cut" in by_kind:
        await _hang_up(receive)
        return
    await send({"type": "http.response.body", "body": b""})


def _pieces(response: RawResponse, faults: dict[str, Fault]) -> Iterator[tuple[bytes, float]]:
    """Yields the pieces of the body, each with the seconds to wait after it."""
    size, pause = _PIECE, 0.0
    if "drip" in faults:
        size, pause = faults["drip"].size, faults["drip"].seconds
    end = len(response.body)
    if "cut" in faults:
        end = min(faults["cut"].size or end // 2, end - 1)
    for start in range(0, end, size):
        last = start + size >= end
        yield response.body[start : min(start + size, end)], 0.0 if last else pause


async def _disconnected(receive: Receive, seconds: float) -> bool:
    """Waits up to `seconds`; returns whether the client disconnected."""
    try:
        async with asyncio.timeout(seconds):
            await receive()  # after the whole request, the next message is the disconnect
    except TimeoutError:
        return False
    return True


async def _hang_up(receive: Receive, *, reset: bool = False) -> None:
    """Closes the connection in the middle of a request.

    ASGI has no message for that, and if an application raises or returns early, uvicorn returns 500 or logs an error.
    So this closes the transport itself: uvicorn's `receive` is a method of the object that owns it.
    """
    transport: asyncio.Transport = receive.__self__.transport  # type: ignore[attr-defined]
    if reset:
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()
    await receive()
