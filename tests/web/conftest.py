from __future__ import annotations

import contextlib
import threading

import httpx
import pytest

from tests.rig import exporting, target_at


@pytest.fixture(scope="module")
def one_client(served):
    """A client of an exporter of the one target that `store` is, for all tests of a module."""
    with contextlib.ExitStack() as opened:
        yield opening(opened)(target_at(served[1]))


@pytest.fixture
def client(one_client, store):  # noqa: ARG001 - the store must be as new
    """The same; the store is as new."""
    return one_client


@pytest.fixture
def exported():
    """Opens a client of an exporter of the given targets; both are closed at the end."""
    with contextlib.ExitStack() as opened:
        yield opening(opened)


def opening(opened):
    """What `exported` gives; `opened` closes it."""

    def open_one(*targets, settings=None):
        url = opened.enter_context(exporting(*targets, settings=settings))
        return opened.enter_context(httpx.Client(base_url=url, timeout=20, headers={"accept-encoding": "identity"}))

    return open_one


@pytest.fixture
def meanwhile():
    """Runs a call in a thread; `join` on what it returns waits for it. All have ended when the test ends."""
    threads = []

    def start(call):
        thread = threading.Thread(target=call)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join()
