"""The HTTP server: it accepts connections, as many as there may be, and ends them in time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import resource
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Final, cast

import uvicorn

from exporter.web.connection import IDLE_SECONDS, REQUEST_SECONDS, Connection
from exporter.web.log_limit import LimitedLog
from exporter.web.router import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.types import ASGIApp

MAX_CONNECTIONS: Final = 1000
"""Open connections of clients. One more takes the place of one without a request, or is closed."""

FILES_SHARE: Final = 4
"""If few files may be open, only one in so many is a connection of a client; the others are for calls to services."""

ACCEPTS_AT_ONCE: Final = 16
"""Connections accepted in one pass of the event loop: while it is busy, a new client waits for few passes only."""

ACCEPT_PAUSE_SECONDS: Final = 1.0
"""Until the next connection is accepted, if the system had no file or memory for the last one."""

SHUTDOWN_SECONDS: Final = 10.0
"""From SIGTERM to the end, at most, however long scrapes in flight would take."""

LISTING_SHARE: Final = 0.7
"""Of that time: then the listings in progress end, and what they read is rendered and sent."""

SENDING_SHARE: Final = 0.9
"""Of that time: then the clients that have not read their responses are disconnected."""

NO_TLS: Final = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
"""The response to plain HTTP, if TLS is on; it is that of Go's servers."""

POLL_SECONDS: Final = 0.05
"""How often the end of the last response is looked for."""

log = logging.getLogger(__name__)

_ACCEPT_FAILED: Final = LimitedLog(log, "cannot accept a connection")
_TOO_MANY: Final = LimitedLog(log, "too many connections with a request in progress: closed a new one")


def max_connections() -> int:
    """How many connections of clients may be open, by MAX_CONNECTIONS and the limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, soft // FILES_SHARE))


def _nothing() -> None:
    pass


async def serve(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    *,
    tls: ssl.SSLContext | None = None,
    shutdown_timeout: float = SHUTDOWN_SECONDS,
    on_stop: Callable[[], None] = _nothing,
    before_end: Callable[[], None] = _nothing,
) -> None:
    """Answer on `sockets` until SIGINT or SIGTERM; then end the requests in flight.

    That takes at most `shutdown_timeout` seconds. `on_stop` is called first; `before_end` after LISTING_SHARE of it, if
    requests still wait.
    """
    await Server(configure(app), shutdown_timeout, on_stop, before_end, tls).serve(sockets=list(sockets))


@contextlib.contextmanager
def serving(app: ASGIApp, sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Answer on `sockets` in a separate thread, while another server handles the signals."""
    server = Server(configure(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": list(sockets)}, name="beside", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


def configure(app: ASGIApp) -> uvicorn.Config:
    """The configuration of uvicorn. None of it comes from uvicorn's own environment variables."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        workers=1,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


class Server(uvicorn.Server):
    """uvicorn's server with a limit on connections, and an end in time.

    It accepts connections itself: asyncio accepts many at a time without counting them, and if there are no files left
    it logs that for each of them.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        shutdown_timeout: float = SHUTDOWN_SECONDS,
        on_stop: Callable[[], None] = _nothing,
        before_end: Callable[[], None] = _nothing,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._timeout = shutdown_timeout
        self._on_stop = on_stop
        self._before_end = before_end
        self._accepting: list[asyncio.Task[None]] = []
        self._joining: dict[asyncio.Task[None], socket.socket] = {}
        """Connections without a protocol yet: it takes a pass of the event loop, and the handshake of TLS."""

    @property
    def _connections(self) -> set[Connection]:
        return cast("set[Connection]", self.server_state.connections)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections on `sockets`."""
        await super().startup(sockets=[])
        self._accepting = [asyncio.create_task(self._accept(listener)) for listener in sockets or ()]

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)  # noqa: FBT003 - the standard library's
        for count in itertools.count(1):
            try:
                peer, _ = await loop.sock_accept(listener)
            except OSError as error:
                _ACCEPT_FAILED.warning(error=error.strerror)
                self._free_one()
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            joining = len(self._joining) * (2 if self._tls else 1)  # a handshake has two files
            if len(self._connections) + joining >= max_connections() and not await self._make_room():
                _TOO_MANY.warning()
                peer.close()
            else:
                task = loop.create_task(self._join(peer))
                self._joining[task] = peer
                task.add_done_callback(self._joined)
            if count % ACCEPTS_AT_ONCE == 0:
                await asyncio.sleep(0)  # many connections at once must not keep others waiting

    async def _join(self, peer: socket.socket) -> None:
        """Give the connection its protocol."""
        state, loop = self.lifespan.state, asyncio.get_running_loop()
        with contextlib.ExitStack() as kept, contextlib.suppress(OSError):  # the client has left
            if self._tls:  # asyncio closes its connection when the handshake fails
                rest = kept.enter_context(contextlib.closing(peer.dup()))
            if peer.family != socket.AF_UNIX:  # else a body waits 40 ms for the acknowledgment of its head
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so only if it knows `proto`
            try:
                await loop.connect_accepted_socket(
                    lambda: Connection(self.config, self.server_state, state, loop),
                    peer,
                    ssl=self._tls,
                    ssl_handshake_timeout=REQUEST_SECONDS if self._tls else None,
                )
            except ssl.SSLError as error:
                if getattr(error, "reason", "") == "HTTP_REQUEST":  # an error of Python's own has none
                    rest.send(NO_TLS)

    async def _make_room(self) -> bool:
        """Close one connection without a request, or end the longest handshake. Returns whether there is one."""
        if self._joining and self._tls is not None:  # usually it takes milliseconds, so the client is silent
            longest = next(iter(self._joining))
            longest.cancel()
            await asyncio.wait({longest})  # else a burst of clients would end the same one again and again
            return True
        if self._joining:
            await asyncio.wait(self._joining)
        return self._free_one()

    def _joined(self, task: asyncio.Task[None]) -> None:
        peer = self._joining.pop(task)
        if task.cancelled():
            peer.close()
        elif (error := task.exception()) is not None:
            log.error("internal error (please report it)", exc_info=error)

    def _free_one(self) -> bool:
        """Close the connection without a request that is quiet for longest. Returns whether there is one."""
        quiet = [connection for connection in self._connections if not connection.in_progress]
        if not quiet:
            return False
        longest = min(quiet, key=lambda connection: connection.quiet_since)
        self._connections.discard(longest)  # asyncio calls `connection_lost` only later
        longest.abort()
        return True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no new connections, finish the requests in flight, and disconnect who is left at the end."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listener in sockets or ():
            listener.close()
        self._on_stop()
        loop = asyncio.get_running_loop()
        last_call = loop.call_later(LISTING_SHARE * self._timeout, self._before_end)
        end = loop.time() + SENDING_SHARE * self._timeout
        while any(connection.unsent for connection in self._connections) and loop.time() < end and not self.force_exit:
            for connection in [*self._connections]:
                if connection.in_progress:
                    connection.shutdown()  # it closes after its response
            await asyncio.sleep(POLL_SECONDS)
        last_call.cancel()
        late = sum(connection.unsent for connection in self._connections)
        if late and not self.force_exit:
            log.warning("clients did not read their responses until the end: disconnected", extra={"clients": late})
        for connection in [*self._connections]:
            connection.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=(1 - SENDING_SHARE) * self._timeout)
        await self.lifespan.shutdown()
