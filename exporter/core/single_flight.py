"""Work that several callers wait for at the same time is done once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from exporter.core.tasks import release

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T] = field(init=False)
    waiters: int = 0


class SingleFlight(Generic[K, T]):
    """Runs of work, by key. A result is shared only between the callers that wait for it; nothing is kept."""

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()
        """All tasks that have not ended, including cancelled ones; the event loop has only weak references to them."""

    def __contains__(self, key: K) -> bool:
        """Whether a run with this key is in progress."""
        return key in self._flights

    async def run(self, key: K, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """The result of `make`, or of the run with this key that is in progress already.

        A run continues while anyone waits for it; when the last waiter is cancelled, so is the run. Objects that
        `make` refers to are held until the key is free again, so a key may contain their ids.

        Raises what `make` raises.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            flight.task = asyncio.create_task(self._make(key, flight, make))
            self._tasks.add(flight.task)
            flight.task.add_done_callback(self._ended)
        flight.waiters += 1
        try:
            await asyncio.wait([flight.task])
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._free(key, flight)  # the next caller gets a new run
                flight.task.cancel()
        return flight.task.result()

    async def _make(self, key: K, flight: _Flight[T], make: Callable[[], Coroutine[object, object, T]]) -> T:
        try:
            return await make()
        except Exception:
            if flight.waiters:
                raise
            log.exception("internal error (please report it)")
            raise asyncio.CancelledError from None  # no waiter would retrieve the exception
        finally:
            self._free(key, flight)
            del flight  # else task, traceback and flight are a cycle, which holds what `make` refers to

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # its outcome is not needed any more
            release(task)

    def _free(self, key: K, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
