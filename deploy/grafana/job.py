"""The dashboard about one job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.models import dashboard as models

from deploy.grafana import boards
from deploy.grafana.panels import Query, Size, Threshold, code_mapping, number, series, states
from deploy.grafana.queries import CREATED, KIND, TARGET, status_code
from deploy.grafana.tables import facts

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table, timeseries
    from grafana_foundation_sdk.builders.dashboard import Dashboard

JOB: Final = f'{TARGET},job_id="$job"'
"""Selects the job, whatever its status and operation are."""


def dashboard() -> Dashboard:
    """Returns the dashboard."""
    result = boards.board(
        "batchops-job",
        "Batch jobs / Job",
        "One batch job: its progress, speed and time left, why it failed or waits, and where its completion report is. "
        "The list has the jobs that have not ended, or that ended in the last 24 hours; any other id can be typed.",
    )
    result.with_variable(boards.variable("job", f"label_values({CREATED}{{{KIND}}}, job_id)"))
    boards.annotate(result, JOB)
    _now(result)
    _life(result)
    timeline = Query(status_code(JOB), "status")
    result.with_panel(states("Status over time", "Every status that the job had.", timeline, Size(24, 4)))
    result.with_panel(_facts())
    result.with_panel(_tasks())
    _speed(result)
    return result


def _now(board: Dashboard) -> None:
    """How far the job is."""
    board.with_panel(
        number("Status", "The current status.", Query(status_code(JOB)), mappings=[code_mapping()]),
    )
    board.with_panel(
        number(
            "Progress",
            "Share of the tasks that succeeded or failed.",
            Query(f"max(batchops:job_progress:ratio{{{JOB}}})"),
            unit="percentunit",
            decimals=1,
        )
    )
    board.with_panel(
        number(
            "Time left",
            "At the speed of the last 30 minutes. Only an Active job that makes progress has it.",
            Query(f"max(batchops:job_eta:seconds{{{JOB}}})"),
            unit="s",
            decimals=1,
            thresholds=[Threshold(86_400, "orange")],
        )
    )
    # Two decimals would show 0, which is a job without progress.
    slow = models.ValueMappingResult(text="< 0.01")
    board.with_panel(
        number(
            "Tasks/s",
            "Completed tasks, as the mean of 5 minutes.",
            Query(f"max(rate(batchops:job_tasks_done:max{{{JOB}}}[5m]))"),
            decimals=2,
            mappings=[models.RangeMap(models.DashboardRangeMapOptions(1e-9, 0.00999, slow))],
        )
    )
    failed, done = (f"max(batchops:job_tasks_{kind}:max{{{JOB}}})" for kind in ("failed", "done"))
    board.with_panel(
        number(
            "Failed %",
            "Share of failed tasks among the completed ones. An alert fires above 1 %.",
            Query(f"{failed} / ({done} > 0)"),
            unit="percentunit",
            decimals=1,
            thresholds=[Threshold(0.01, "orange"), Threshold(0.1, "red")],
        )
    )
    board.with_panel(
        number(
            "Waiting",
            "Since when a Suspended job waits for a person to confirm it. It fails after 14 days without one.",
            Query(f"1000 * max(batchops_job_suspended_timestamp_seconds{{{JOB}}})"),
            unit="dateTimeFromNow",
            thresholds=[Threshold(1, "orange")],
        )
    )


def _life(board: Dashboard) -> None:
    """How large the job is, and when it was what."""
    for title, description, expression, unit in (
        ("Tasks", "Number of tasks.", f"max(batchops:job_tasks:max{{{JOB}}})", "short"),
        ("Done", "Tasks that succeeded or failed.", f"max(batchops:job_tasks_done:max{{{JOB}}})", "short"),
        ("Failed", "Tasks that failed.", f"max(batchops:job_tasks_failed:max{{{JOB}}})", "short"),
        ("Active for", "Time in status Active.", f"max(batchops_job_elapsed_active_seconds{{{JOB}}})", "s"),
        ("Created", "", f"1000 * max(batchops_job_created_timestamp_seconds{{{JOB}}})", "dateTimeFromNow"),
        ("Ended", "", f"1000 * max(batchops_job_termination_timestamp_seconds{{{JOB}}})", "dateTimeFromNow"),
    ):
        when = f"When the job was {title.lower()}."
        board.with_panel(number(title, description or when, Query(expression), unit=unit))


def _facts() -> table.Panel:
    info = f"batchops:job_info:max{{{JOB}"
    return facts(
        "About the job",
        "What the service says about the job. Why it failed, why it waits and where its report is come from "
        "DescribeJob: a listing describes at most 20 jobs.",
        {
            "Target": f'label_join({info}}}, "text", "/", "provider", "account", "region")',
            "Operation": _text(f'{info},operation!=""}}', "operation"),
            "Failed because": _joined(f"batchops_job_failure_info{{{JOB}}}", ": ", "failure_code", "failure_reason"),
            "Suspended because": _text(f"batchops_job_suspended_info{{{JOB}}}", "cause"),
            "Completion report": _joined(f"batchops_job_report_info{{{JOB}}}", "/", "bucket", "prefix"),
            "Status reason": _text(f"batchops_job_status_reason_info{{{JOB}}}", "reason"),
            "Description": _text(f'{info},description!=""}}', "description"),
            "Priority": f'count_values("text", max(batchops_job_priority{{{JOB}}}))',
        },
        Size(12, 12),
    )


def _text(expression: str, label: str) -> str:
    """Returns `expression` with the label `label` as `text`."""
    return f'label_replace({expression}, "text", "$1", "{label}", "(.*)")'


def _joined(expression: str, separator: str, first: str, second: str) -> str:
    """Returns `expression` with two labels as `text`, and without the separator if one of them is empty."""
    text = f'label_join({expression}, "text", "{separator}", "{first}", "{second}")'
    return f'label_replace({text}, "text", "$1", "text", "(?:{separator})?(.*?)(?:{separator})?")'


def _tasks() -> timeseries.Panel:
    done, failed, total = (f"max(batchops:job_tasks{kind}:max{{{JOB}}})" for kind in ("_done", "_failed", ""))
    result = series(
        "Tasks over time",
        "Tasks that succeeded and that failed, and the number of all tasks as a line.",
        Query(f"{done} - {failed}", "succeeded"),
        Query(failed, "failed"),
        Query(total, "all tasks"),
        colors={"succeeded": "green", "failed": "red", "all tasks": "text"},
        size=Size(12, 12),
        stacked=True,
    )
    line = {"custom.stacking": {"mode": "none"}, "custom.fillOpacity": 0}
    return result.override_by_name("all tasks", [models.DynamicConfigValue(*item) for item in line.items()])


def _speed(board: Dashboard) -> None:
    """How fast the job is."""
    done, failed = (f"rate(batchops:job_tasks_{kind}:max{{{JOB}}}[$__rate_interval])" for kind in ("done", "failed"))
    board.with_panel(
        series(
            "Tasks per second",
            "A line at 0 is a job that makes no progress.",
            Query(f"max({done} - {failed})", "succeeded"),
            Query(f"max({failed})", "failed"),
            colors={"succeeded": "green", "failed": "red"},
        )
    )
    board.with_panel(
        series(
            "Time left over time",
            "At the speed of the last 30 minutes. It is too high in the first 30 minutes of the job.",
            Query(f"max(batchops:job_eta:seconds{{{JOB}}})", "time left"),
            unit="s",
            decimals=1,
        )
    )
