from __future__ import annotations

import pytest

from exporter.client.transport import Transport
from exporter.core.http import ConnectionSettings, Request


@pytest.fixture
async def send():
    """Sends one GET over a transport, which is closed at the end."""
    transport = Transport()

    async def sending(host, *, scheme="http", query="", max_bytes=100_000, **connection):
        request = Request("ListJobs", scheme, host, "/", query, headers={"authorization": "CANARY"})
        with transport.budget.body(max_bytes) as limit:
            return await transport.send(request, ConnectionSettings(**connection), limit)

    yield sending
    await transport.close()
