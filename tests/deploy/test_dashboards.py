from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import FOLDER, files
from deploy.grafana.panels import STATUS_COLORS
from deploy.grafana.queries import status_code
from exporter.core.jobs import STATUSES
from tests.deploy.test_rules import exported, rules

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/dashboards.md").read_text(encoding="utf-8")
PROVISIONING = ROOT / "deploy/grafana/provisioning"
DASHBOARDS = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]
PANELS = [
    pytest.param(board, panel, id=f"{board['uid']}: {panel['title']}")
    for board in DASHBOARDS
    for panel in board["panels"]
    if panel["type"] != "row"
]


def queries(board: dict[str, Any]) -> list[str]:
    """Every expression of a dashboard: of its panels, annotations and variables."""
    panels = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    annotations = [annotation["expr"] for annotation in board["annotations"]["list"]]
    variables = [item["query"]["query"] for item in board["templating"]["list"] if item["type"] == "query"]
    return [*panels, *annotations, *variables]


def test_the_committed_dashboards_are_the_generated_ones():
    """The files in deploy/grafana/dashboards are what `./dev dashboards` writes, and there are no others."""
    generated = dict(files())
    assert sorted(FOLDER.iterdir()) == sorted(generated)
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is not up to date: run ./dev dashboards"


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_each_panel_explains_itself(board, panel):
    """Each panel has a short title, a description, a unit, and a query of the chosen data source."""
    assert 0 < len(panel["title"]) <= 30
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [target["datasource"] for target in panel["targets"]] == [chosen] * len(panel["targets"])
    assert board["templating"]["list"][0]["type"] == "datasource"


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])
def test_no_panels_overlap(board):
    """Each panel has an id of its own, is inside the grid of 24 columns, and covers no other one."""
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (position["x"] + column, position["y"] + line)
        for position in (panel["gridPos"] for panel in board["panels"])
        for column in range(position["w"])
        for line in range(position["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])
def test_each_dashboard_has_the_variables(board):
    """Both dashboards have the same variables, and every variable of a query exists."""
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names == ["datasource", "provider", "account", "region", "operation", "status", "job"]
    used = {name for query in queries(board) for name in re.findall(r"\$(\w+)", query) if not name.startswith("__")}
    assert used - {"1"} <= set(names)


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])
def test_the_queries_use_existing_metrics(board):
    """Each metric of a query is exposed by the exporter or recorded by a rule."""
    recorded = {rule["record"] for rule in rules("record")}
    for query in queries(board):
        names = set(re.findall(r"\bbatchops[_:][\w:]+", query))
        assert names, query
        histograms = {name.removesuffix("_bucket") for name in names}
        assert histograms - exported() - recorded == set(), query


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])
def test_each_link_opens_a_dashboard(board):
    """Each link in a table opens a dashboard that exists, with variables that it has and columns of the same query."""
    for panel in board["panels"]:
        overrides = panel.get("fieldConfig", {}).get("overrides", ())
        links = [
            link["url"]
            for override in overrides
            for style in override["properties"]
            if style["id"] == "links"
            for link in style["value"]
        ]
        for url in links:
            (target,) = [other for other in DASHBOARDS if url.startswith(f"/d/{other['uid']}?")]
            names = {variable["name"] for variable in target["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", url)) <= names
            (columns,) = re.findall(r"max by \(([^()]*)\) \(1000", panel["targets"][0]["expr"])
            assert set(re.findall(r"__data\.fields\.(\w+)", url)) <= set(columns.split(", "))


def test_annotations_mark_the_end_of_jobs():
    """Both dashboards mark jobs that failed and jobs that ended otherwise, at the time that the service returned."""
    for board in DASHBOARDS:
        failed, ended = board["annotations"]["list"]
        assert failed["useValueForTime"]
        assert ended["useValueForTime"]
        assert 'status="Failed"' in failed["expr"]
        assert 'status!="Failed"' in ended["expr"]
        assert failed["target"]["expr"] == failed["expr"]


def test_codes_of_statuses_agree():
    """The recording rule, the expression and the colours have the same statuses with the same numbers."""
    (rule,) = [rule for rule in rules("record") if rule["record"] == "batchops:newest_job_status:code"]
    for expression in (rule["expr"], status_code("")):
        pairs = re.findall(r'(\d+) \* \(?[\w:]+\{,?status="(\w+)"', expression)
        assert pairs == [(str(code), status) for code, status in enumerate(STATUSES, start=1)]
    assert tuple(STATUS_COLORS) == STATUSES


def test_every_dashboard_is_documented():
    """The page names each dashboard and each of its panels, and shows it in an image."""
    for board in DASHBOARDS:
        assert f"`{board['uid']}`" in PAGE
        assert f"images/{board['uid']}" in PAGE
        assert [panel["title"] for panel in board["panels"] if f"**{panel['title']}**" not in PAGE] == []


def test_provisioning_loads_the_dashboards():
    """The provisioning files have the form of Grafana, and the page says where their path is."""
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/batchops.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] in PAGE
    (source,) = yaml.safe_load((PROVISIONING / "datasources/batchops.yaml").read_text())["datasources"]
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", scrape)
