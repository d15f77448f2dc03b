"""Targets that are replaced while the exporter runs."""

from __future__ import annotations

import asyncio

import pytest

from exporter.simulator import Fault
from tests.rig import rig, target_at
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_the_end_of_the_exporter_ends_runs_of_replaced_targets(store, store_url):
    """A run that began before a reload ends with the exporter, and not only by its own timeout."""
    store.faults.add(Fault("delay", seconds=60))
    async with rig(target_at(store_url, timeout=60.0)) as parts:
        running = asyncio.create_task(parts.snapshot())
        await asyncio.to_thread(until, lambda: store.requests)
        await parts.replace([target_at(store_url, timeout=50.0)], "")
        parts.collector.stop()
        snapshot = await asyncio.wait_for(running, 20)
    assert snapshot.error is not None


async def test_connections_to_hosts_of_no_target_are_closed(store_url):
    """After a reload with another endpoint, the connections to the old one are closed; those in use are kept."""
    async with rig(target_at(store_url)) as parts:
        assert (await parts.snapshot()).error is None
        (pool,) = parts.transport._pools.values()
        await parts.replace([target_at(store_url)], "")
        assert [*parts.transport._pools.values()] == [pool]
        other = store_url.replace("127.0.0.1", "localhost")
        await parts.replace([target_at(other)], "")
        assert not parts.transport._pools
        assert (await parts.snapshot()).error is None


async def test_a_scrape_and_a_reload_at_the_same_time(store_url):
    """A scrape keeps the targets that there were when it started, even if a reload removes them."""
    async with rig(target_at(store_url)) as parts:
        collector = parts.collector.find(parts.targets[0].name)
        await parts.replace([target_at(store_url, account="another")], "")
        assert (await collector.snapshot(None)).error is None
