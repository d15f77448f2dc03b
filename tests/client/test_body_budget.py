from __future__ import annotations

import pytest

from exporter.client.body_budget import FREE_BYTES, SHARED_BYTES, BodyBudget
from exporter.core.errors import TransportError

MIB = 1024 * 1024


def test_usual_bodies_take_nothing():
    """A body of up to FREE_BYTES is allowed even if large ones have used everything."""
    budget = BodyBudget(0)
    with budget.body(16 * MIB) as limit:
        limit.grow(FREE_BYTES)
        with pytest.raises(TransportError, match="exceed 0 bytes together") as caught:
            limit.grow(FREE_BYTES + 1)
    assert (caught.value.reason, caught.value.transient) == ("too_large", False)


def test_large_bodies_share_what_there_is():
    """Bodies take from the budget what they have beyond FREE_BYTES, once, and return it at the end."""
    budget = BodyBudget(10)
    with budget.body(16 * MIB) as first, budget.body(16 * MIB) as second:
        first.grow(FREE_BYTES + 4)
        first.grow(FREE_BYTES + 6)
        second.grow(FREE_BYTES + 4)
        with pytest.raises(TransportError, match="together"):
            second.grow(FREE_BYTES + 5)
        assert budget.left == 0
    assert budget.left == 10


def test_a_failed_body_returns_what_it_took():
    """Whatever ends a body, its share is free again."""
    budget = BodyBudget(10)

    def read():
        with budget.body(2 * MIB) as limit:
            limit.grow(FREE_BYTES + 10)
            limit.grow(2 * MIB + 1)

    with pytest.raises(TransportError, match="larger than 2097152 bytes"):
        read()
    assert budget.left == 10


def test_the_limit_of_one_body_comes_first():
    """A body over its own limit says so, whatever the budget has left."""
    with BodyBudget().body(100) as limit:
        limit.grow(100)
        with pytest.raises(TransportError, match="larger than 100 bytes"):
            limit.grow(101)


def test_the_budget_fits_a_small_container():
    """All large bodies together have 64 MiB: several pages of the maximum size, and far less than a container has."""
    assert SHARED_BYTES == 64 * MIB
