from __future__ import annotations

import pytest

from exporter.client.transport import Transport
from exporter.core.http import ConnectionSettings, Request
from exporter.simulator import create_app
from tests.rig import fresh_store, renew
from tests.serving import serve


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


@pytest.fixture(scope="module")
def served():
    """A store and its base URL, for all tests of a module."""
    store = fresh_store()
    with serve(create_app(store)) as url:
        yield store, url


@pytest.fixture
def store(served):
    """The store that is served, as if it had just been made."""
    return renew(served[0])


@pytest.fixture
def store_url(served, store):  # noqa: ARG001 - the store must be as new
    return served[1]
