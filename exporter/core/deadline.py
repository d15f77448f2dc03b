"""A point in time by which the work must be done. It is passed down and never global."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Deadline:
    """`at` is a reading of the monotonic clock, in seconds.

    It only ever moves later: when a scrape joins a run in progress and may wait longer.
    """

    at: float

    def remaining(self, now: float) -> float:
        """Seconds left at the monotonic time `now`; negative when it has passed."""
        return self.at - now

    def extend(self, at: float) -> None:
        """Move to `at`, if that is later."""
        self.at = max(self.at, at)
