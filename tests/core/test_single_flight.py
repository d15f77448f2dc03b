from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from exporter.core.single_flight import Shared

pytestmark = pytest.mark.anyio


class Work:
    """Work that ends when it is told to, and counts how often it was begun."""

    def __init__(self):
        self.begun = 0
        self.end = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        await self.end.wait()
        return Result()


class Result:
    pass


def sharing() -> Shared[Result]:
    return Shared()


async def fail():
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def start(*calls):
    """Tasks of `calls`, all of them begun."""
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0.01)
    return tasks


async def test_many_who_wait_get_one_result():
    """However many ask for the same at the same time, it is made once, and all have that very object."""
    shared, work, of = sharing(), Work(), [object(), object()]
    tasks = await start(*(shared.once(of, "form", work) for _ in range(50)))
    work.end.set()
    results = await asyncio.gather(*tasks)
    assert work.begun == 1
    assert all(result is results[0] for result in results)


async def test_other_objects_and_other_forms_are_other_work():
    """Equal objects that are not the same ones, other orders of them, and other forms share nothing."""
    shared, work = sharing(), Work()
    work.end.set()
    one, other = [1000.5], [1000.5]
    calls = [([one], "a"), ([other], "a"), ([one], "b"), ([one, other], "a"), ([other, one], "a"), ([], "a")]
    results = await asyncio.gather(*(shared.once(of, form, work) for of, form in calls))
    assert work.begun == len(calls)
    assert len({id(result) for result in results}) == len(calls)


async def test_what_has_ended_is_made_anew():
    """Who asks when nobody waits any more gets a result of its own."""
    shared, work, of = sharing(), Work(), [object()]
    work.end.set()
    assert await shared.once(of, None, work) is not await shared.once(of, None, work)
    assert work.begun == 2


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_who_gives_up_ends_it_for_nobody(place):
    """Whoever is cancelled, the first to ask included, the others get their result."""
    shared, work, of = sharing(), Work(), [object()]
    tasks = await start(*(shared.once(of, None, work) for _ in range(3)))
    tasks.pop(place).cancel()
    await asyncio.sleep(0.01)
    work.end.set()
    assert len({id(result) for result in await asyncio.gather(*tasks)}) == 1
    assert work.begun == 1


async def test_what_fails_fails_for_all_who_wait(caplog):
    """An exception reaches everyone who waits and is told once in the log; the next one to ask starts anew."""
    shared, work, of = sharing(), Work(), [object()]
    results = await asyncio.gather(*(shared.once(of, None, fail) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError] * 3
    assert [record.getMessage() for record in caplog.records] == ["a fault of the exporter itself; please report it"]
    work.end.set()
    assert isinstance(await shared.once(of, None, work), Result)


async def test_what_fails_for_nobody_is_told_too(caplog):
    """Where all have given up, an exception is in the log, and asyncio has nothing left to complain about."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    shared, release = sharing(), asyncio.Event()

    async def fail_later():
        await release.wait()
        await fail()

    tasks = await start(*(shared.once([object()], None, fail_later) for _ in range(3)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    release.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError] * 3
    assert not complaints


async def test_nothing_is_held_when_all_have_their_result():
    """Neither the result nor what it was made of outlives those who use them; no collection of cycles is needed."""

    class Snapshot:
        pass

    shared, work, of = sharing(), Work(), [Snapshot()]
    work.end.set()
    gc.disable()
    try:
        result = await shared.once(of, None, work)
        dead: list[weakref.ref[object]] = [weakref.ref(result), weakref.ref(of[0])]
        await asyncio.sleep(0)
        del result, of
        assert [reference() for reference in dead] == [None, None]
    finally:
        gc.enable()
