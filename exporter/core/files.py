"""Files that others write: neither a named pipe nor a mount that hangs may cost a thread at each scrape."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")


def require_regular(file: Path, *, or_pipe: bool = False) -> None:
    """Raises OSError if `file` is, after links, no regular file: opening a named pipe waits until something writes.

    A folder is left to who opens it, which fails at once, and /dev/null is an empty file. `or_pipe`: a pipe without a
    name, such as `<(command)` of a shell, is good too; its second reader gets no content.
    """
    mode = file.stat().st_mode
    unnamed_pipe = stat.S_ISFIFO(mode) and not file.resolve().exists()
    good = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or str(file) == os.devnull or (or_pipe and unnamed_pipe)
    if not good:
        raise OSError(errno.EINVAL, "not a regular file")


class Readings:
    """Calls that read files, each in a thread. A reading that hangs is joined, and not started again."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, asyncio.Future[Any]] = {}

    async def run(self, key: Hashable, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `read`, or of the call with this `key` that is in progress. Raises what it raises.

        A caller that is cancelled ends only its own waiting: nothing can end the thread.
        """
        call: asyncio.Future[T] | None = self._calls.get(key)
        if call is None:
            call = self._calls[key] = asyncio.ensure_future(asyncio.to_thread(read, *args, **kwargs))
            call.add_done_callback(lambda done: self._ended(key, done))
        await asyncio.wait([call])
        return call.result()

    def _ended(self, key: Hashable, call: asyncio.Future[Any]) -> None:
        del self._calls[key]
        if not call.cancelled():
            call.exception()  # retrieved, also if every caller has left
