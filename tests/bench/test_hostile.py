from __future__ import annotations

import pytest

from bench import soak

SCRAPES = 24
MAX_RESIDENT = 400
"""MiB, of 30 targets and fewer; the shipped limit of a container is 512."""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", soak.HOSTILE)
def test_memory_stays_flat_without_the_garbage_collector(name):
    """Whatever a store sends, the resident memory of the process does not grow from scrape to scrape."""
    curve = soak.hostile(name, SCRAPES)
    assert soak.judge(curve, soak.allowed_growth(name)) == []
    assert curve[-1].peak < MAX_RESIDENT
