"""Sockets and the HTTP server on them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Final

import uvicorn

from exporter.core.errors import ExporterError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from starlette.types import ASGIApp

GRACE_SECONDS: Final = 8
"""How long scrapes in flight may take after SIGTERM; less than the 10 seconds that container engines wait."""

LAST_SECONDS: Final = 3
"""How much of that is kept for rendering and sending after the listings in progress are ended."""

IDLE_SECONDS: Final = 75
"""How long an idle connection of a client is kept: longer than the usual scrape interval of 60 seconds."""

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")
_LARGEST_PORT: Final = 65535


class AddressError(ExporterError):
    """A listen address is invalid, or cannot be bound."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `:port` or `[address]:port`; an empty host means every interface."""
    match = _ADDRESS.fullmatch(text)
    if not match or int(match["port"]) > _LARGEST_PORT:
        raise AddressError(f"{text!r} is not a listen address; write host:port or :port, as in 127.0.0.1:10083")
    return match["host"].strip("[]"), int(match["port"])


def listen(host: str, port: int) -> list[socket.socket]:
    """Bound sockets for every address of `host`. Raises AddressError, and then leaves no socket open."""
    with contextlib.ExitStack() as opened:
        try:
            if not host and socket.has_dualstack_ipv6():
                everywhere = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
                return [everywhere]
            found = []
            infos = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, address in infos:
                found.append(opened.enter_context(socket.create_server(address[:2], family=family)))
        except OSError as error:
            why = (error.strerror or str(error)).partition(" (while ")[0]  # socket adds the address, in its own form
            raise AddressError(f"cannot listen on {host}:{port}: {why}") from error
        opened.pop_all()
        return found


async def serve(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    *,
    tls: ssl.SSLContext | None = None,
    before_end: Callable[[], None] = lambda: None,
) -> None:
    """Answer on `sockets` until SIGINT or SIGTERM; then end the requests in flight within GRACE_SECONDS.

    `before_end` is called LAST_SECONDS before that, and ends the listings that the requests wait for.
    """
    await _Server(_config(app, tls), before_end).serve(sockets=list(sockets))


@contextlib.contextmanager
def serving(app: ASGIApp, sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Answer on `sockets` in a separate thread, while another server handles the signals."""
    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": list(sockets)}, name="beside", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """A server that calls `before_end` before it cancels the requests in flight."""

    def __init__(self, config: uvicorn.Config, before_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_end = before_end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no new requests, and finish those in flight."""
        last_call = asyncio.get_running_loop().call_later(GRACE_SECONDS - LAST_SECONDS, self._before_end)
        try:
            await super().shutdown(sockets)
        finally:
            last_call.cancel()


def _config(app: ASGIApp, tls: ssl.SSLContext | None = None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    config.load()
    config.ssl = tls  # its own settings can only name files
    return config
