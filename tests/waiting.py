"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(
    condition: Callable[[], T], *, seconds: float = 30.0, pause: float = 0.02, state: Callable[[], object] = str
) -> T:
    """Returns the first true value of `condition`, which is called every `pause` seconds.

    Raises AssertionError after `seconds`, with what `state` returns as the message.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, state()
        time.sleep(pause)
    return value
