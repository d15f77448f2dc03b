"""The row about the exporter: whether the numbers about jobs can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.grafana.panels import THIRD, Query, Size, Threshold, row, series
from deploy.grafana.queries import TARGET, TARGET_LABELS, named, per_target
from deploy.grafana.tables import Column, joined

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table
    from grafana_foundation_sdk.builders.dashboard import Dashboard

_LEGEND = "{{provider}}/{{account}}/{{region}}"


def add(board: Dashboard) -> None:
    """Add the row."""
    board.with_row(row("Exporter"))
    board.with_panel(_targets())
    board.with_panel(
        series(
            "Duration of listings",
            "How long the last listing of each target took. It must stay below the scrape timeout of Prometheus.",
            Query(per_target(f"batchops_scrape_duration_seconds{{{TARGET}}}"), _LEGEND),
            size=THIRD,
            unit="s",
        )
    )
    requests, retries, failures = (
        f"batchops_api_{name}_total{{{TARGET}}}[$__rate_interval]"
        for name in ("requests", "request_retries", "request_failures")
    )
    board.with_panel(
        series(
            "Requests per second",
            "Requests to the services by operation, including retries; and the retries alone.",
            Query(f"sum by (operation) (rate({requests}))", "{{operation}}"),
            Query(f"sum(rate({retries}))", "retries"),
            size=THIRD,
            colors={"retries": "orange"},
        )
    )
    throttled = failures.replace("}", ',reason="throttled"}')
    others = failures.replace("}", ',reason!="throttled"}')
    board.with_panel(
        series(
            "Failed requests per second",
            "By reason; a retry may have succeeded. throttled: the service's rate limit was exceeded. The README has "
            "the other reasons.",
            Query(f"sum(rate({throttled}))", "throttled"),
            Query(f"sum by (reason) (rate({others})) > 0", "{{reason}}"),
            size=THIRD,
            colors={"throttled": "orange"},
        )
    )
    buckets = 'batchops_api_request_duration_seconds_bucket{provider=~"$provider"}[$__rate_interval]'
    board.with_panel(
        series(
            "Slowest requests",
            "95 % of the requests are faster than this, by service and operation. No line: no requests.",
            Query(
                f"histogram_quantile(0.95, sum by (provider, operation, le) (rate({buckets}))) >= 0",
                "{{provider}} {{operation}}",
            ),
            size=THIRD,
            unit="s",
        )
    )
    expiry = per_target(f"batchops_credentials_expiration_timestamp_seconds{{{TARGET}}}", "min")
    board.with_panel(
        series(
            "Keys expire in",
            "Time until the keys of a target expire. Temporary keys are renewed 15 minutes before. Empty if no key "
            "expires.",
            Query(f"{expiry} - time()", _LEGEND),
            size=THIRD,
            unit="s",
            empty="no key expires",
        )
    )
    dropped = f"max by (provider, account, region, reason) (batchops_scrape_jobs_dropped{{{TARGET}}})"
    unreadable = per_target(f"batchops_scrape_unreadable_values{{{TARGET}}}")
    board.with_panel(
        series(
            "Left out",
            "Jobs without series of their own, by the setting that dropped them; and values that could not be read.",
            Query(f"sum by (reason) ({dropped})", "dropped: {{reason}}"),
            Query(f"sum({unreadable})", "unreadable values"),
            size=THIRD,
            colors={"unreadable values": "orange", "dropped: max": "red"},
            counts=True,
        )
    )


def _targets() -> table.Panel:
    warn = [Threshold(1, "orange")]
    expiry = "1000 * batchops_credentials_expiration_timestamp_seconds"
    jobs = f"sum by ({TARGET_LABELS}) (max without (instance, pod) (batchops_jobs{{{TARGET}}}))"
    return joined(
        "Targets",
        "The last listing of each target. A target that is down has a reason; the README says what to do about each.",
        Column(_by_target("batchops_up", "min"), "State", texts={"0": ("down", "red"), "1": ("up", "green")}),
        Column(_by_target("batchops_scrape_error", labels="target, reason, code")),
        Column(_by_target("1000 * batchops_last_success_timestamp_seconds"), "Last success", unit="dateTimeFromNow"),
        Column(_by_target("batchops_scrape_duration_seconds"), "Duration", unit="s"),
        Column(f"max by (target) ({named(jobs)})", "Jobs"),
        Column(_by_target("batchops_scrape_jobs_dropped", "sum"), "Dropped", thresholds=warn),
        Column(_by_target("batchops_scrape_unreadable_values"), "Unreadable", thresholds=warn),
        Column(_by_target(expiry, "min"), "Keys expire", unit="dateTimeFromNow"),
        key="target",
        show={
            "State": "State",
            "target": "Target",
            "reason": "Reason",
            "code": "Code",
            "Last success": "Last success",
            "Duration": "Duration",
            "Jobs": "Jobs",
            "Dropped": "Dropped",
            "Unreadable": "Unreadable",
            "Keys expire": "Keys expire",
        },
        widths={"State": 65, "Last success": 150, "Duration": 85, "Jobs": 70, "Dropped": 80, "Unreadable": 100},
        sort="State",
        descending=False,
        size=Size(24, 8),
    )


def _by_target(expression: str, function: str = "max", labels: str = "target") -> str:
    """Returns the values of a family, or of the product of a family, by the name of the target."""
    return f"{function} by ({labels}) ({named(f'{expression}{{{TARGET}}}')})"
