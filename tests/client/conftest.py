from __future__ import annotations

import contextlib

import pytest

from exporter.client.transport import Transport
from exporter.core.http import ConnectionSettings, Request


@pytest.fixture
async def send():
    """Sends one GET over a transport made at the first call, and closed at the end."""
    async with contextlib.AsyncExitStack() as closing:
        made: list[Transport] = []

        async def sending(host, *, scheme="http", query="", max_bytes=100_000, seconds=60.0, **connection):
            if not made:
                made.append(Transport())
                closing.push_async_callback(made[0].close)
            request = Request("ListJobs", scheme, host, "/", query, headers={"authorization": "CANARY"})
            with made[0].budget.body(max_bytes) as limit:
                return await made[0].send(request, ConnectionSettings(**connection), limit, seconds=seconds)

        yield sending
