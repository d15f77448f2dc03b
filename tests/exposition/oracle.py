"""The families of a snapshot in prometheus_client's data model, written as its documentation recommends.

The renderer is compared with it, and the benchmark's baseline renders it. The golden file checks the help texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from exporter.core.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.snapshot import Snapshot

TARGET = ("provider", "account", "region")
JOB_STATUS = (*TARGET, "job_id", "status")
JOB = (*TARGET, "job_id")


def families(snapshots: Iterable[Snapshot]) -> list[GaugeMetricFamily]:
    """Every family, including those without samples. `snapshots` are of different targets."""
    snapshots = list(snapshots)
    return [*_of_targets(snapshots), *_with_status(snapshots), *_without_status(snapshots), *_described(snapshots)]


def without_line_breaks(value: str | None) -> str:
    """`value` with a space for each character at which Python splits lines, except line feed; empty for None."""
    if not value or value.isprintable():
        return value or ""
    return "".join(" " if char != "\n" and len(f"a{char}b".splitlines()) == 2 else char for char in value)


def _labels(*values: str | None) -> tuple[str, ...]:
    return tuple(map(without_line_breaks, values))


def _of_targets(snapshots: list[Snapshot]) -> list[GaugeMetricFamily]:
    up = GaugeMetricFamily("batchops_up", "", labels=TARGET)
    error = GaugeMetricFamily("batchops_scrape_error", "", labels=(*TARGET, "reason", "code"))
    duration = GaugeMetricFamily("batchops_scrape_duration_seconds", "", labels=TARGET)
    pages = GaugeMetricFamily("batchops_scrape_pages", "", labels=TARGET)
    dropped = GaugeMetricFamily("batchops_scrape_jobs_dropped", "", labels=(*TARGET, "reason"))
    unreadable = GaugeMetricFamily("batchops_scrape_unreadable_values", "", labels=TARGET)
    last_success = GaugeMetricFamily("batchops_last_success_timestamp_seconds", "", labels=TARGET)
    expiration = GaugeMetricFamily("batchops_credentials_expiration_timestamp_seconds", "", labels=(*TARGET, "source"))
    counts = GaugeMetricFamily("batchops_jobs", "", labels=(*TARGET, "status"))
    for snapshot in snapshots:
        target = _labels(snapshot.provider, snapshot.account, snapshot.region)
        up.add_metric(target, 1 if snapshot.error is None else 0)
        if snapshot.error is not None:
            code = snapshot.error.code if isinstance(snapshot.error, ServiceError) else None
            error.add_metric((*target, *_labels(snapshot.error.reason, code)), 1)
        duration.add_metric(target, snapshot.duration)
        pages.add_metric(target, snapshot.pages)
        for reason, number in (snapshot.dropped or {}).items():
            dropped.add_metric((*target, *_labels(reason)), number)
        if snapshot.unreadable is not None:
            unreadable.add_metric(target, snapshot.unreadable)
        if snapshot.last_success is not None:
            last_success.add_metric(target, snapshot.last_success)
        if snapshot.credentials_expire is not None:
            expiration.add_metric((*target, *_labels(snapshot.credentials_source)), snapshot.credentials_expire)
        for status, number in (snapshot.counts or {}).items():
            counts.add_metric((*target, *_labels(status)), number)
    return [up, error, duration, pages, dropped, unreadable, last_success, expiration, counts]


def _with_status(snapshots: list[Snapshot]) -> list[GaugeMetricFamily]:
    status = GaugeMetricFamily("batchops_job_status", "", labels=JOB_STATUS)
    tasks = GaugeMetricFamily("batchops_job_tasks", "", labels=JOB_STATUS)
    succeeded = GaugeMetricFamily("batchops_job_tasks_succeeded", "", labels=JOB_STATUS)
    failed = GaugeMetricFamily("batchops_job_tasks_failed", "", labels=JOB_STATUS)
    elapsed = GaugeMetricFamily("batchops_job_elapsed_active_seconds", "", labels=JOB_STATUS)
    for snapshot in snapshots:
        target = _labels(snapshot.provider, snapshot.account, snapshot.region)
        for job in snapshot.jobs:
            labels = (*target, *_labels(job.id, job.status))
            status.add_metric(labels, 1)
            if job.tasks is not None:
                tasks.add_metric(labels, job.tasks)
            if job.succeeded is not None:
                succeeded.add_metric(labels, job.succeeded)
            if job.failed is not None:
                failed.add_metric(labels, job.failed)
            if job.elapsed_active is not None:
                elapsed.add_metric(labels, job.elapsed_active)
    return [status, tasks, succeeded, failed, elapsed]


def _without_status(snapshots: list[Snapshot]) -> list[GaugeMetricFamily]:
    info = GaugeMetricFamily("batchops_job_info", "")
    priority = GaugeMetricFamily("batchops_job_priority", "", labels=JOB)
    created = GaugeMetricFamily("batchops_job_created_timestamp_seconds", "", labels=JOB)
    terminated = GaugeMetricFamily("batchops_job_termination_timestamp_seconds", "", labels=JOB)
    for snapshot in snapshots:
        target = _labels(snapshot.provider, snapshot.account, snapshot.region)
        for job in snapshot.jobs:
            labels = (*target, *_labels(job.id))
            labelled = dict(zip(JOB, labels, strict=True), operation=without_line_breaks(job.operation))
            if snapshot.show_descriptions:
                labelled["description"] = without_line_breaks(job.description)
            info.add_sample(info.name, labelled, 1)
            if job.priority is not None:
                priority.add_metric(labels, job.priority)
            if job.created is not None:
                created.add_metric(labels, job.created)
            if job.terminated is not None:
                terminated.add_metric(labels, job.terminated)
    return [info, priority, created, terminated]


def _described(snapshots: list[Snapshot]) -> list[GaugeMetricFamily]:
    failure = GaugeMetricFamily("batchops_job_failure_info", "", labels=(*JOB, "failure_code", "failure_reason"))
    suspended = GaugeMetricFamily("batchops_job_suspended_timestamp_seconds", "", labels=JOB)
    cause = GaugeMetricFamily("batchops_job_suspended_info", "", labels=(*JOB, "cause"))
    reason = GaugeMetricFamily("batchops_job_status_reason_info", "", labels=(*JOB, "reason"))
    report = GaugeMetricFamily("batchops_job_report_info", "", labels=(*JOB, "bucket", "prefix"))
    for snapshot in snapshots:
        target = _labels(snapshot.provider, snapshot.account, snapshot.region)
        for job in snapshot.jobs:
            labels = (*target, *_labels(job.id))
            detail = snapshot.details.get(job.id)
            if detail is None:
                continue
            if detail.failure_code or detail.failure_reason:
                failure.add_metric((*labels, *_labels(detail.failure_code, detail.failure_reason)), 1)
            if detail.suspended is not None:
                suspended.add_metric(labels, detail.suspended)
            if detail.suspended_cause:
                cause.add_metric((*labels, *_labels(detail.suspended_cause)), 1)
            if detail.status_reason:
                reason.add_metric((*labels, *_labels(detail.status_reason)), 1)
            if detail.report_bucket or detail.report_prefix:
                report.add_metric((*labels, *_labels(detail.report_bucket, detail.report_prefix)), 1)
    return [failure, suspended, cause, reason, report]
