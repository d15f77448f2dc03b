from __future__ import annotations

import asyncio
import gzip
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.exposition import families
from exporter.exposition.renderer import WORTH_SENDING, Form, Renderer, _coalesced
from exporter.exposition.self_metrics import OPENMETRICS_END, SelfMetrics
from tests.exposition.strategies import scrapes, small_slices


@pytest.fixture(scope="module")
def metrics():
    """Own metrics that do not change from answer to answer."""
    return SelfMetrics(version="1.2.3", revision="abc", process=False)


async def answer(renderer, scrape, form):
    """The body of an answer about the listings `scrape`."""
    targets = await asyncio.gather(*(renderer.blocks(listing, form) for listing in scrape))
    return b"".join(await renderer.body(targets, form))


@settings(max_examples=50)
@given(scrapes, st.booleans(), st.booleans())
def test_gzip_is_the_text_packed(metrics, scrape, openmetrics, own):
    """In either format, with own metrics and without, unpacking the answer with gzip gives the one without it."""

    async def answers():
        renderer = Renderer(metrics)
        forms = [Form(openmetrics=openmetrics, gzip=packed, own=own) for packed in (False, True, True)]
        with small_slices():
            return [await answer(renderer, scrape, form) for form in forms]

    plain, *packed = asyncio.run(answers())
    assert plain.startswith(b"".join(families.assemble([*map(families.blocks, scrape)])))
    assert plain.endswith(OPENMETRICS_END) == openmetrics
    assert (b"batchops_api_request_duration_seconds" in plain) == own
    assert [gzip.decompress(body) for body in packed] == [plain, plain]


sizes = st.sampled_from((0, 1, 100, WORTH_SENDING - 1, WORTH_SENDING, 5 * WORTH_SENDING))


@given(st.lists(sizes, max_size=20))
def test_small_pieces_are_put_together(sizes):
    """The bytes stay what they are, large pieces the very objects; small ones become pieces of a medium size."""
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    sent = list(_coalesced(pieces))
    assert b"".join(sent) == b"".join(pieces)
    assert [piece for piece in pieces if len(piece) >= WORTH_SENDING] == [
        piece for piece in sent if any(piece is one for one in pieces if len(one) >= WORTH_SENDING)
    ]
    assert all(len(piece) < 2 * WORTH_SENDING for piece in sent if not any(piece is one for one in pieces))
    small = [len(piece) < WORTH_SENDING for piece in sent]
    assert not any(one and other for one, other in pairwise(small))
