"""Log lines about what clients do, which a bad client must not be able to multiply."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

PAUSE_SECONDS: Final = 1.0
"""Between two lines about events of the same kind."""


class LimitedLog:
    """Logs events of one kind, at most one line in PAUSE_SECONDS.

    The next line has the number of events that had none, in the field `unlogged`.
    """

    def __init__(self, log: logging.Logger, message: str) -> None:
        self._log = log
        self._message = message
        self._silent_until = 0.0
        self._unlogged = 0

    def warning(self, **fields: object) -> None:
        """Log one event with `fields`, if the last line is old enough."""
        now = time.monotonic()
        if now < self._silent_until:
            self._unlogged += 1
            return
        if self._unlogged:
            fields["unlogged"] = self._unlogged
        self._log.warning(self._message, extra=fields)
        self._silent_until, self._unlogged = now + PAUSE_SECONDS, 0
