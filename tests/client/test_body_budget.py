from __future__ import annotations

import pytest

from exporter.client.body_budget import FREE_BYTES, SHARED_BYTES, BodyBudget
from exporter.core.errors import TransportError

MIB = 1024 * 1024


def test_small_bodies_use_no_budget():
    """A body of up to FREE_BYTES is allowed even if large ones have used up the budget."""
    budget = BodyBudget(0)
    with budget.body(16 * MIB) as limit:
        limit.grow(FREE_BYTES)
        with pytest.raises(TransportError, match="exceed 0 bytes together") as caught:
            limit.grow(FREE_BYTES + 1)
    assert (caught.value.reason, caught.value.transient) == ("too_large", False)


def test_large_bodies_share_the_budget():
    """Bodies use the shared budget for the bytes beyond FREE_BYTES, once, and release it at the end."""
    budget = BodyBudget(10)
    with budget.body(16 * MIB) as first, budget.body(16 * MIB) as second:
        first.grow(FREE_BYTES + 4)
        first.grow(FREE_BYTES + 6)
        second.grow(FREE_BYTES + 4)
        with pytest.raises(TransportError, match="together"):
            second.grow(FREE_BYTES + 5)
        assert budget.left == 0
    assert budget.left == 10


def test_a_failed_body_releases_its_share():
    """A body that fails releases its share of the budget."""
    budget = BodyBudget(10)

    def read():
        with budget.body(2 * MIB) as limit:
            limit.grow(FREE_BYTES + 10)
            limit.grow(2 * MIB + 1)

    with pytest.raises(TransportError, match="larger than 2097152 bytes"):
        read()
    assert budget.left == 10


def test_a_body_s_own_limit_is_checked_first():
    """A body over its own limit reports that limit, whatever is left of the budget."""
    with BodyBudget().body(100) as limit:
        limit.grow(100)
        with pytest.raises(TransportError, match="larger than 100 bytes"):
            limit.grow(101)


def test_the_budget_fits_a_small_container():
    """All large bodies together may use 48 MiB: several pages of the maximum size, but little for a container."""
    assert SHARED_BYTES == 48 * MIB
