"""Limits the memory of all response bodies that are being read or parsed at the same time."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator

FREE_BYTES: Final = 1024 * 1024
"""Of each body, which count for nothing: a usual page is smaller, so large bodies of others never affect it."""

SHARED_BYTES: Final = 48 * 1024 * 1024
"""What all bodies together may have beyond their FREE_BYTES."""


class BodyBudget:
    """What is left for large bodies, in bytes."""

    def __init__(self, shared: int = SHARED_BYTES) -> None:
        self.shared = shared
        self.left = shared

    @contextlib.contextmanager
    def body(self, max_bytes: int) -> Iterator[BodyLimit]:
        """The limit of one body, which is held in memory until the end of the `with`."""
        limit = BodyLimit(self, max_bytes)
        try:
            yield limit
        finally:
            self.left += limit.taken


@dataclass(slots=True)
class BodyLimit:
    """What one body may have: `max_bytes`, and no more than its budget has left."""

    budget: BodyBudget
    max_bytes: int
    taken: int = 0
    """Bytes of the budget."""

    def grow(self, size: int) -> None:
        """Account for a body that now has `size` bytes. Raises TransportError if that is too large."""
        if size > self.max_bytes:
            raise TransportError(f"the response is larger than {self.max_bytes} bytes", reason="too_large")
        more = max(0, size - FREE_BYTES) - self.taken
        if more > self.budget.left:
            raise TransportError(
                f"all responses being read exceed {self.budget.shared} bytes together; this one already has {size},"
                " which no page of jobs needs: check endpoint and page_size",
                reason="too_large",
            )
        self.budget.left -= more
        self.taken += more
