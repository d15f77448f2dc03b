from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.client.rate_limit import RateLimiter
from exporter.core.deadline import Deadline


def turns(pace, times):
    """When each of those who ask at `times` has its turn."""
    return [now + pace.reserve(now) for now in times]


def test_no_rate_is_no_limit():
    """With a rate of 0 nobody waits."""
    assert turns(RateLimiter(0.0), [5.0] * 1000) == [5.0] * 1000


def test_a_seconds_worth_comes_at_once():
    """As many as the rate allows in a second have their turn at once, the next ones evenly after them."""
    assert turns(RateLimiter(4.0), [100.0] * 7) == pytest.approx([100.0] * 4 + [100.25, 100.5, 100.75])


def test_a_slow_rate_lets_one_go_at_once():
    """Below one a second, the first has its turn at once and each other waits the whole gap."""
    assert turns(RateLimiter(0.5), [100.0] * 3) == pytest.approx([100.0, 102.0, 104.0])


def test_what_was_not_used_comes_back():
    """After an idle second the whole of a second's worth is there again, and never more."""
    pace = RateLimiter(2.0)
    assert turns(pace, [0.0, 0.0, 0.0]) == pytest.approx([0.0, 0.0, 0.5])
    assert turns(pace, [60.0, 60.0, 60.0]) == pytest.approx([60.0, 60.0, 60.5])


@given(
    rate=st.floats(0.1, 1000),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_no_second_has_more_than_its_share(rate, gaps):
    """Whoever asks when: between any two turns there are no more than the rate allows, and a second's worth."""
    times = [sum(gaps[:index]) for index in range(len(gaps))]
    came = sorted(turns(RateLimiter(rate), times))
    for first in range(len(came)):
        for last in range(first, len(came)):
            allowed = rate * (came[last] - came[first]) + max(1.0, rate)
            assert last - first + 1 <= allowed + 1e-6 * len(came)


@given(rate=st.floats(0.1, 1000), times=st.lists(st.floats(0, 100), min_size=1, max_size=50).map(sorted))
def test_nobody_waits_without_need(rate, times):
    """Who asks slower than the rate, or after all others have had their turn, does not wait."""
    pace = RateLimiter(rate)
    turns(pace, times)
    later = times[-1] + (len(times) + 1) / rate + 1
    assert pace.reserve(later) == pytest.approx(0.0, abs=1e-9)


def test_a_deadline_moves_later_only():
    """A deadline knows what is left of it, and extends, but never comes nearer."""
    deadline = Deadline(10.0)
    assert (deadline.remaining(4.0), deadline.remaining(12.0)) == (6.0, -2.0)
    deadline.extend(9.0)
    assert deadline.at == 10.0
    deadline.extend(11.0)
    assert deadline.at == 11.0


def test_a_turn_given_back_is_the_next_one_s():
    """Who gives up waiting costs the others nothing: the next turn comes when the unused one would have."""
    pace = RateLimiter(2.0)
    waits = [pace.reserve(0.0) for _ in range(4)]
    pace.release()
    assert pace.reserve(0.0) == waits[-1]
