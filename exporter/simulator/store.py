"""A store: one account in one region, edited like an object while it is served."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.simulator.dialects.oss import OSS
from exporter.simulator.faults import Faults
from exporter.simulator.messages import Style

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.simulator.jobs.world import World
    from exporter.simulator.messages import Head, Wire

DEMO_KEY_ID: Final = "LTAI5tSimulatedStore0001"
DEMO_KEY_SECRET: Final = "opens-nothing-but-the-simulator"  # noqa: S105 - what it says
MOST_RECORDED: Final = 2000


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that a store was asked, and how it was answered."""

    time: float
    """Unix seconds, by the store's clock."""
    operation: str
    """Empty where the request was refused."""
    page: int
    """Counts from 1; 0 where no page was asked for."""
    token: str | None
    """The page token that it carried, decoded."""
    status: int
    """The HTTP status answered; 0 where the connection was closed instead."""
    head: Head
    """All of it, signature included."""


@dataclass(eq=False)
class Store:
    """One account in one region; every attribute may be changed while it is served."""

    world: World
    region: str = "cn-hangzhou"
    access_key_id: str = DEMO_KEY_ID
    access_key_secret: str = field(default=DEMO_KEY_SECRET, repr=False)
    security_token: str | None = field(default=None, repr=False)
    """Where set, each request must carry it."""
    token_expires: float | None = None
    """Unix seconds; from then on `security_token` is refused. None: never."""
    clock: Callable[[], float] = time.time
    """Unix seconds."""
    wire: Wire = OSS
    uin: str = "100000000001"
    """Of the account; COS only."""
    appid: str = "1250000000"
    """Of the account; COS only."""
    account_id: str = "111122223333"
    """Of the account; S3 only."""
    page_size: int = 1000
    """Jobs on a page at most, whatever is asked for."""
    permissions: set[str] = field(default_factory=lambda: {"ListJobs", "DescribeJob"})
    """Operations that the key may call."""
    enabled: bool = True
    """The service offers batch jobs in this region."""
    gzip: bool = True
    """Pages are compressed for who accepts it."""
    token_length: int = 0
    """Page tokens have at least so many characters, up to 1024."""
    style: Style = field(default_factory=Style)
    faults: Faults = field(default_factory=Faults)
    requests: deque[Seen] = field(default_factory=lambda: deque(maxlen=MOST_RECORDED), repr=False)
    """The newest requests, oldest first."""
