from __future__ import annotations

import asyncio
import threading
import time

import pytest

from exporter.core.http import ConnectionSettings
from exporter.core.workers import Turns, WaitingThreads, Worker
from tests.hanging import hanging
from tests.rig import rig, target_at

pytestmark = pytest.mark.anyio


async def test_calls_that_hang_take_no_thread_from_others():
    """With many calls that hang in the loop's executor, names are still resolved and work is still done."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(WaitingThreads())
    release = threading.Event()
    hung = [asyncio.create_task(asyncio.to_thread(release.wait, 30)) for _ in range(100)]
    try:
        async with asyncio.timeout(5):
            assert await loop.getaddrinfo("127.0.0.1", 80)
            assert await Worker("test").run(sum, [1, 2]) == 3
            assert await asyncio.to_thread(max, [1, 2]) == 2
    finally:
        release.set()
        await asyncio.gather(*hung)


async def test_an_exception_in_a_thread_reaches_its_caller():
    """An exception in a waiting thread is raised where the call is awaited."""
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)


def test_the_loop_closes_without_calls_that_hang():
    """An event loop whose executor has a call that hangs closes at once."""
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
    """A tls.ca_file that cannot be read to its end costs its own target the timeout, and no other target."""
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    file = tmp_path / "ca.pem"
    file.touch()
    slow = target_at("https://127.0.0.1:1", timeout=0.5, connection=ConnectionSettings(ca_file=str(file)))
    with hanging(file):
        async with rig(slow) as parts:
            start = time.monotonic()
            assert (await parts.failure()).reason == "timeout"
            assert time.monotonic() - start < 3


async def test_a_worker_leaves_the_loop_free():
    """While a worker computes, the event loop runs other tasks."""
    release = threading.Event()
    running = asyncio.create_task(Worker("test").run(release.wait, 30))
    await asyncio.sleep(0.01)
    release.set()
    assert await running


async def test_turns_run_one_after_the_other_with_the_loop_free_between():
    """However many callers there are, other tasks run before each computation."""
    turns, passes = Turns(), 0

    async def count():
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    seen = await asyncio.gather(*(turns.run(lambda: passes) for _ in range(20)))
    counting.cancel()
    assert seen == sorted(set(seen))


async def test_a_turn_that_fails_ends_for_its_caller_only():
    """An exception reaches the caller, and the next computation runs."""
    turns = Turns()
    failed, result = await asyncio.gather(turns.run(lambda: 1 // 0), turns.run(sum, [1, 2]), return_exceptions=True)
    assert isinstance(failed, ZeroDivisionError)
    assert result == 3
