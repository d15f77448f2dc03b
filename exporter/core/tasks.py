"""Tasks that have ended: what they keep of their work."""

from __future__ import annotations

import asyncio
from typing import Any

from exporter.core.errors import ScrapeError


def release(task: asyncio.Task[Any]) -> None:
    """Have an ended `task` drop the frames in which it was cancelled or failed, with the pages in them.

    Such frames often refer to the task, and then nothing but the garbage collector would free them, which counts
    objects and not bytes. The exception of a bug keeps its traceback.
    """
    try:
        task.result()  # a task keeps the frames until it has raised them once
    except ScrapeError as error:
        error.detached()
    except asyncio.CancelledError:
        pass
    except Exception:  # noqa: BLE001, S110 - it is raised again where the task is awaited
        pass
