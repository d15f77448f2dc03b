"""What all dashboards share: variables, annotations and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from deploy.grafana.queries import CREATED, ENDED, TARGET, ended_last

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The data source that the variable selects."""
TAG: Final = "batchops"
"""The dashboards with this tag link to each other."""
ANNOTATED: Final = 50
"""Number of jobs that an annotation marks at most."""


def board(uid: str, title: str, description: str) -> Dashboard:
    """Returns an empty dashboard with the shared variables, and a link to the other dashboards."""
    result = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG])
    result.time("now-6h", "now").refresh("1m").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    link = dashboard.DashboardLink("Batch jobs").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    result.link(link.include_vars(include_vars=True).keep_time(keep_time=True))
    result.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for name, family, matchers in (
        ("provider", "batchops_up", ""),
        ("account", "batchops_up", 'provider=~"$provider"'),
        ("region", "batchops_up", 'provider=~"$provider",account=~"$account"'),
        ("operation", CREATED, TARGET),
        ("status", "batchops_jobs", TARGET),
    ):
        choice = variable(name, f"label_values({family}{{{matchers}}}, {name})").multi(multi=True)
        every = models.VariableOption(text="All", value="$__all", selected=True)
        result.with_variable(choice.include_all(include_all=True).all_value(".*").current(every))
    return result


def variable(name: str, query: str) -> dashboard.QueryVariable:
    """Returns a variable with the values that `query` returns."""
    result = dashboard.QueryVariable(name).label(name.capitalize()).datasource(SOURCE)
    result.query({"query": query, "refId": name})
    return result.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)


def text_variable(name: str, label: str, default: str) -> dashboard.TextBoxVariable:
    """Returns a variable that a person types."""
    current = models.VariableOption(text=default, value=default, selected=True)
    return dashboard.TextBoxVariable(name).label(label).default_value(default).current(current)


def annotate(result: Dashboard, selector: str) -> None:
    """Mark the end of each job that `selector` selects: the failures, and all others."""
    for name, color, matcher in (("Jobs that failed", "red", "="), ("Jobs that ended", "green", "!=")):
        jobs = ended_last(ANNOTATED, f'{selector},status=~"{ENDED}",status{matcher}"Failed"', end=True)
        result.annotation(_JobAnnotation(name, color, f"1000 * {jobs}"))


class _JobAnnotation(Builder[models.AnnotationQuery], models.AnnotationQuery):
    """An annotation at the Unix times in milliseconds that a query returns. The SDK lacks the fields of Prometheus."""

    def __init__(self, name: str, color: str, expression: str) -> None:
        super().__init__(name=name, datasource=SOURCE, icon_color=color)
        self._expression = expression

    def build(self) -> models.AnnotationQuery:
        """Returns itself: the SDK's dashboard takes builders."""
        return self

    def to_json(self) -> dict[str, object]:
        """Returns the JSON; `target` is for newer Grafana versions, `expr` and `step` for older ones."""
        target = {"datasource": SOURCE, "expr": self._expression, "interval": "60s", "refId": "Anno"}
        return {
            **super().to_json(),
            "expr": self._expression,
            "step": "60s",
            "target": target,
            "useValueForTime": True,
            "titleFormat": "{{status}}: {{operation}}",
            "textFormat": "{{provider}}/{{account}}/{{region}} {{job_id}} {{description}}",
            "tagKeys": "provider,account,region",
        }
