"""An exporter of targets on loopback, built as the command line builds it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from exporter.core.deadline import Deadline
from exporter.core.secrets import Secret
from exporter.core.target import JobPolicy, Target
from exporter.credentials.static import StaticCredentials
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.simulator import Store, World, make_jobs
from exporter.web.application import Application
from tests.serving import serve
from tests.simulator import official_oss

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from starlette.types import Receive, Scope, Send

    from exporter.core.errors import ScrapeError
    from exporter.core.interfaces import CredentialSource, Provider
    from exporter.core.jobs import JobPage
    from exporter.core.snapshot import Snapshot
    from exporter.simulator.messages import RawRequest
    from exporter.web.app import Settings

KEY_ID = Store.access_key_id
KEY_SECRET = Store.access_key_secret


def keys(key_id: str = KEY_ID, secret: str = KEY_SECRET, token: str | None = None) -> CredentialSource:
    """Credentials that do not change; by default those that a simulated store takes."""
    return StaticCredentials(Secret(key_id), Secret(secret), None if token is None else Secret(token))


def target_at(
    url: str,
    account: str = "prod",
    *,
    region: str = "cn-hangzhou",
    page_size: int = 1000,
    provider: Provider | None = None,
    **settings: Any,
) -> Target:
    """A target at the base URL `url`. `settings` are fields of `Target`.

    Unless they say so, there is no limit on requests, and no job is described.
    """
    scheme, _, host = url.partition("://")
    quiet: dict[str, Any] = {"requests_per_second": 0.0, "credentials": keys(), "jobs": JobPolicy(describe=False)}
    settings = quiet | settings
    return Target("oss", account, region, provider or Oss(Endpoint(scheme, host), region, page_size), **settings)


def vendors_authorization(store: Store, head: RawRequest) -> str:
    """The header Authorization that the vendor's own package makes for a request with this head."""
    date = datetime.strptime(head.headers["x-oss-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    headers = {name: value for name, value in head.headers.items() if name != "authorization"}
    return official_oss.sign(store, head.query, headers, at=date.timestamp()).headers["authorization"]


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


class Rig(Application):
    """The exporter as the command line builds it, without jitter, with what tests ask of it."""

    def __init__(
        self, targets: Sequence[Target], settings: Settings | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(targets, settings, revision="abc", now=now, jitter=lambda: 0.0)

    async def snapshot(self, allowed: float | None = None) -> Snapshot:
        """A snapshot of the first target."""
        return await self.collector.find(self.targets[0].name).snapshot(allowed)

    async def snapshots(self, allowed: float | None = None) -> list[Snapshot]:
        """A snapshot of each target."""
        return await asyncio.gather(*(self.collector.find(target.name).snapshot(allowed) for target in self.targets))

    async def failure(self, allowed: float | None = None) -> ScrapeError:
        """The error of a snapshot of the first target, which must have failed and contain no jobs."""
        snapshot = await self.snapshot(allowed)
        assert snapshot.error is not None
        assert (snapshot.jobs, snapshot.counts, snapshot.dropped) == ((), None, None)
        return snapshot.error

    async def get(self, seconds: float = 10.0) -> JobPage:
        """The first page of the first target."""
        session = self.client.session(self.targets[0], Deadline(time.monotonic() + seconds))
        provider = self.targets[0].provider
        return await session.get(provider.list_request(None), provider.parse_jobs)

    def counts(self) -> tuple[int, int, int]:
        """Requests, failures (of any reason) and retries so far, of all targets."""
        samples = parse(self.self_metrics.render(openmetrics=False).decode())
        names = ("requests_total", "request_failures_total", "request_retries_total")
        requests, failures, retries = (
            round(sum(number for key, number in samples.items() if key.name == f"batchops_api_{name}"))
            for name in names
        )
        return requests, failures, retries

    def failures(self) -> dict[str, int]:
        """Failures so far by reason, of all targets; only those above 0."""
        samples = parse(self.self_metrics.render(openmetrics=False).decode())
        result: dict[str, int] = {}
        for key, number in samples.items():
            if key.name == "batchops_api_request_failures_total" and number:
                reason = dict(key.labels)["reason"]
                result[reason] = result.get(reason, 0) + round(number)
        return result


@contextlib.asynccontextmanager
async def rig(*targets: Target, now: Callable[[], float] = time.time) -> AsyncIterator[Rig]:
    """An exporter of `targets` for use in the test's own event loop."""
    async with Rig(targets, now=now) as parts:
        yield parts


def fresh_store() -> Store:
    """A store with 25 jobs that change only where the test edits them."""
    return Store(World.fixed(make_jobs(25, now=1_750_000_000)))


def renew(store: Store) -> Store:
    """`store`, as if it had just been made: a server that tests share is quicker than one for each."""
    vars(store).update(vars(fresh_store()))
    return store


@contextlib.contextmanager
def exporting(
    *targets: Target, settings: Settings | None = None, now: Callable[[], float] = time.time
) -> Iterator[str]:
    """The base URL of an exporter of `targets`."""
    with served(Rig(targets, settings, now=now)) as url:
        yield url


@contextlib.contextmanager
def served(parts: Rig) -> Iterator[str]:
    """The base URL of `parts`, whose connections are opened and closed with the server."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await parts.asgi(scope, receive, send)
            return
        async with parts:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with serve(app) as url:
        yield url
