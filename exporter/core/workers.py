"""Where work runs that must not hold up the event loop: computing in few threads, waiting in as many as it takes."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """Runs computations on the event loop, one at a time, with a pass of the loop before each.

    A computation takes a few milliseconds. In a thread it would hold the interpreter for its switch interval (5 ms)
    each time the event loop wants it, which costs more than it saves.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns; it has a few milliseconds. Raises what `work` raises."""
        async with self._lock:
            await asyncio.sleep(0)  # so that everybody else is served between two computations
            return work(*args, **kwargs)


class Lane:
    """A thread for computing, which does what it is given in turn.

    Two of them at the same work would share the interpreter's lock, hold twice the memory, and take a fifth more of CPU
    time than one. No waiting for names, files or networks can take a lane away.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` gives."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))


reading: Final = Lane("read")
"""For parsing pages and choosing jobs."""

rendering: Final = Lane("render")
"""For text. Beside `reading`, because compressing leaves the interpreter to others."""


class WaitingThreads(ThreadPoolExecutor):
    """A thread for each call, and none of them is waited for at the end.

    The event loop looks names up in its default executor, and files are read there. Both can hang for longer than any
    deadline; with a pool of few threads, a few that hang would stop all others, and the end of the process too.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 - as its base
        """Call `fn` in a thread of its own."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="wait", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as its base
        """Leave what hangs behind."""
        del wait, cancel_futures
