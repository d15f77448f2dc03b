"""Scrapes that time out, and what they say about their target."""

from __future__ import annotations

import asyncio
import time

import pytest

from exporter.collector import target_collector
from exporter.collector.selection import select
from exporter.collector.target_collector import LATELY_SECONDS
from exporter.core.target import JobPolicy
from exporter.simulator import Fault
from tests.rig import rig

pytestmark = pytest.mark.anyio


async def test_a_scrape_timeout_is_not_the_target_s_state(store, target, caplog):
    """A scrape that times out while its listing goes on changes neither the log nor the last snapshot."""
    store.faults.add(Fault("delay", seconds=0.3, times=1))
    async with rig(target(min_interval=60.0)) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.1), parts.snapshot())
        assert hasty.error is not None
        assert patient.error is None
        assert (await parts.snapshot()).error is None
        last = parts.collector.last(parts.targets[0].name)
        assert last is not None
        assert last.error is None
    assert [record for record in caplog.records if record.name == "exporter.collector.target_collector"] == []


@pytest.mark.parametrize(("later", "up"), [(0.0, True), (LATELY_SECONDS, False)], ids=["lately", "long ago"])
async def test_a_shorter_scrape_says_nothing_lately_after_a_success(store, target, later, up):
    """A scrape with less time than the last good listing took is no outcome, unless that listing was long ago."""
    clock = time.time()
    async with rig(target(), now=lambda: clock) as parts:
        store.faults.add(Fault("delay", seconds=0.5))
        assert (await parts.snapshot()).error is None
        clock += later
        assert (await parts.snapshot(0.25)).error is not None
        last = parts.collector.last(parts.targets[0].name)
    assert last is not None
    assert (last.error is None) == up


async def test_a_late_scrape_never_replaces_a_good_outcome(target, monkeypatch):
    """If a scrape's time is up in the very moment in which the listing completes, the recorded outcome stays good."""

    def slow(*args, **kwargs):
        time.sleep(0.3)  # the event loop is held, as by a long selection
        return select(*args, **kwargs)

    monkeypatch.setattr(target_collector, "select", slow)
    async with rig(target(min_interval=60.0)) as parts:
        late, good = await asyncio.gather(parts.snapshot(0.25), parts.snapshot(20.0))
        assert good.error is None
        assert late.error is None or late.error.reason == "timeout"
        assert (await parts.snapshot()) is good
        last = parts.collector.last("oss/prod/cn-hangzhou")
    assert last is not None
    assert last.error is None


async def test_a_scrape_that_has_left_costs_no_details(store, target):
    """Job details are read in the time of those who still wait, not of one that has left already."""
    store.world.listed[0] = store.world.listed[0]._replace(status="Failed")
    store.faults.add(Fault("delay", operation="ListJobs", seconds=0.4, times=1))
    async with rig(target(jobs=JobPolicy(describe=True))) as parts:
        hasty, patient = await asyncio.gather(parts.snapshot(0.1), parts.snapshot(20.0))
    assert hasty.error is not None
    assert store.world.listed[0].id in patient.details
