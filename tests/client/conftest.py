from __future__ import annotations

import pytest

from exporter.client.transport import Transport
from exporter.core.http import ConnectionSettings, Request
from exporter.simulator import create_app
from tests.rig import fresh_store, renew, warm_up
from tests.serving import serve


@pytest.fixture
async def send():
    """Sends one GET over a transport of its own, and closes that at the end."""
    async with Transport() as transport:
        await warm_up(transport)

        async def sending(host, *, scheme="http", query="", max_bytes=100_000, **connection):
            request = Request("ListJobs", scheme, host, "/", query, headers={"authorization": "CANARY"})
            return await transport.send(request, ConnectionSettings(**connection), max_bytes=max_bytes)

        yield sending


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
