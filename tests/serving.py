"""An ASGI application served over real sockets for the time of a `with`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

from exporter.web import server
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp


@contextlib.contextmanager
def serve(app: ASGIApp, *, certfile: Path | None = None, keyfile: Path | None = None) -> Iterator[str]:
    """Yields the base URL of `app` on loopback; https if there is a certificate.

    It is the exporter's own server, in a thread with its own event loop. At the end, requests have one second left.
    """
    config = server.configure(app)
    config.lifespan = "auto"
    tls = None
    if certfile:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certfile, keyfile)
    running = server.Server(config, shutdown_timeout=1, tls=tls)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=asyncio.run, args=(running.serve(sockets=[listener]),), name=f"serve:{port}")
    thread.start()
    try:
        until(lambda: running.started or not thread.is_alive(), pause=0.002)
        if not running.started:
            raise RuntimeError("the server did not start")
        yield f"{'https' if certfile else 'http'}://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join()
        listener.close()
