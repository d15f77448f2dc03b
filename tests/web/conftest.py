from __future__ import annotations

import contextlib
import threading

import httpx
import pytest

from tests.rig import exporting, target_at


@pytest.fixture(scope="module")
def module_client(served):
    """A client of an exporter of the single target that `store` serves, for all tests of a module."""
    with contextlib.ExitStack() as opened:
        yield opening(opened)(target_at(served[1]))


@pytest.fixture
def client(module_client, store):  # noqa: ARG001 - resets the store
    """The client of the module, with `store` reset."""
    return module_client


@pytest.fixture
def exported():
    """Opens a client of an exporter of the given targets; both are closed at the end."""
    with contextlib.ExitStack() as opened:
        yield opening(opened)


def opening(opened):
    """The function that `exported` returns; `opened` closes what it opens."""

    def open_one(*targets, settings=None):
        url = opened.enter_context(exporting(*targets, settings=settings))
        return opened.enter_context(httpx.Client(base_url=url, timeout=20, headers={"accept-encoding": "identity"}))

    return open_one


@pytest.fixture
def meanwhile():
    """Runs a call in a thread and returns the thread; all threads are joined at the end of the test."""
    threads = []

    def start(call):
        thread = threading.Thread(target=call)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join()
