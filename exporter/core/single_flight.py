"""Work that several wait for at the same time is done once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Sequence

T = TypeVar("T")

log = logging.getLogger(__name__)


class Shared(Generic[T]):
    """Pieces of work under way. A result is held by those who waited for it, not here."""

    def __init__(self) -> None:
        self._running: dict[Hashable, tuple[Sequence[object], asyncio.Task[T]]] = {}

    async def once(self, of: Sequence[object], form: Hashable, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """What `make` gives; who asks while it is being made of these very objects, in an equal form, gets the same.

        Who gives up ends it for nobody. Raises what `make` raises.
        """
        key = (form, *map(id, of))
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = of, asyncio.create_task(make())  # `of` is held: no other gets these ids
            running[1].add_done_callback(lambda task: self._ended(key, task))
        return await asyncio.shield(running[1])

    def _ended(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._running[key]
        if not task.cancelled() and (error := task.exception()) is not None:  # told also where nobody waits any more
            log.error("a fault of the exporter itself; please report it", exc_info=error)
