"""Where work runs: short computations in turns on the event loop, long ones and calls that wait in threads."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

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
        """The result of `work`, which should take a few milliseconds at most. Raises what `work` raises."""
        async with self._lock:
            await asyncio.sleep(0)  # other tasks run between two computations
            return work(*args, **kwargs)


class Worker:
    """One thread for computations that are too long for the event loop; it runs them one after the other.

    Two threads would share the interpreter's lock, need twice the memory, and take a fifth more CPU time than one.
    Nothing that waits for names, files or networks runs here, so nothing can block it.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = asyncio.Lock()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`. Raises what `work` raises.

        If cancelled, it ends when the thread holds nothing of `args` any more.
        """
        async with self._lock:  # so that the thread's own queue never holds calls that were cancelled
            call = asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))
            try:
                return await asyncio.shield(call)
            except asyncio.CancelledError:
                await asyncio.wait([call])
                raise


class WaitingThreads(ThreadPoolExecutor):
    """A new thread for each call; none of them is joined at exit.

    The event loop resolves names in its default executor and reads files there. Both can hang for longer than any
    deadline; in a pool of a few threads, a few calls that hang would block all others, and the end of the process.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 - as its base
        """The future of `fn`, called in a new thread."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="wait", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as its base
        """Do not wait for calls that hang."""
        del wait, cancel_futures
