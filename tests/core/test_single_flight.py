from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import pytest

from exporter.core.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


class Result:
    pass


class Work:
    """Work that ends when `end` is set; counts how often it was started and cancelled."""

    def __init__(self):
        self.started = self.cancelled = 0
        self.end = asyncio.Event()

    async def __call__(self):
        self.started += 1
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Result()


@pytest.fixture
def flights() -> SingleFlight[object, Result]:
    return SingleFlight()


async def fail():
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def start(*calls):
    """Tasks of `calls`, all of them started."""
    tasks = [asyncio.create_task(call) for call in calls]
    await passes()
    return tasks


async def passes():
    """Let the event loop run everything that is ready, and what follows from it."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_waiters_get_one_result(flights):
    """The work runs once however many callers wait for it, and all get the very same object."""
    work = Work()
    tasks = await start(*(flights.run("key", work) for _ in range(50)))
    work.end.set()
    results = await asyncio.gather(*tasks)
    assert work.started == 1
    assert all(result is results[0] for result in results)


async def test_other_keys_are_other_work(flights):
    """Callers with different keys share nothing."""
    work = Work()
    work.end.set()
    keys = ["a", "b", ("a",), ("a", 1), ("a", 2)]
    results = await asyncio.gather(*(flights.run(key, work) for key in keys))
    assert work.started == len({id(result) for result in results}) == len(keys)


async def test_nothing_is_kept(flights):
    """A caller that comes after the end gets a result of its own."""
    work = Work()
    work.end.set()
    assert await flights.run("key", work) is not await flights.run("key", work)
    assert work.started == 2


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_who_leaves_takes_nothing_from_others(flights, place):
    """If a waiter is cancelled, including the first one, the others get their result."""
    work = Work()
    tasks = await start(*(flights.run("key", work) for _ in range(3)))
    tasks.pop(place).cancel()
    await passes()
    work.end.set()
    assert len({id(result) for result in await asyncio.gather(*tasks)}) == 1
    assert (work.started, work.cancelled) == (1, 0)


async def test_the_last_waiter_cancels(flights):
    """When all waiters are cancelled, so is the work; a caller that comes meanwhile gets a new run."""
    work = Work()
    tasks = await start(*(flights.run("key", work) for _ in range(3)))
    for task in tasks[:2]:
        task.cancel()
    await passes()
    assert work.cancelled == 0
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    work.end.set()
    assert isinstance(await flights.run("key", work), Result)
    await passes()
    assert (work.started, work.cancelled) == (2, 1)


async def test_work_that_ends_slowly_after_its_cancellation_disturbs_no_new_run(flights):
    """The end of cancelled work does not free the key of the run that followed it."""
    release, work = asyncio.Event(), Work()

    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()

    (first,) = await start(flights.run("key", slow))
    first.cancel()
    await passes()
    (second,) = await start(flights.run("key", work))
    release.set()
    await passes()
    (third,) = await start(flights.run("key", work))
    work.end.set()
    assert await second is await third
    assert work.started == 1


async def test_an_exception_reaches_all_waiters(flights, caplog):
    """Every waiter gets the exception, so it is not logged; the next caller gets a new run."""
    results = await asyncio.gather(*(flights.run("key", fail) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError] * 3
    assert not caplog.records
    work = Work()
    work.end.set()
    assert isinstance(await flights.run("key", work), Result)


async def test_an_exception_without_waiters_is_logged(flights, caplog):
    """An exception that no waiter is left to receive is logged once, and asyncio reports nothing in addition."""
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    async def fail_when_cancelled():
        try:
            await asyncio.Event().wait()
        finally:
            await fail()

    tasks = await start(*(flights.run("key", fail_when_cancelled) for _ in range(3)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await passes()
    del tasks, task
    gc.collect()
    (record,) = caplog.records
    assert record.getMessage() == "internal error (please report it)"
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError
    assert not reports


@pytest.mark.parametrize("cancelled", [False, True])
async def test_nothing_is_held_afterwards(flights, cancelled):
    """Neither the result nor what it was made from outlives its users; this needs no garbage collection."""

    class Snapshot:
        pass

    snapshot, end = Snapshot(), asyncio.Event()

    async def make(snapshot):
        await end.wait()
        return snapshot, Result()

    gc.disable()
    try:
        (task,) = await start(flights.run(id(snapshot), lambda snapshot=snapshot: make(snapshot)))
        dead: list[weakref.ref[object]] = [weakref.ref(snapshot)]
        del snapshot
        if cancelled:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        else:
            end.set()
            dead.append(weakref.ref((await task)[1]))
        await passes()
        del task
        assert [reference() for reference in dead] == [None] * len(dead)
    finally:
        gc.enable()


async def test_objects_are_held_while_the_work_runs(flights):
    """What `make` refers to lives until the key is free, so an id in a key cannot be that of another object."""

    class Snapshot:
        pass

    snapshot, end = Snapshot(), asyncio.Event()
    alive = weakref.ref(snapshot)
    keys = []

    async def make(snapshot):
        await end.wait()
        keys.extend(flights._flights)
        return snapshot

    key = id(snapshot)
    (task,) = await start(flights.run(key, lambda snapshot=snapshot: make(snapshot)))
    del snapshot
    assert alive() is not None
    end.set()
    await task
    assert keys == [key]
    assert not flights._flights
