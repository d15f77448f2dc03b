"""One connection of a client: uvicorn's protocol for HTTP/1.1, with limits on what a client may keep open."""

from __future__ import annotations

import logging
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.web.clients import ABORT
from exporter.web.log_limit import LimitedLog
from exporter.web.router import HEADERS

if TYPE_CHECKING:
    import asyncio

    from uvicorn import Config
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle
    from uvicorn.server import ServerState

REQUEST_SECONDS: Final = 10.0
"""From the start of a connection, or the first byte of a later request, until the request is whole."""

IDLE_SECONDS: Final = 75
"""How long a connection is kept after a response: longer than the usual scrape interval of 60 seconds."""

UNREAD_SECONDS: Final = 10.0
"""How long a client may read nothing of a response, or of the end of its last one; then it is disconnected."""

_BAD_REQUEST: Final = LimitedLog(
    logging.getLogger(__name__), "bad request: this is not HTTP/1.1, or its head is too long"
)


class Connection(H11Protocol):
    """A connection that ends if its request does not become whole, or if the client does not read."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state | {ABORT: self.abort}, _loop)
        self.quiet_since = self.loop.time()
        """When it was opened, or its last response was complete; on the clock of the event loop."""
        self._limit: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def in_progress(self) -> bool:
        """Whether it has a request without a complete response."""
        return self._latest is not None and not self._latest.response_complete

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The latest request; None before the first one, which uvicorn's types conceal."""
        return self.cycle

    @property
    def unsent(self) -> bool:
        """Whether the client has still something to read."""
        return self.in_progress or self.transport.get_write_buffer_size() > 0

    def abort(self) -> None:
        """Disconnect at once. What is still to be sent is lost; `transport.close` would wait for the client."""
        if self._latest is not None:
            self._latest.disconnected = True
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in its base
        """The client has connected, and owes a request."""
        super().connection_made(transport)
        self._limit_request()

    def data_received(self, data: bytes) -> None:
        """A part of a request."""
        super().data_received(data)
        self._limit_request()

    def _limit_request(self) -> None:
        """Start the limit when a request begins, and end it when the request is whole."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._unlimit()
        elif self._limit is None and not self.transport.is_closing():
            self._limit = self.loop.call_later(REQUEST_SECONDS, self.abort)

    def _unlimit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def pause_writing(self) -> None:
        """The client does not read what was sent."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.abort)

    def resume_writing(self) -> None:
        """The client has read nearly all that was sent."""
        super().resume_writing()
        self._has_read()

    def _has_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def on_response_complete(self) -> None:
        """The last byte of the response is in the buffer of the connection."""
        super().on_response_complete()
        self.quiet_since = self.loop.time()
        if self.transport.is_closing():  # it closes when the client has read all
            self._unlimit()
            self._limit = self.loop.call_later(UNREAD_SECONDS, self.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection: it was idle for IDLE_SECONDS, or its client has read nothing for as long."""
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._has_read()
        self._unlimit()

    def _should_upgrade(self) -> bool:
        """Upgrades are ignored, as RFC 9110 allows; uvicorn would advise to install packages."""
        return False

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read: 400, or the status that h11 suggests, such as 431 for a head that is too long."""
        _BAD_REQUEST.warning(client=self.client[0] if self.client else "")
        if self.in_progress:  # an earlier request on this connection is being answered: this is no time to respond
            self.abort()
            return
        error = sys.exception()
        status = HTTPStatus(error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400)
        text = f"{msg}\n".encode()
        headers = {
            **HEADERS,
            "content-type": "text/plain; charset=utf-8",
            "content-length": str(len(text)),
            "connection": "close",
        }
        head = h11.Response(status_code=status, headers=[*headers.items()], reason=status.phrase)
        for event in (head, h11.Data(text), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
