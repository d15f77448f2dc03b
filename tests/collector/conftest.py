"""Fixtures of the tests that share the simulated store."""

from __future__ import annotations

import pytest

from tests.rig import target_at


@pytest.fixture
def target(store_url):
    """Makes the target that the fixture `store` serves, with the given settings."""

    def made(**settings):
        return target_at(store_url, page_size=10, **settings)

    return made
