"""The dashboard for a glance: all jobs, the failures, and the exporter's health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana import boards, exporter_row
from deploy.grafana.panels import STATUS_COLORS, Query, Size, Threshold, number, row, series, states
from deploy.grafana.queries import (
    CREATED,
    ENDED,
    JOB_LABELS,
    JOBS,
    KIND,
    TARGET,
    ended_last,
    newest,
    of,
    per_target,
    shown,
)
from deploy.grafana.tables import Column, joined

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table
    from grafana_foundation_sdk.builders.dashboard import Dashboard

FAILED: Final = f'{JOBS},status="Failed"'
"""Selects the jobs that failed. A recent job with this status failed in the last 24 hours."""
ROWS: Final = 100
"""Number of jobs in a table."""
TIMELINES: Final = 20
"""Number of jobs in the state timeline."""


def dashboard() -> Dashboard:
    """Returns the dashboard."""
    result = boards.board(
        "batchops-overview",
        "Batch jobs / Overview",
        "The batch jobs of object storage that have not ended, or that ended in the last 24 hours; why jobs failed; "
        "and the health of the exporter.",
    )
    result.with_variable(boards.text_variable("job", "Job (regex)", ".*"))
    boards.annotate(result, JOBS)
    _numbers(result)
    _jobs(result)
    _failures(result)
    exporter_row.add(result)
    return result


def _numbers(board: Dashboard) -> None:
    """What needs a person, as one row of numbers."""
    board.with_panel(
        number(
            "Active",
            "Jobs that are working on their tasks now.",
            Query(f'count({CREATED}{{{JOBS},status="Active"}}) or vector(0)'),
        )
    )
    board.with_panel(
        number(
            "Confirm",
            "Suspended jobs. Each waits for a person to confirm it, and fails after 14 days without one.",
            Query(f'count({CREATED}{{{JOBS},status="Suspended"}}) or vector(0)'),
            thresholds=[Threshold(1, "orange")],
        )
    )
    board.with_panel(
        number(
            "Failed",
            "Jobs that failed in the last 24 hours.",
            Query(f"count({CREATED}{{{FAILED}}}) or vector(0)"),
            thresholds=[Threshold(1, "red")],
        )
    )
    recent = f"and on ({JOB_LABELS}) {CREATED}{{{JOBS}}}"
    failed, done = (f"sum(batchops:job_tasks_{kind}:max{{{TARGET}}} {recent})" for kind in ("failed", "done"))
    board.with_panel(
        number(
            "Failed %",
            "Share of failed tasks among the completed tasks of all recent jobs. An alert fires if one job has more "
            "than 1 %.",
            Query(f"{failed} / ({done} > 0)"),
            unit="percentunit",
            decimals=1,
            thresholds=[Threshold(0.01, "orange"), Threshold(0.1, "red")],
        )
    )
    board.with_panel(
        number(
            "Time left",
            "Time until the last Active job is done, at its speed of the last 30 minutes.",
            Query(f"max(batchops:job_eta:seconds{{{TARGET}}} {recent})"),
            unit="s",
            decimals=1,
            thresholds=[Threshold(86_400, "orange")],
        )
    )
    board.with_panel(
        number(
            "Down",
            "Targets whose last listing failed: nothing is known about their jobs. The table Targets has the reason.",
            Query(f"count({per_target(f'batchops_up{{{TARGET}}}', 'min')} == 0) or vector(0)"),
            thresholds=[Threshold(1, "red")],
        )
    )


def _jobs(board: Dashboard) -> None:
    """What the jobs do now, and what they did."""
    board.with_panel(
        series(
            "Jobs that have not ended",
            "Number of jobs by status. The variable Job does not apply.",
            Query(f'sum by (status) (batchops:recent_jobs:count{{{KIND},status!~"{ENDED}"}})', "{{status}}"),
            colors=STATUS_COLORS,
            stacked=True,
        )
    )
    rates = f'{{{TARGET},operation=~"$operation"}}'
    board.with_panel(
        series(
            "Tasks per second",
            "Completed tasks of the Active jobs, as the mean of 5 minutes. The variables Status and Job do not apply.",
            *(Query(f"sum(batchops:tasks_{kind}:rate5m{rates})", kind) for kind in ("succeeded", "failed")),
            colors={"succeeded": "green", "failed": "red"},
        )
    )
    code = f'batchops:newest_job_status:code{{{TARGET},operation=~"$operation",job_id=~"$job"}}'
    board.with_panel(
        states(
            f"Status of the {TIMELINES} newest jobs",
            "The status of each job over time. For an older job, open it from the table below.",
            Query(
                f"max by (operation, short) ({shown(f'{code} and on ({JOB_LABELS}) {newest(TIMELINES, end=True)}')})",
                "{{operation}} {{short}}",
            ),
            Size(24, 12),
        )
    )
    board.with_panel(_table())


def _table() -> table.Panel:
    chosen = newest(ROWS)
    done, failed = (f"batchops:job_tasks_{kind}:max{{{TARGET}}}" for kind in ("done", "failed"))
    return joined(
        "Jobs",
        f"The {ROWS} newest jobs that have not ended, or that ended in the last 24 hours. The job id opens the job.",
        Column(
            f"max by ({JOB_LABELS}, status, operation, description) (1000 * {chosen})",
            "Created",
            unit="dateTimeFromNow",
            width=160,
        ),
        Column(of(f"batchops:job_progress:ratio{{{TARGET}}}", chosen), "Progress", unit="percentunit", bar="blue"),
        Column(of(f"batchops:job_eta:seconds{{{TARGET}}}", chosen), "Time left", unit="s", width=90),
        Column(
            of(f"{failed} / ({done} > 0)", chosen),
            "Failed tasks",
            unit="percentunit",
            width=100,
            thresholds=[Threshold(0.01, "orange"), Threshold(0.1, "red")],
        ),
        key="job_id",
        show={
            "status": "Status",
            "job_id": "Job",
            "Progress": "Progress",
            "Time left": "Time left",
            "Failed tasks": "Failed tasks",
            "operation": "Operation",
            "description": "Description",
            "Created": "Created",
            "provider": "Provider",
            "account": "Account",
            "region": "Region",
        },
        widths={"status": 95, "operation": 165, "job_id": 110, "provider": 80, "account": 90, "region": 130},
        sort="Created",
        size=Size(24, 13),
    )


def _failures(board: Dashboard) -> None:
    """Why jobs failed."""
    board.with_row(row("Failures of the last 24 hours"))
    reasons = f"max by ({JOB_LABELS}, failure_code) (batchops_job_failure_info{{{TARGET}}})"
    board.with_panel(
        joined(
            "Failed jobs by reason",
            "The service's own codes, as DescribeJob returns them. A job whose reason is not known yet is not counted: "
            "a listing describes at most 20 jobs.",
            Column(
                f"count by (failure_code) ({reasons} and on ({JOB_LABELS}) {CREATED}{{{FAILED}}})",
                "Jobs",
                width=110,
                bar="red",
            ),
            key="failure_code",
            show={"failure_code": "Reason", "Jobs": "Jobs"},
            sort="Jobs",
            size=Size(9, 9),
        )
    )
    chosen = ended_last(ROWS, FAILED)
    board.with_panel(
        joined(
            "Failed jobs",
            f"The {ROWS} jobs that failed last. The job id opens the job.",
            Column(
                f"max by ({JOB_LABELS}, operation, description) (1000 * {chosen})",
                "Failed",
                unit="dateTimeFromNow",
                width=160,
            ),
            Column(
                "max by (job_id, failure_code, failure_reason) "
                f"(batchops_job_failure_info{{{TARGET}}} and on ({JOB_LABELS}) {chosen})"
            ),
            key="job_id",
            show={
                "Failed": "Failed",
                "job_id": "Job",
                "failure_code": "Reason",
                "failure_reason": "The service says",
                "operation": "Operation",
                "description": "Description",
                "provider": "Provider",
                "account": "Account",
                "region": "Region",
            },
            widths={
                "failure_code": 180,
                "failure_reason": 400,
                "operation": 165,
                "job_id": 110,
                "provider": 80,
                "account": 90,
                "region": 130,
            },
            sort="Failed",
            size=Size(15, 9),
        )
    )
