"""An ASGI application served over real sockets for the time of a `with`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp


@contextlib.contextmanager
def serve(app: ASGIApp, *, certfile: Path | None = None, keyfile: Path | None = None) -> Iterator[str]:
    """Yields the base URL of `app` on loopback; https if there is a certificate.

    It runs in a thread with an event loop of its own. At the end, requests in progress have one second left.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        loop="asyncio",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),), name=f"serve:{port}")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), pause=0.002)
        if not server.started:
            raise RuntimeError("the server did not start")
        yield f"{'https' if certfile else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
