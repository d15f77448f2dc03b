"""The kinds of panel: one number, series over time, states over time. Tables are in `tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, TypeVar, Unpack

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models

from deploy.grafana.boards import SOURCE
from exporter.core.jobs import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATUS_COLORS: Final = {
    "New": "super-light-purple",
    "Preparing": "light-purple",
    "Ready": "purple",
    "Suspended": "orange",
    "Active": "blue",
    "Pausing": "light-yellow",
    "Paused": "yellow",
    "Completing": "light-green",
    "Complete": "green",
    "Cancelling": "#a0a0a0",
    "Cancelled": "#808080",
    "Failing": "light-red",
    "Failed": "red",
}
"""Orange and red need a person; grey and green do not."""

Panel = TypeVar("Panel", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)


class Query(NamedTuple):
    """An expression, and what the legend calls its series."""

    expression: str
    legend: str = ""


class Threshold(NamedTuple):
    """From `value` on, the colour is `color`."""

    value: float
    color: str


class Size(NamedTuple):
    """Width in columns, of which a dashboard has 24, and height in units of 38 pixels."""

    width: int
    height: int


class Style(TypedDict, total=False):
    """What any kind of panel can have. Without a unit, a number is shortened: 12.3 K. `empty` is shown without data."""

    unit: str
    decimals: int
    thresholds: Sequence[Threshold]
    mappings: Sequence[models.ValueMapping]
    empty: str


SMALL: Final = Size(4, 4)
THIRD: Final = Size(8, 8)
HALF: Final = Size(12, 8)


def row(title: str) -> dashboard.Row:
    """Returns a heading."""
    return dashboard.Row(title)


def number(title: str, description: str, query: Query, **style: Unpack[Style]) -> stat.Panel:
    """Returns one number. Without thresholds it is blue; with thresholds, green below the first."""
    result = finished(stat.Panel(), title, description, SMALL, **style)
    result.with_target(instant(query)).no_value("-").color_mode(options.BigValueColorMode.VALUE)
    return result.graph_mode(options.BigValueGraphMode.NONE)


def series(
    title: str,
    description: str,
    *queries: Query,
    size: Size = HALF,
    colors: Mapping[str, str] | None = None,
    stacked: bool = False,
    counts: bool = False,
    **style: Unpack[Style],
) -> timeseries.Panel:
    """Returns lines over time, or stacked areas; `colors` are by legend. An axis of `counts` goes up to 1 at least."""
    result = finished(timeseries.Panel(), title, description, size, **style)
    for index, query in enumerate(queries):
        result.with_target(over_time(query, index))
    result.min(0).line_width(1).fill_opacity(60 if stacked else 0).show_points(options.VisibilityMode.NEVER)
    if counts:
        result.axis_soft_max(1)
    if stacked:
        result.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST)
    result.legend(legend.placement(options.LegendPlacement.BOTTOM).show_legend(show_legend=True))
    result.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    result.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    for name, color in (colors or {}).items():
        result.override_by_name(name, [models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})])
    return result


def states(title: str, description: str, query: Query, size: Size) -> statetimeline.Panel:
    """Returns the statuses of jobs over time; the values are the codes of `queries.status_code`."""
    result = finished(statetimeline.Panel(), title, description, size, mappings=[code_mapping()])
    result.with_target(over_time(query)).merge_values(merge_values=True)
    result.show_value(options.VisibilityMode.AUTO).row_height(0.85)
    result.legend(common.VizLegendOptions().show_legend(show_legend=False))
    return result


def finished(panel: Panel, title: str, description: str, size: Size, **style: Unpack[Style]) -> Panel:
    """Returns `panel` with what every kind has."""
    panel.title(title).description(description).datasource(SOURCE).span(size.width).height(size.height)
    panel.unit(style.get("unit", "short"))
    if "decimals" in style:
        panel.decimals(style["decimals"])
    panel.thresholds(_steps(style.get("thresholds", ())))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    if "empty" in style:
        panel.no_value(style["empty"])
    if "mappings" in style:
        panel.mappings(list(style["mappings"]))
    return panel


def _steps(thresholds: Sequence[Threshold]) -> dashboard.ThresholdsConfig:
    first = models.Threshold(None, "green" if thresholds else "blue")
    steps = [first, *(models.Threshold(*step) for step in thresholds)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def over_time(query: Query, index: int = 0) -> prometheus.Dataquery:
    """Returns a range query."""
    return _target(query, index).range()


def instant(query: Query, index: int = 0) -> prometheus.Dataquery:
    """Returns a query of the newest values."""
    return _target(query, index).instant()


def _target(query: Query, index: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend or "__auto")
    return target.ref_id("ABCDEFGHIJKLM"[index]).datasource(SOURCE)


def code_mapping() -> models.ValueMap:
    """Returns the names and colours of the codes of statuses."""
    known = {str(code): (status, STATUS_COLORS[status]) for code, status in enumerate(STATUSES, start=1)}
    return value_mapping({"0": ("other", "text"), **known})


def value_mapping(texts: Mapping[str, tuple[str, str]]) -> models.ValueMap:
    """Returns a text and a colour for each value."""
    return models.ValueMap(
        {
            value: models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(texts.items())
        }
    )
