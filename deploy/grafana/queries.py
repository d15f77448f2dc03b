"""PromQL of the dashboards: selectors by the variables, and the expressions that several panels use."""

from __future__ import annotations

from typing import Final

from exporter.core.jobs import STATUSES, TERMINAL_STATUSES

TARGET: Final = 'provider=~"$provider",account=~"$account",region=~"$region"'
"""Selects by the variables that every series has a label for."""
KIND: Final = f'{TARGET},operation=~"$operation",status=~"$status"'
"""Selects by these and by the variables about jobs; for series that are about many jobs."""
JOBS: Final = f'{KIND},job_id=~"$job"'
"""Selects jobs by all variables."""
TARGET_LABELS: Final = "provider, account, region"
JOB_LABELS: Final = f"{TARGET_LABELS}, job_id"
ENDED: Final = "|".join(status for status in STATUSES if status in TERMINAL_STATUSES)
"""A pattern of the statuses in which a job has ended."""
CREATED: Final = "batchops:recent_job_created:max"
"""Unix time at which a job was created, of each job that has not ended or that ended in the last 24 hours."""


def per_target(expression: str, function: str = "max") -> str:
    """Returns one series for each target, however many replicas of the exporter there are."""
    return f"{function} by ({TARGET_LABELS}) ({expression})"


def named(expression: str) -> str:
    """Returns `expression` with the target's name as label `target`."""
    return f'label_join({expression}, "target", "/", "provider", "account", "region")'


def shown(expression: str) -> str:
    """Returns `expression` with the first 8 characters of the job id as label `short`."""
    return f'label_replace({expression}, "short", "$1", "job_id", "(.{{1,8}}).*")'


def newest(count: int, *, end: bool = False) -> str:
    """Returns the `count` selected jobs that were created last.

    With `end` they are those at the end of the time range, also in a range query.
    """
    return f"topk({count}, {CREATED}{{{JOBS}}}{_at(end=end)})"


def ended_last(count: int, selector: str, *, end: bool = False) -> str:
    """Returns when jobs ended, of the `count` selected recent jobs that ended last; `end` as above."""
    ended = f"batchops:recent_job_end:timestamp_seconds{{{TARGET}}}{_at(end=end)}"
    jobs = f"({CREATED}{{{selector}}}{_at(end=end)} > bool 0)"
    return f"topk({count}, {ended} * ignoring (status, operation, description) group_right () {jobs})"


def _at(*, end: bool) -> str:
    return " @ end()" if end else ""


def of(expression: str, jobs: str) -> str:
    """Returns one series for each of `jobs`: the value of `expression`."""
    return f"max by (job_id) ({expression} and on ({JOB_LABELS}) {jobs})"


def status_code(selector: str) -> str:
    """Returns the status of one job as a number: its place in STATUSES, from 1; 0: another status."""
    known = " or ".join(
        f'{code} * batchops_job_status{{{selector},status="{status}"}}' for code, status in enumerate(STATUSES, start=1)
    )
    return f"max({known} or 0 * batchops_job_status{{{selector}}})"
