"""The baseline: an exporter as most people would write one, with the same libraries.

A new `httpx.Client` for each scrape, defusedxml and `findtext`, `GaugeMetricFamily`, `start_http_server`. It signs with
our code and exports the same samples. `python -m bench.naive --store=URL` prints its URL once it responds.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
from defusedxml import ElementTree
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from bench.programs import ACCOUNT, KEY_ID, KEY_SECRET, PROVIDER, regions
from exporter.collector.selection import DROP_REASONS
from exporter.core.jobs import STATUSES, Job, JobPage
from exporter.core.secrets import Credentials, Secret
from exporter.core.snapshot import Snapshot
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from tests.exposition import oracle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from prometheus_client.core import GaugeMetricFamily

CREDENTIALS: Final = Credentials(KEY_ID, Secret(KEY_SECRET))


def parse(body: bytes) -> JobPage:
    """The page in `body`."""
    root = ElementTree.fromstring(body)
    jobs = [
        Job(
            id=item.findtext("JobId", ""),
            status=item.findtext("Status", ""),
            operation=item.findtext("Operation"),
            description=item.findtext("Description") or None,
            priority=_number(item, "Priority"),
            created=_number(item, "CreationTime"),
            terminated=_number(item, "TerminationDate"),
            tasks=_number(item, "ProgressSummary/TotalNumberOfTasks"),
            succeeded=_number(item, "ProgressSummary/NumberOfTasksSucceeded"),
            failed=_number(item, "ProgressSummary/NumberOfTasksFailed"),
            elapsed_active=_number(item, "ProgressSummary/Timers/ElapsedTimeInActiveSeconds"),
        )
        for item in root.iterfind("Jobs/JobListDescriptor")
    ]
    return JobPage(jobs, root.findtext("NextToken") or None)


def _number(item: Element, path: str) -> int | None:
    text = item.findtext(path)
    return int(text) if text else None


def endpoint(url: str) -> Endpoint:
    """The endpoint of the store at `url`."""
    parts = urlsplit(url)
    return Endpoint(parts.scheme, parts.netloc)


class Naive(Collector):
    """Lists the targets of the store at each scrape, one after the other."""

    def __init__(self, store: str, targets: int) -> None:
        self._providers = [Oss(endpoint(store), region) for region in regions(targets)]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families of all targets."""
        with httpx.Client() as client:
            snapshots = [_snapshot(provider, client) for provider in self._providers]
        yield from oracle.families(snapshots)


def _snapshot(provider: Oss, client: httpx.Client) -> Snapshot:
    start = time.monotonic()
    jobs: list[Job] = []
    pages = 0
    token = None
    while pages == 0 or token is not None:
        request = provider.sign(provider.list_request(token), CREDENTIALS, time.time())
        response = client.get(request.url, headers=dict(request.headers))
        response.raise_for_status()
        page = parse(response.content)
        jobs += page.jobs
        token = page.next_token
        pages += 1
    counts = Counter(job.status for job in jobs)
    return Snapshot(
        provider=PROVIDER,
        account=ACCOUNT,
        region=provider.region,
        pages=pages,
        duration=time.monotonic() - start,
        jobs=tuple(jobs),
        counts=dict.fromkeys(STATUSES, 0) | counts,
        dropped=dict.fromkeys(DROP_REASONS, 0),
        unreadable=0,
        last_success=time.time(),
    )


def main() -> None:
    """Serve until the process is terminated."""
    parser = argparse.ArgumentParser(prog="python -m bench.naive", description=__doc__)
    parser.add_argument("--store", required=True, metavar="URL")
    parser.add_argument("--targets", type=int, default=1)
    options = parser.parse_args()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Naive(options.store, options.targets))
    server, _ = start_http_server(0, "127.0.0.1", registry)
    print(f"the baseline listens on http://127.0.0.1:{server.server_port}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
