from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.client.rate_limit import RateLimiter
from exporter.core.deadline import Deadline


def turns(limiter, times):
    """The time at which each request made at `times` may be sent."""
    return [now + limiter.reserve(now) for now in times]


def test_no_rate_is_no_limit():
    """With a rate of 0 no request waits."""
    assert turns(RateLimiter(0.0), [5.0] * 1000) == [5.0] * 1000


def test_a_seconds_worth_comes_at_once():
    """As many as the rate allows in a second have their turn at once, the next ones evenly after them."""
    assert turns(RateLimiter(4.0), [100.0] * 7) == pytest.approx([100.0] * 4 + [100.25, 100.5, 100.75])


def test_a_slow_rate_lets_one_go_at_once():
    """Below one request per second, the first is sent at once and each other one waits the whole interval."""
    assert turns(RateLimiter(0.5), [100.0] * 3) == pytest.approx([100.0, 102.0, 104.0])


def test_what_was_not_used_comes_back():
    """After an idle second the whole of a second's worth is there again, and never more."""
    limiter = RateLimiter(2.0)
    assert turns(limiter, [0.0, 0.0, 0.0]) == pytest.approx([0.0, 0.0, 0.5])
    assert turns(limiter, [60.0, 60.0, 60.0]) == pytest.approx([60.0, 60.0, 60.5])


@given(
    rate=st.floats(0.1, 1000),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_the_rate_is_never_exceeded(rate, gaps):
    """Between any two turns there are at most as many as the rate allows, plus one second's worth."""
    times = [sum(gaps[:index]) for index in range(len(gaps))]
    came = sorted(turns(RateLimiter(rate), times))
    for first in range(len(came)):
        for last in range(first, len(came)):
            allowed = rate * (came[last] - came[first]) + max(1.0, rate)
            assert last - first + 1 <= allowed + 1e-6 * len(came)


@given(rate=st.floats(0.1, 1000), times=st.lists(st.floats(0, 100), min_size=1, max_size=50).map(sorted))
def test_no_unnecessary_waiting(rate, times):
    """A request made after all others have had their turn does not wait."""
    limiter = RateLimiter(rate)
    turns(limiter, times)
    later = times[-1] + (len(times) + 1) / rate + 1
    assert limiter.reserve(later) == pytest.approx(0.0, abs=1e-9)


def test_a_deadline_only_moves_later():
    """A deadline returns its remaining time, and can be extended but not shortened."""
    deadline = Deadline(10.0)
    assert (deadline.remaining(4.0), deadline.remaining(12.0)) == (6.0, -2.0)
    deadline.extend(9.0)
    assert deadline.at == 10.0
    deadline.extend(11.0)
    assert deadline.at == 11.0


def test_a_released_turn_is_reused():
    """A released turn goes to the next request."""
    limiter = RateLimiter(2.0)
    waits = [limiter.reserve(0.0) for _ in range(4)]
    limiter.release()
    assert limiter.reserve(0.0) == waits[-1]
