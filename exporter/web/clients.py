"""Clients that leave, and clients that do not read: neither may hold what others need."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exporter.web.log_limit import LimitedLog

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Coroutine

    from starlette.types import Receive, Send

ABORT: Final = "abort"
"""The key of `Connection.abort` in the `state` of a request's scope."""

PIECE_BYTES: Final = 256 * 1024
"""Of a body passed to the connection at once: a client that stalls holds no more than this in its buffer."""

SEND_SECONDS: Final = 60.0
"""A client that has not read its response by then is disconnected."""

STALL_SECONDS: Final = 10.0
"""A client that reads nothing for so long is disconnected."""

MAX_UNSENT_BYTES: Final = 64 * 1024 * 1024
"""Of all bodies that wait to be sent, each one counted once.

Beyond it, clients that stall are disconnected earlier; beyond twice as much, the one that stalls for longest at once.
"""

CROWDED_STALL_SECONDS: Final = 1.0
"""How long a client may read nothing while more than MAX_UNSENT_BYTES wait."""

T = TypeVar("T")

_UNREAD: Final = LimitedLog(
    logging.getLogger(__name__), "a client did not read its response in time and was disconnected"
)


class ClientLeft(Exception):
    """The client disconnected before its response was made."""


async def unless_left(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. Raises ClientLeft as soon as the client disconnects; `work` is cancelled then."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@dataclass(eq=False, slots=True)
class _Sending:
    """A response that is being sent."""

    blocks: deque[bytes]
    """What the connection has not taken yet; other responses may share the same bytes."""
    disconnect: Callable[[], None]
    progress: float
    """When the client read something the last time, on the clock of the event loop."""


class Outbox:
    """The bodies that are being sent. It disconnects clients that do not read them."""

    def __init__(self) -> None:
        self._sending: set[_Sending] = set()
        self._next_look: asyncio.TimerHandle | None = None
        """At the clients, while too much waits; one at a time."""

    async def send(self, blocks: deque[bytes], disconnect: Callable[[], None], send: Send) -> None:
        """Send `blocks`, which are taken out one by one, or call `disconnect`."""
        sending = _Sending(blocks, disconnect, asyncio.get_running_loop().time())
        self._sending.add(sending)
        self._make_room()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._send(sending, send)
        except TimeoutError:
            self._disconnect(sending)
        finally:
            self._sending.discard(sending)

    async def _send(self, sending: _Sending, send: Send) -> None:
        """Send all blocks. Raises TimeoutError if the client reads nothing for STALL_SECONDS."""
        while sending.blocks:
            block = sending.blocks[0]
            for start in range(0, len(block), PIECE_BYTES):
                piece = block[start : start + PIECE_BYTES]
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                sending.progress = asyncio.get_running_loop().time()
                await asyncio.sleep(0)  # otherwise a fast reader gets all of it in one pass of the event loop
            if sending.blocks:  # none are left if it was disconnected meanwhile
                sending.blocks.popleft()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _make_room(self) -> None:
        """Disconnect the clients that have read nothing for the longest time, until the rest is within its limit."""
        loop = asyncio.get_running_loop()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        while len(self._sending) > 1 and (unsent := self._unsent()) > MAX_UNSENT_BYTES:
            slowest = min(self._sending, key=lambda sending: sending.progress)
            stalls = loop.time() - slowest.progress
            if stalls < CROWDED_STALL_SECONDS and unsent <= 2 * MAX_UNSENT_BYTES:
                self._next_look = loop.call_later(CROWDED_STALL_SECONDS, self._make_room)
                return
            self._disconnect(slowest)
            self._sending.discard(slowest)

    def _unsent(self) -> int:
        blocks = {id(block): len(block) for sending in self._sending for block in sending.blocks}
        return sum(blocks.values())

    def _disconnect(self, sending: _Sending) -> None:
        _UNREAD.warning()
        sending.blocks.clear()
        sending.disconnect()
