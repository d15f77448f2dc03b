"""The families of a listing on prometheus_client's data model, as its documentation tells everyone to write them.

It judges our own renderer, and it is what the benchmark's baseline renders. Help texts are left to the golden file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.snapshot import Snapshot

TARGET = ("provider", "account", "region")
STATED_JOB = (*TARGET, "job_id", "status")
JOB = (*TARGET, "job_id")


def families(listings: Iterable[Snapshot]) -> list[GaugeMetricFamily]:
    """Every family, also where it has no samples. `listings` are each of another target."""
    listings = list(listings)
    return [*_of_targets(listings), *_with_status(listings), *_without_status(listings), *_described(listings)]


def _of_targets(listings: list[Snapshot]) -> list[GaugeMetricFamily]:
    up = GaugeMetricFamily("batchops_up", "", labels=TARGET)
    error = GaugeMetricFamily("batchops_scrape_error", "", labels=(*TARGET, "reason"))
    duration = GaugeMetricFamily("batchops_scrape_duration_seconds", "", labels=TARGET)
    pages = GaugeMetricFamily("batchops_scrape_pages", "", labels=TARGET)
    dropped = GaugeMetricFamily("batchops_scrape_jobs_dropped", "", labels=(*TARGET, "reason"))
    last_success = GaugeMetricFamily("batchops_last_success_timestamp_seconds", "", labels=TARGET)
    expiration = GaugeMetricFamily("batchops_credentials_expiration_timestamp_seconds", "", labels=(*TARGET, "source"))
    counts = GaugeMetricFamily("batchops_jobs", "", labels=(*TARGET, "status"))
    for listing in listings:
        target = (listing.provider, listing.account, listing.region)
        up.add_metric(target, 1 if listing.error is None else 0)
        if listing.error is not None:
            error.add_metric((*target, listing.error.reason), 1)
        duration.add_metric(target, listing.duration)
        pages.add_metric(target, listing.pages)
        for reason, number in (listing.dropped or {}).items():
            dropped.add_metric((*target, reason), number)
        if listing.last_success is not None:
            last_success.add_metric(target, listing.last_success)
        if listing.credentials_expire is not None:
            expiration.add_metric((*target, listing.credentials_source), listing.credentials_expire)
        for status, number in (listing.counts or {}).items():
            counts.add_metric((*target, status), number)
    return [up, error, duration, pages, dropped, last_success, expiration, counts]


def _with_status(listings: list[Snapshot]) -> list[GaugeMetricFamily]:
    status = GaugeMetricFamily("batchops_job_status", "", labels=STATED_JOB)
    tasks = GaugeMetricFamily("batchops_job_tasks", "", labels=STATED_JOB)
    succeeded = GaugeMetricFamily("batchops_job_tasks_succeeded", "", labels=STATED_JOB)
    failed = GaugeMetricFamily("batchops_job_tasks_failed", "", labels=STATED_JOB)
    elapsed = GaugeMetricFamily("batchops_job_elapsed_active_seconds", "", labels=STATED_JOB)
    for listing in listings:
        for job in listing.jobs:
            labels = (listing.provider, listing.account, listing.region, job.id, job.status)
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


def _without_status(listings: list[Snapshot]) -> list[GaugeMetricFamily]:
    info = GaugeMetricFamily("batchops_job_info", "")
    priority = GaugeMetricFamily("batchops_job_priority", "", labels=JOB)
    created = GaugeMetricFamily("batchops_job_created_timestamp_seconds", "", labels=JOB)
    terminated = GaugeMetricFamily("batchops_job_termination_timestamp_seconds", "", labels=JOB)
    for listing in listings:
        for job in listing.jobs:
            labels = (listing.provider, listing.account, listing.region, job.id)
            told = dict(zip(JOB, labels, strict=True), operation=job.operation or "")
            if listing.show_descriptions:
                told["description"] = job.description or ""
            info.add_sample(info.name, told, 1)
            if job.priority is not None:
                priority.add_metric(labels, job.priority)
            if job.created is not None:
                created.add_metric(labels, job.created)
            if job.terminated is not None:
                terminated.add_metric(labels, job.terminated)
    return [info, priority, created, terminated]


def _described(listings: list[Snapshot]) -> list[GaugeMetricFamily]:
    failure = GaugeMetricFamily("batchops_job_failure_info", "", labels=(*JOB, "failure_code", "failure_reason"))
    suspended = GaugeMetricFamily("batchops_job_suspended_timestamp_seconds", "", labels=JOB)
    for listing in listings:
        for job in listing.jobs:
            labels = (listing.provider, listing.account, listing.region, job.id)
            detail = listing.details.get(job.id)
            if detail is None:
                continue
            if detail.failure_code or detail.failure_reason:
                failure.add_metric((*labels, detail.failure_code or "", detail.failure_reason or ""), 1)
            if detail.suspended is not None:
                suspended.add_metric(labels, detail.suspended)
    return [failure, suspended]
