"""The exporter's own metrics: API requests, build, configuration, process."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.core.errors import REASONS
from exporter.core.jobs import Parser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.errors import ScrapeError
    from exporter.core.http import Request
    from exporter.core.jobs import JobPage
    from exporter.core.target import Target

OPENMETRICS_END: Final = b"# EOF\n"

REQUEST_BUCKETS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; from a page of a service nearby to the default timeout of a listing."""

_TARGET: Final = ("provider", "account", "region")


class SelfMetrics:
    """Metrics in a registry of their own, without those of other libraries or of an earlier configuration."""

    def __init__(self, *, version: str, revision: str, process: bool = True) -> None:
        """`process` adds the families about the process and the exporter itself to those about API requests."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the contract: no `_created` series
        self._registry = CollectorRegistry(auto_describe=False)
        own = self._registry if process else CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "batchops_api_requests",
            "Total number of requests sent to the service, including retries.",
            (*_TARGET, "operation"),
            registry=self._registry,
        )
        self._failures = Counter(
            "batchops_api_request_failures",
            "Total number of failed requests, by reason.",
            (*_TARGET, "operation", "reason"),
            registry=self._registry,
        )
        self._retries = Counter(
            "batchops_api_request_retries",
            "Total number of requests sent again.",
            (*_TARGET, "operation"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "batchops_api_request_duration_seconds",
            "Duration of requests, from the first byte sent to the last byte read, in seconds.",
            ("provider", "operation"),
            buckets=REQUEST_BUCKETS,
            registry=self._registry,
        )
        build = Gauge(
            "batchops_exporter_build_info",
            "Version of the running exporter; always 1.",
            ("version", "revision", "pythonversion"),
            registry=own,
        )
        build.labels(version, revision, platform.python_version()).set(1)
        self._reload = Gauge(
            "batchops_exporter_config_last_reload_successful",
            "Whether the last load of the configuration succeeded (1) or not (0).",
            registry=own,
        )
        self._reload_time = Gauge(
            "batchops_exporter_config_last_reload_success_timestamp_seconds",
            "Unix time of the last successful load of the configuration.",
            registry=own,
        )
        self._shown: dict[tuple[str, str, str, str], None] = {}
        """The labels of the counters by target; others are not counted: listings of a target may outlast it."""
        self.in_flight = 0
        """Scrapes that are being answered; the gauge shows it, and the limit on scrapes compares it."""
        Gauge(
            "batchops_exporter_scrapes_in_flight",
            "Number of scrapes being answered.",
            registry=own,
        ).set_function(lambda: self.in_flight)
        self._rejected = Counter(
            "batchops_exporter_scrapes_rejected",
            "Total number of scrapes rejected because too many others were in flight.",
            registry=own,
        )
        self._pages = Counter(
            "batchops_exporter_pages_parsed",
            "Total number of pages parsed; the parser is pattern for pages in the usual form and xml for others.",
            ("parser",),
            registry=own,
        )
        for parser in get_args(Parser):
            self._pages.labels(parser)
        if process:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def keep_only(self, targets: Iterable[Target]) -> None:
        """Show the counters of `targets` only: new ones from 0, so that a first failure is an increase."""
        shown = dict.fromkeys((*target.labels, operation) for target in targets for operation in target.operations)
        for labels in self._shown.keys() - shown.keys():
            self._requests.remove(*labels)
            self._retries.remove(*labels)
            for reason in REASONS:
                self._failures.remove(*labels, reason)
        for labels in (labels for labels in shown if labels not in self._shown):
            self._requests.labels(*labels)
            self._retries.labels(*labels)
            self._seconds.labels(labels[0], labels[-1])
            for reason in REASONS:
                self._failures.labels(*labels, reason)
        self._shown = shown

    def config_refused(self) -> None:
        """The configuration could not be loaded; the last one stays in use."""
        self._reload.set(0)

    def config_loaded(self, now: float) -> None:
        """The configuration was loaded at the Unix time `now`."""
        self._reload.set(1)
        self._reload_time.set(now)

    def prepared(self, target: Target, request: Request, *, turn: float, keys: float) -> None:
        """One request can be sent; what it waited for is not counted."""

    def requested(self, target: Target, request: Request, seconds: float, status: int | None) -> None:
        """One request was sent and answered, or failed, after `seconds`; the status is not counted."""
        del status
        if (labels := (*target.labels, request.operation)) in self._shown:
            self._requests.labels(*labels).inc()
        self._seconds.labels(target.provider_name, request.operation).observe(seconds)

    def failed(self, target: Target, request: Request, error: ScrapeError) -> None:
        """One request failed, or its response could not be read."""
        if (labels := (*target.labels, request.operation)) in self._shown:
            self._failures.labels(*labels, error.reason).inc()

    def retried(self, target: Target, request: Request) -> None:
        """One request is sent again."""
        if (labels := (*target.labels, request.operation)) in self._shown:
            self._retries.labels(*labels).inc()

    def page_parsed(self, page: JobPage) -> None:
        """One page of a listing was parsed."""
        self._pages.labels(page.parser).inc()

    def scrape_started(self) -> None:
        """A scrape is being answered from now on."""
        self.in_flight += 1

    def scrape_ended(self) -> None:
        """A scrape was answered, or its client has left."""
        self.in_flight -= 1

    def scrape_rejected(self) -> None:
        """A scrape was rejected because too many others were in flight."""
        self._rejected.inc()

    def render(self, *, openmetrics: bool) -> bytes:
        """The exposition of these metrics, without the end mark of OpenMetrics."""
        if openmetrics:
            text: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]
            return text.removesuffix(OPENMETRICS_END)
        return generate_latest(self._registry)
