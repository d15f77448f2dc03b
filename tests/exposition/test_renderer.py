from __future__ import annotations

import asyncio
import gzip
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.snapshot import Snapshot
from exporter.core.workers import Turns
from exporter.exposition import families
from exporter.exposition.renderer import WORTH_SENDING, Renderer, ResponseFormat, _merged
from exporter.exposition.self_metrics import OPENMETRICS_END, SelfMetrics
from tests.exposition.strategies import FULL_JOB, scrapes, small_batches, text_of

PLAIN = ResponseFormat(openmetrics=False, gzip=False, with_self_metrics=False)


@pytest.fixture(scope="module")
def metrics():
    """Self metrics that are equal in every answer."""
    return SelfMetrics(version="1.2.3", revision="abc", process=False)


async def answer(renderer, scrape, response_format):
    """The body of an answer about the snapshots `scrape`."""
    targets = await asyncio.gather(*(renderer.lines(snapshot, response_format) for snapshot in scrape))
    return b"".join(await renderer.body(targets, response_format))


def snapshot_of(jobs):
    return Snapshot("oss", "prod", "cn-hangzhou", 1, 0.5, jobs=tuple(FULL_JOB._replace(id=f"{n}") for n in range(jobs)))


@settings(max_examples=50)
@given(scrapes, st.booleans(), st.booleans())
def test_gzip_has_the_text(metrics, scrape, openmetrics, with_self_metrics):
    """In both formats, with self metrics and without, the gzip answer decompresses to the plain one."""

    async def answers():
        renderer = Renderer(metrics, Turns())
        formats = [ResponseFormat(openmetrics, packed, with_self_metrics) for packed in (False, True)]
        with small_batches():
            return [await answer(renderer, scrape, response_format) for response_format in formats]

    plain, packed = asyncio.run(answers())
    assert plain.startswith(text_of(scrape) if scrape else b"")
    assert plain.endswith(OPENMETRICS_END) == openmetrics
    assert (b"batchops_api_request_duration_seconds" in plain) == with_self_metrics
    assert gzip.decompress(packed) == plain


@pytest.mark.anyio
@pytest.mark.parametrize("packed", [False, True])
async def test_scrapes_at_the_same_time_share_the_bytes(metrics, packed):
    """Scrapes of the same snapshot in the same format get the very same pieces; later ones get new pieces."""
    renderer = Renderer(metrics, Turns())
    snapshot, response_format = snapshot_of(2000), PLAIN._replace(gzip=packed)

    async def body():
        return await renderer.body([await renderer.lines(snapshot, response_format)], response_format)

    bodies = await asyncio.gather(*(body() for _ in range(5)))
    assert all(shared is bodies[0] for shared in bodies)
    later = await body()
    assert later == bodies[0]
    assert later is not bodies[0]


@pytest.mark.anyio
async def test_other_snapshots_and_formats_share_nothing(metrics):
    """Equal snapshots that are different objects, and the other encoding, are rendered on their own."""
    renderer = Renderer(metrics, Turns())
    first, second = snapshot_of(3), snapshot_of(3)
    lines = await asyncio.gather(
        renderer.lines(first, PLAIN), renderer.lines(second, PLAIN), renderer.lines(first, PLAIN._replace(gzip=True))
    )
    assert len({id(target) for target in lines}) == 3


@pytest.mark.anyio
async def test_the_loop_is_free_between_batches(metrics, monkeypatch):
    """Other tasks run before each batch: rendering of many jobs does not block the event loop."""
    monkeypatch.setattr(families, "BATCH_JOBS", 10)
    passes = 0

    async def count():
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await Renderer(metrics, Turns()).lines(snapshot_of(200), PLAIN)
    counting.cancel()
    assert passes >= 20


@pytest.mark.anyio
async def test_rendering_ends_with_its_last_scrape(metrics, monkeypatch):
    """When the last client has left, the batches that remain are not rendered."""
    monkeypatch.setattr(families, "BATCH_JOBS", 1)
    rendered, started = [], asyncio.Event()
    real = families.JobBatch

    def spy(snapshot, labels, jobs):
        rendered.append(len(jobs))
        started.set()
        return real(snapshot, labels, jobs)

    monkeypatch.setattr(families, "JobBatch", spy)
    rendering = asyncio.create_task(Renderer(metrics, Turns()).lines(snapshot_of(1000), PLAIN))
    await started.wait()
    rendering.cancel()
    await asyncio.gather(rendering, return_exceptions=True)
    count = len(rendered)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(rendered) <= count + 1 < 1000


sizes = st.sampled_from((0, 1, 100, WORTH_SENDING - 1, WORTH_SENDING, 5 * WORTH_SENDING))


@given(st.lists(sizes, max_size=20))
def test_small_pieces_are_merged(sizes):
    """The bytes are unchanged and large pieces are not copied; small pieces are merged to pieces of medium size."""
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    sent = list(_merged(pieces))
    assert b"".join(sent) == b"".join(pieces)
    large = [piece for piece in pieces if len(piece) >= WORTH_SENDING]
    assert [piece for piece in sent if any(piece is other for other in large)] == large
    assert all(0 < len(piece) < 2 * WORTH_SENDING for piece in sent if not any(piece is other for other in large))
    small = [len(piece) < WORTH_SENDING for piece in sent]
    assert not any(first and second for first, second in pairwise(small))
