"""The exporter's moving parts, put together as the command line does it, around targets on loopback."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from exporter.client.session import Caller
from exporter.client.transport import Transport
from exporter.collector.target_collector import Collector
from exporter.core.deadline import Deadline
from exporter.core.errors import TransportError
from exporter.core.http import ConnectionSettings, Request
from exporter.core.secrets import Secret
from exporter.core.target import Target
from exporter.credentials.static import Static
from exporter.exposition.self_metrics import SelfMetrics
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.simulator import Store, World, make_jobs
from exporter.web.app import Settings, create_app
from tests.serving import serve
from tests.simulator import official

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.applications import Starlette

    from exporter.core.errors import ScrapeError
    from exporter.core.interfaces import CredentialSource, Provider
    from exporter.core.snapshot import Snapshot
    from exporter.simulator.wire import Head

KEY_ID = Store.access_key_id
KEY_SECRET = Store.access_key_secret


def keys(key_id: str = KEY_ID, secret: str = KEY_SECRET, token: str | None = None) -> CredentialSource:
    """Credentials that do not change; by default those that a simulated store takes."""
    return Static(Secret(key_id), Secret(secret), None if token is None else Secret(token))


def target_at(
    url: str,
    account: str = "prod",
    *,
    region: str = "cn-hangzhou",
    page_size: int = 1000,
    provider: Provider | None = None,
    **settings: Any,
) -> Target:
    """A target at the base URL `url`. `settings` are fields of `Target`; no limit on requests unless they say so."""
    scheme, _, host = url.partition("://")
    settings = {"requests_per_second": 0.0, "credentials": keys(), **settings}
    return Target("oss", account, region, provider or Oss(Endpoint(scheme, host), region, page_size), **settings)


def vendors_authorization(store: Store, head: Head) -> str:
    """The header Authorization that the vendor's own package makes for a request with this head."""
    date = datetime.strptime(head.headers["x-oss-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    headers = {name: value for name, value in head.headers.items() if name != "authorization"}
    return official.sign(store, head.query, headers, at=date.timestamp()).headers["authorization"]


class Labelled(NamedTuple):
    """One sample of a page; `labels` are sorted pairs."""

    name: str
    labels: tuple[tuple[str, str], ...]


def parse(text: str) -> dict[Labelled, float]:
    """Every sample of a page in text format, read by the official parser; each may stand there once only."""
    found: dict[Labelled, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = Labelled(sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(samples: dict[Labelled, float], name: str, **labels: str) -> float | None:
    """The one sample of `name` that has these labels, among others; None: there is none."""
    hits = [number for key, number in samples.items() if key.name == name and labels.items() <= set(key.labels)]
    assert len(hits) < 2, (name, labels)
    return hits[0] if hits else None


@dataclass
class Rig:
    """What `cli` puts together."""

    targets: tuple[Target, ...]
    now: Callable[[], float] = time.time
    jitter: Callable[[], float] = lambda: 0.0
    transport: Transport = field(init=False, default_factory=Transport)
    metrics: SelfMetrics = field(init=False)
    caller: Caller = field(init=False)
    scraper: Collector = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = SelfMetrics(version="1.2.3", revision="abc")
        self.metrics.show_from_zero(self.targets)
        self.caller = Caller(self.transport, self.metrics, self.now, self.jitter)
        self.scraper = Collector(self.targets, self.caller, self.metrics)

    async def listing(self, allowed: float | None = None) -> Snapshot:
        """A scrape of the first target."""
        (listing,) = await self.scrape(allowed, self.targets[0])
        return listing

    async def scrape(self, allowed: float | None = None, *targets: Target) -> list[Snapshot]:
        """A listing of each of `targets`; without any, of all."""

        async def itself(listing: Snapshot) -> Snapshot:
            return listing

        return await self.scraper.scrape([target.name for target in targets or self.targets], allowed, itself)

    async def failure(self, allowed: float | None = None) -> ScrapeError:
        """The error of a scrape of the first target, which must fail and leave no trace of jobs."""
        listing = await self.listing(allowed)
        assert listing.error is not None
        assert (listing.jobs, listing.counts, listing.dropped) == ((), None, None)
        return listing.error

    async def call(self, seconds: float = 10.0) -> bytes:
        """One call of the first target: its first page."""
        request = self.targets[0].provider.list_request(None)
        return await self.caller.call(self.targets[0], request, Deadline(time.monotonic() + seconds))

    def counts(self) -> tuple[int, int, int]:
        """Requests, failures (of any reason) and retries so far, of all targets."""
        samples = parse(self.metrics.render(openmetrics=False).decode())
        names = ("requests_total", "request_failures_total", "request_retries_total")
        requests, failures, retries = (
            round(sum(number for key, number in samples.items() if key.name == f"batchops_api_{name}"))
            for name in names
        )
        return requests, failures, retries

    def failures(self) -> dict[str, int]:
        """Failures so far by reason, of all targets; only those that there were."""
        samples = parse(self.metrics.render(openmetrics=False).decode())
        found: dict[str, int] = {}
        for key, number in samples.items():
            if key.name == "batchops_api_request_failures_total" and number:
                reason = dict(key.labels)["reason"]
                found[reason] = found.get(reason, 0) + round(number)
        return found

    def app(self, settings: Settings | None = None) -> Starlette:
        """The routes; connections are closed when the server that serves them ends."""

        @contextlib.asynccontextmanager
        async def closing(_app: Starlette) -> AsyncIterator[None]:
            async with self.transport:
                yield

        app = create_app(self.scraper, self.metrics, settings or Settings())
        app.router.lifespan_context = closing
        return app


async def warm_up(transport: Transport) -> None:
    """Have the transport make what it makes at its first use: that takes its time, and many tests measure times."""
    nobody = Request("ListJobs", "http", "127.0.0.1:1", "/")
    with contextlib.suppress(TransportError):
        await transport.send(nobody, ConnectionSettings(), max_bytes=0)


@contextlib.asynccontextmanager
async def rig(*targets: Target, now: Callable[[], float] = time.time) -> AsyncIterator[Rig]:
    """The parts for use in the test's own event loop."""
    made = Rig(targets, now)
    async with made.transport:
        await warm_up(made.transport)
        yield made


def fresh_store() -> Store:
    """A store with 25 jobs that change only where the test edits them."""
    return Store(World.fixed(make_jobs(25, now=1_750_000_000)))


def renew(store: Store) -> Store:
    """`store`, as if it had just been made: a server that tests share is quicker than one for each."""
    vars(store).update(vars(fresh_store()))
    return store


@contextlib.contextmanager
def exporting(*targets: Target, settings: Settings | None = None) -> Iterator[str]:
    """The base URL of an exporter of `targets`."""
    with serve(Rig(targets).app(settings)) as url:
        yield url
