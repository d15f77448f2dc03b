"""The exporter's own state: its API requests, its build, its configuration, its process."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

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

from exporter.core.errors import REASONS, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.target import Target

OPENMETRICS_END: Final = b"# EOF\n"

REQUEST_BUCKETS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; from a page next door to the default timeout of a listing."""

_TARGET: Final = ("provider", "account", "region")


class SelfMetrics:
    """An own registry: nothing of another library, and nothing left from an earlier configuration, gets into it."""

    def __init__(self, *, version: str, revision: str, process: bool = True) -> None:
        """`process` adds the families about this process and the exporter itself, beside those of the API requests."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the contract: no `_created` series
        self._registry = CollectorRegistry(auto_describe=False)
        own = self._registry if process else CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "batchops_api_requests",
            "Requests sent to the service, retries included.",
            (*_TARGET, "operation"),
            registry=self._registry,
        )
        self._failures = Counter(
            "batchops_api_request_failures",
            "Requests that failed, by why.",
            (*_TARGET, "operation", "reason"),
            registry=self._registry,
        )
        self._retries = Counter(
            "batchops_api_request_retries",
            "Requests sent again.",
            (*_TARGET, "operation"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "batchops_api_request_duration_seconds",
            "How long requests took, from the first byte sent to the last one read.",
            ("provider", "operation"),
            buckets=REQUEST_BUCKETS,
            registry=self._registry,
        )
        build = Gauge(
            "batchops_exporter_build_info",
            "The version that runs; always 1.",
            ("version", "revision", "pythonversion"),
            registry=own,
        )
        build.labels(version, revision, platform.python_version()).set(1)
        self._reload = Gauge(
            "batchops_exporter_config_last_reload_successful",
            "Whether the last configuration read was good (1) or not (0).",
            registry=own,
        )
        self._reload_time = Gauge(
            "batchops_exporter_config_last_reload_success_timestamp_seconds",
            "Unix time at which a good configuration was last read.",
            registry=own,
        )
        self.in_flight = Gauge(
            "batchops_exporter_scrapes_in_flight",
            "Scrapes that are being answered.",
            registry=own,
        )
        if process:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def show_from_zero(self, targets: Iterable[Target]) -> None:
        """Give each counter of `targets` its first sample, 0, so that a first failure is seen as a rise."""
        for target in targets:
            for operation in target.operations:
                labels = (target.provider_name, target.account, target.region, operation)
                self._requests.labels(*labels)
                self._retries.labels(*labels)
                self._seconds.labels(target.provider_name, operation)
                for reason in REASONS:
                    self._failures.labels(*labels, reason)

    def config_loaded(self, now: float) -> None:
        """A good configuration was read at the Unix time `now`."""
        self._reload.set(1)
        self._reload_time.set(now)

    def requested(self, target: Target, operation: str, seconds: float) -> None:
        """One request was sent and answered, or failed, after `seconds`."""
        self._requests.labels(target.provider_name, target.account, target.region, operation).inc()
        self._seconds.labels(target.provider_name, operation).observe(seconds)

    def failed(self, target: Target, operation: str, reason: Reason) -> None:
        """One request, or the reading of its answer, failed."""
        self._failures.labels(target.provider_name, target.account, target.region, operation, reason).inc()

    def retried(self, target: Target, operation: str) -> None:
        """One request is sent again."""
        self._retries.labels(target.provider_name, target.account, target.region, operation).inc()

    def render(self, *, openmetrics: bool) -> bytes:
        """The exposition of all of it, without OpenMetrics' end mark."""
        if openmetrics:
            text: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]
            return text.removesuffix(OPENMETRICS_END)
        return generate_latest(self._registry)
