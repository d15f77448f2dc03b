from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from exporter.core.http import ConnectionSettings
from exporter.core.workers import WaitingThreads, reading
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from tests.rig import rig, target_at

pytestmark = pytest.mark.anyio


async def test_calls_that_hang_take_no_thread_from_others():
    """With many calls that hang in the loop's executor, names are looked up and work is done all the same."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(WaitingThreads())
    release = threading.Event()
    hung = [asyncio.create_task(asyncio.to_thread(release.wait, 30)) for _ in range(100)]
    try:
        async with asyncio.timeout(5):
            assert await loop.getaddrinfo("127.0.0.1", 80)
            assert await reading.do(sum, [1, 2]) == 3
            assert await asyncio.to_thread(max, [1, 2]) == 2
    finally:
        release.set()
        await asyncio.gather(*hung)


async def test_what_fails_in_a_thread_fails_where_it_is_awaited():
    """An exception in a waiting thread reaches the caller."""
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)


def test_the_end_waits_for_no_call_that_hangs():
    """An event loop whose executor has a call that hangs ends at once."""
    release = threading.Event()

    async def leave() -> None:
        asyncio.get_running_loop().set_default_executor(WaitingThreads())
        hung = asyncio.create_task(asyncio.to_thread(release.wait, 30))
        await asyncio.sleep(0.05)
        hung.cancel()

    start = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - start < 5
    release.set()


async def test_tls_files_that_hang_do_not_hang_the_loop(tmp_path):
    """A tls.ca_file that never gives its content costs its target the time, and nobody else."""
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)
    slow = target_at("https://127.0.0.1:1", timeout=0.5, connection=ConnectionSettings(ca_file=str(pipe)))
    async with rig(slow) as parts:
        start = time.monotonic()
        assert (await parts.failure()).reason == "timeout"
        assert time.monotonic() - start < 3
    with pipe.open("wb"):  # lets the thread go
        pass


class SlowToParse(Oss):
    """A provider whose pages take long to parse."""

    @staticmethod
    def parse_jobs(body, kept=None):
        time.sleep(1.5)
        return Oss.parse_jobs(body, kept)


async def test_parsing_leaves_the_loop_free(store_url):
    """While a page is parsed, the event loop goes on: `/-/healthy` has its answer."""
    api = SlowToParse(Endpoint("http", store_url.removeprefix("http://")), "cn-hangzhou")
    gaps = []

    async def tick():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    async with rig(target_at(store_url, provider=api)) as parts:
        ticking = asyncio.create_task(tick())
        listing = await parts.snapshot()
        ticking.cancel()
    assert (listing.error, len(listing.jobs)) == (None, 25)
    assert max(gaps) < 1.2
