"""The stores as an ASGI application: answers are delivered as asked for, also badly; faults are set while it runs.

`GET /-/faults` tells the faults, `POST` adds one (a JSON object) or more (a list of them), `DELETE` removes all. The
parameters `region` and `access_key_id` narrow it to some of the stores. These routes are not signed.
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
from exporter.simulator.messages import Answer, Head
from exporter.simulator.responder import Service
from exporter.simulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

_PIECE: Final = 256 * 1024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def create_app(stores: Store | Sequence[Store]) -> Starlette:
    """The application that serves `stores`; run it with uvicorn, whose connections some faults close."""
    service = Service([stores] if isinstance(stores, Store) else stores)

    async def faults(request: Request) -> Response:
        try:
            chosen = _chosen(service.stores, request)
            added = _read(await request.body()) if request.method == "POST" else []
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        for store in chosen:
            if request.method == "DELETE":
                store.faults.clear()
            for fault in added:
                store.faults.add(fault)
        return JSONResponse(
            [
                {"region": store.region, "access_key_id": store.access_key_id, **fault.shown()}
                for store in chosen
                for fault in store.faults
            ]
        )

    async def wire(scope: Scope, receive: Receive, send: Send) -> None:
        await _serve(service, scope, receive, send)

    return Starlette(routes=[Route("/-/faults", faults, methods=["GET", "POST", "DELETE"]), Mount("/", wire)])


def _chosen(stores: Sequence[Store], request: Request) -> list[Store]:
    """The stores that the parameters of a control request name. Raises ConfigError where they name none."""
    section = Section(dict(request.query_params), "", [])
    region, key_id = section.string("region"), section.string("access_key_id")
    section.reject_unknown()
    chosen = [store for store in stores if region in ("", store.region) and key_id in ("", store.access_key_id)]
    if not chosen:
        section.problems.append(Problem("", f"no store has region {region!r} and access_key_id {key_id!r}"))
    if section.problems:
        raise ConfigError(tuple(section.problems))
    return chosen


def _read(body: bytes) -> list[Fault]:
    """The faults in `body`, JSON. Raises ConfigError."""
    try:
        told: Any = json.loads(body)
    except ValueError as error:
        raise ConfigError((Problem("", f"the body must be JSON: {error}"),)) from error
    # A list needs a name to be read as a section.
    section = Section({"faults": told if isinstance(told, list) else [told]}, "", [])
    faults = [read_fault(item) for item in section.sections("faults", hint="a list of mappings, each with a kind")]
    if section.problems:
        raise ConfigError(tuple(section.problems))
    return [fault for fault in faults if fault]


async def _serve(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One request of a wire: answered from what stood on it, byte for byte."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    head = Head(scope["method"], scope["raw_path"].decode("ascii"), scope["query_string"].decode("ascii"), headers)
    while (await receive()).get("more_body", False):
        pass
    answer, faults = service.answer(head)
    by_kind = {fault.kind: fault for fault in faults}
    if "delay" in by_kind and await _gone(receive, by_kind["delay"].seconds):
        return
    if "close" in by_kind or "reset" in by_kind:
        await _hang_up(receive, reset="reset" in by_kind)
        return
    length = [] if answer.chunked else [(b"content-length", b"%d" % len(answer.body))]
    told = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": told + length})
    for piece, pause in _pieces(answer, by_kind):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        if pause and await _gone(receive, pause):
            return
    if "cut" in by_kind:
        await _hang_up(receive)
        return
    await send({"type": "http.response.body", "body": b""})


def _pieces(answer: Answer, faults: dict[str, Fault]) -> Iterator[tuple[bytes, float]]:
    """The body's pieces, each with the seconds to wait after it."""
    size, pause = _PIECE, 0.0
    if "drip" in faults:
        size, pause = faults["drip"].size, faults["drip"].seconds
    end = len(answer.body)
    if "cut" in faults:
        end = min(faults["cut"].size or end // 2, end - 1)
    for start in range(0, end, size):
        last = start + size >= end
        yield answer.body[start : min(start + size, end)], 0.0 if last else pause


async def _gone(receive: Receive, seconds: float) -> bool:
    """Wait, and tell early if the client goes away meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            await receive()  # past the end of a request the next message is that its client has gone
    except TimeoutError:
        return False
    return True


async def _hang_up(receive: Receive, *, reset: bool = False) -> None:
    """Close the connection in the middle of a request.

    ASGI has no message for that, and an application that raises or returns early makes uvicorn answer 500 or log an
    error. So the transport is asked itself: uvicorn's `receive` is a method of the object that holds it.
    """
    transport: asyncio.Transport = receive.__self__.transport  # type: ignore[attr-defined]
    if reset:
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()
    await receive()
