"""A token bucket, told as times: who asks is told how long to wait."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RateLimiter:
    """At most `rate` turns a second on average, a second's worth of them at once; 0: as many as are asked for."""

    rate: float
    _full_at: float = field(default=float("-inf"))
    """When the bucket will be full again, in seconds of the monotonic clock."""

    def wait(self, now: float) -> float:
        """Take a turn at the monotonic time `now`; it comes after so many seconds."""
        if not self.rate:
            return 0.0
        gap = 1.0 / self.rate
        self._full_at = max(self._full_at, now) + gap
        return max(0.0, self._full_at - now - max(1.0, gap))

    def give_back(self) -> None:
        """A turn that was taken will not be used."""
        if self.rate:
            self._full_at -= 1.0 / self.rate
