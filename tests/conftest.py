"""What every test may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from exporter.simulator import Store, World, create_app, make_jobs
from tests.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator


settings.register_profile("default", deadline=None)  # a busy machine is no fault; a hang meets pytest's own timeout
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--golden`, for `./dev golden`."""
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def store() -> Store:
    """A simulated store with 25 jobs that change only where the test edits them."""
    return Store(World.fixed(make_jobs(25, now=1_750_000_000)))


@pytest.fixture
def store_url(store: Store) -> Iterator[str]:
    """The base URL of `store`."""
    with serve(create_app(store)) as url:
        yield url
