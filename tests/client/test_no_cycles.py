from __future__ import annotations

import asyncio
import contextlib
import gc
import types

import pytest

import exporter
from exporter.core.target import JobPolicy
from tests.rawserver import raw_server
from tests.rig import rig, target_at

pytestmark = pytest.mark.anyio

ROOT = exporter.__path__[0]
HEAD = b"HTTP/1.1 200 OK\r\n"
FIRST = b"<ListJobsResult><NextToken>%d</NextToken><Jobs></Jobs></ListJobsResult>"


async def slow(peer):
    """Pages without an end, each of which takes a while; the next one is requested before."""
    number = 0
    while True:
        number += 1
        body = FIRST % number
        await peer.send(HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + 100_000) + body + b" " * 50_000)
        await asyncio.sleep(0.05)
        await peer.send(b" " * 50_000)
        await peer.reader.readuntil(b"\r\n\r\n")


async def large(peer):
    """More than a page may have."""
    await peer.send(HEAD + b"\r\n" + b"x" * (17 << 20))


async def stalled(peer):
    """Half of a page."""
    await peer.send(HEAD + b"Content-Length: 100000\r\n\r\n" + b" " * 50_000)
    await peer.reader.read()


async def reset(peer):
    """The start of a page, and a connection that breaks."""
    await peer.send(HEAD + b"Content-Length: 100000\r\n\r\n" + b" " * 50_000)
    peer.reset()


async def refused(peer):
    """An error of the service."""
    await peer.answer(b"<Error><Code>InternalError</Code></Error>", "500 Oops")


@contextlib.contextmanager
def collected():
    """Yields a list that gets everything which only the garbage collector frees during the `with`."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("serve", [slow, large, stalled, reset, refused], ids=lambda serve: serve.__name__)
@pytest.mark.parametrize("seconds", [0.3, 5.0])
@pytest.mark.parametrize("ids", [(), ("job-1", "job-2")], ids=["ListJobs", "DescribeJob"])
async def test_a_failed_listing_is_in_no_cycle(serve, seconds, ids):
    """After a failure, nothing of the exporter, no frame with a page in it, waits for the garbage collector."""
    async with raw_server(serve) as host:
        policy = JobPolicy(ids=ids)
        target = target_at(
            f"http://{host}", timeout=1.2, attempt_timeout=0.25, retries=1, max_pages=10_000, jobs=policy
        )
        async with rig(target) as parts:
            await parts.failure(seconds)  # makes what is made once
            with collected() as found:
                await parts.failure(seconds)
                await asyncio.sleep(0.1)  # cancelled tasks end
    frames = [x for x in found if isinstance(x, types.FrameType) and x.f_code.co_filename.startswith(ROOT)]
    assert [frame.f_code.co_qualname for frame in frames] == []
    assert [x for x in found if isinstance(x, asyncio.Task) and "exporter" in repr(x)] == []
