"""Tables: several instant queries, joined by one label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.panels import STATUS_COLORS, Query, Size, Threshold, finished, instant, value_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOB_LINK: Final = (
    "/d/batchops-job?${datasource:queryparam}"
    "&var-provider=${__data.fields.provider:percentencode}"
    "&var-account=${__data.fields.account:percentencode}"
    "&var-region=${__data.fields.region:percentencode}"
    "&var-job=${__data.fields.job_id:percentencode}&${__url_time_range}"
)
"""The dashboard of the job in a row."""


class Column(NamedTuple):
    """The values of a query as a column `name`; without a name only the labels of the query are shown."""

    expression: str
    name: str = ""
    unit: str = "short"
    width: int = 0
    """Pixels; 0: as wide as there is room."""
    thresholds: Sequence[Threshold] = ()
    texts: Mapping[str, tuple[str, str]] | None = None
    """Texts and colours instead of values."""
    bar: str = ""
    """The colour of a bar from 0 to the greatest value, or to 1 for a share."""


def joined(
    title: str,
    description: str,
    *columns: Column,
    key: str,
    show: Mapping[str, str],
    sort: str,
    size: Size,
    widths: Mapping[str, int] | None = None,
    descending: bool = True,
) -> table.Panel:
    """Returns a table with a row for each value of the label `key`, which every query has.

    `show` has the labels and the names of columns in their order from left to right, each with its heading. A label
    must be of one query only, but for `key`. `widths` of labels are in pixels. `sort` is a heading; the greatest
    value comes first, or the least.
    """
    result = finished(table.Panel(), title, description, size, unit="string")
    names = [column.name or f"unused {index}" for index, column in enumerate(columns)]
    for index, (column, name) in enumerate(zip(columns, names, strict=True)):
        target = instant(Query(column.expression), index).format(PromQueryFormat.TABLE)
        result.with_target(target)
        ref = target.build().ref_id
        # Grafana names the values by the query, unless there is one query, or one answer.
        rename = {"Value": name, f"Value #{ref}": name}
        result.with_transformation(
            models.DataTransformerConfig(
                "organize",
                filter_val=models.MatcherConfig("byRefId", ref),
                options={"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": rename},
            )
        )
        if column.name:
            result.override_by_name(column.name, _style(column))
    result.with_transformation(models.DataTransformerConfig("joinByField", options={"byField": key, "mode": "outer"}))
    order = {name: place for place, name in enumerate(show)}
    unused = {name: True for name in names if name not in show}
    result.with_transformation(
        models.DataTransformerConfig(
            "organize", options={"excludeByName": unused, "indexByName": order, "renameByName": dict(show)}
        )
    )
    for name, width in (widths or {}).items():
        result.override_by_name(show[name], [models.DynamicConfigValue("custom.width", width)])
    _style_labels(result, show)
    result.with_transformation(
        models.DataTransformerConfig("sortBy", options={"fields": {}, "sort": [{"field": sort, "desc": descending}]})
    )
    return result.cell_height(options.TableCellHeight.SM)


def _style(column: Column) -> list[models.DynamicConfigValue]:
    style: dict[str, Any] = {"unit": column.unit}
    if column.width:
        style["custom.width"] = column.width
    if column.thresholds:
        steps = [{"value": None, "color": "text"}, *(step._asdict() for step in column.thresholds)]
        style["thresholds"] = {"mode": "absolute", "steps": steps}
        style["custom.cellOptions"] = {"type": "color-text"}
    if column.texts:
        style["mappings"] = [value_mapping(column.texts)]
        style["custom.cellOptions"] = {"type": "color-text"}
    if column.bar:
        style |= {"min": 0, "color": {"mode": "fixed", "fixedColor": column.bar}}
        style |= {"max": 1} if column.unit == "percentunit" else {}
        style["custom.cellOptions"] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return [models.DynamicConfigValue(name, value) for name, value in style.items()]


def _style_labels(result: table.Panel, show: Mapping[str, str]) -> None:
    """Colour the statuses, and let the job ids link to the dashboard about the job."""
    if "status" in show:
        texts = value_mapping({status: (status, color) for status, color in STATUS_COLORS.items()})
        style = {"mappings": [texts], "custom.cellOptions": {"type": "color-text"}}
        result.override_by_name(
            show["status"], [models.DynamicConfigValue(name, value) for name, value in style.items()]
        )
    if "job_id" in show:
        link = {"title": "Open this job", "url": JOB_LINK}
        result.override_by_name(show["job_id"], [models.DynamicConfigValue("links", [link])])


def facts(title: str, description: str, queries: Mapping[str, str], size: Size) -> table.Panel:
    """Returns a table of two columns: a name of `queries`, and the label `text` of the series of its query."""
    result = finished(table.Panel(), title, description, size, unit="string")
    named = (
        f'max by (fact, text) (label_replace({query}, "fact", "{name}", "", ""))' for name, query in queries.items()
    )
    result.with_target(instant(Query(" or ".join(named))).format(PromQueryFormat.TABLE))
    hidden = {"Time": True, "Value": True}
    order = {"fact": 0, "text": 1}
    result.with_transformation(
        models.DataTransformerConfig(
            "organize", options={"excludeByName": hidden, "indexByName": order, "renameByName": {}}
        )
    )
    result.override_by_name("fact", [models.DynamicConfigValue("custom.width", 165)])
    # Grafana 11 and 12 read the first, newer versions the second; 10 cuts a long text.
    wrap = {"custom.cellOptions": {"type": "auto", "wrapText": True}, "custom.wrapText": True}
    result.override_by_name("text", [models.DynamicConfigValue(*item) for item in wrap.items()])
    return result.show_header(show_header=False).cell_height(options.TableCellHeight.SM)
