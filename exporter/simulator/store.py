"""A store: one account in one region, editable while it is served."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.simulator.faults import Faults
from exporter.simulator.messages import Style

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.simulator.jobs.world import World
    from exporter.simulator.messages import RecordedRequest

DEMO_KEY_ID: Final = "LTAI5tSimulatedStore0001"
DEMO_KEY_SECRET: Final = "opens-nothing-but-the-simulator"  # noqa: S105 - a public demo value
MAX_RECORDED: Final = 2000


@dataclass(eq=False)
class Store:
    """One account in one region; every attribute may be changed while it is served."""

    world: World
    region: str = "cn-hangzhou"
    access_key_id: str = DEMO_KEY_ID
    access_key_secret: str = field(default=DEMO_KEY_SECRET, repr=False)
    security_token: str | None = field(default=None, repr=False)
    """If set, each request must contain it."""
    token_expires: float | None = None
    """Unix seconds; `security_token` expires then. None: never."""
    clock: Callable[[], float] = time.time
    """Unix seconds."""
    provider: str = "oss"
    """A key of `DIALECTS`."""
    uin: str = "100000000001"
    """The account's UIN; COS only."""
    appid: str = "1250000000"
    """The account's APPID; COS only."""
    account_id: str = "111122223333"
    """S3 only."""
    page_size: int = 1000
    """Maximum number of jobs per page, even if the request asks for more."""
    permissions: set[str] = field(default_factory=lambda: {"ListJobs", "DescribeJob"})
    """Operations that the access key is allowed to call."""
    enabled: bool = True
    """Whether the service offers batch jobs in this region."""
    gzip: bool = True
    """Responses are compressed if the client accepts gzip."""
    token_length: int = 0
    """Minimum length of a page token, up to 1024."""
    style: Style = field(default_factory=Style)
    faults: Faults = field(default_factory=Faults)
    requests: deque[RecordedRequest] = field(default_factory=lambda: deque(maxlen=MAX_RECORDED), repr=False)
    """The newest requests, oldest first."""
