"""Fixtures and options of all tests."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from exporter.simulator import create_app
from tests.rig import fresh_store, renew
from tests.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.simulator import Store


OUTSIDE = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""Variables of the machine that runs the tests which, with those of proxies, change how others are reached."""

settings.register_profile("default", deadline=None)  # a busy machine is slow; pytest's own timeout ends a hang
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--golden`, for `./dev golden`."""
    parser.addoption("--golden", action="store_true", help="write the golden files again")


@pytest.fixture(scope="session", autouse=True)
def _reached_as_on_any_machine() -> Iterator[None]:
    """Removes the proxies and certificates that the environment names, and sets a time zone that shows local times."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name in OUTSIDE or name.upper().endswith("_PROXY"):
                patch.delenv(name)
        patch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Store, str]]:
    """A simulated store with 25 jobs that do not change, and its base URL, for all tests of a module."""
    store = fresh_store()
    with serve(create_app(store)) as url:
        yield store, url


@pytest.fixture
def store(served: tuple[Store, str]) -> Store:
    """The store that is served, as if it had just been made."""
    return renew(served[0])


@pytest.fixture
def store_url(served: tuple[Store, str], store: Store) -> Iterator[str]:
    """The base URL of `store`, also if a module has a fixture `store` of its own."""
    if store is served[0]:
        yield served[1]
    else:
        with serve(create_app(store)) as url:
            yield url
