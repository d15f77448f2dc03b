"""A rate limit as a token bucket that returns waiting times."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RateLimiter:
    """At most `rate` requests a second on average, a second's worth of them at once; 0: no limit."""

    rate: float
    _full_at: float = field(default=float("-inf"))
    """When the bucket will be full again, in seconds of the monotonic clock."""

    def reserve(self, now: float) -> float:
        """Reserve a request at the monotonic time `now`; it may be sent after the returned number of seconds."""
        if not self.rate:
            return 0.0
        gap = 1.0 / self.rate
        self._full_at = max(self._full_at, now) + gap
        return max(0.0, self._full_at - now - max(1.0, gap))

    def release(self) -> None:
        """Cancel one reservation."""
        if self.rate:
            self._full_at -= 1.0 / self.rate
