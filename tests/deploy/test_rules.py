from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.exposition.families import FAMILIES
from exporter.exposition.self_metrics import SelfMetrics
from exporter.options import DEFAULT_ADDRESS
from tests import needs

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULE_FILES = ("recording.rules.yml", "alerts.rules.yml", "dashboard.rules.yml")
TEST_FILES = sorted(path.name for path in (FOLDER / "tests").glob("*.test.yml"))

RECORDED = {
    "batchops:links:info",
    "batchops:job_status:max",
    "batchops:job_created:timestamp_seconds",
    "batchops:job_tasks:max",
    "batchops:job_tasks_failed:max",
    "batchops:job_tasks_done:max",
    "batchops:job_progress:ratio",
    "batchops:job_info:max",
    "batchops:active_job_tasks_done:max",
    "batchops:job_eta:seconds",
    "batchops:recent_job_created:max",
    "batchops:recent_jobs:count",
    "batchops:newest_job_created:max",
    "batchops:newest_job_status:code",
    "batchops:tasks_succeeded:rate5m",
    "batchops:tasks_failed:rate5m",
    "batchops:target_up:max",
    "batchops:target_hold:max",
    "batchops:target_first_seen:timestamp_seconds",
    "batchops:undated_job_end:timestamp_seconds",
    "batchops:recent_job_end:timestamp_seconds",
    "batchops:undated_job_first_seen:timestamp_seconds",
    "batchops:job_ended_lately:timestamp_seconds",
    "batchops:active_job_progressed:timestamp_seconds",
    "batchops:active_job_tasks_done:hold",
    "batchops:job_problem:value",
    "batchops:job_problem:hold",
}
ALERTS = {
    ("BatchJobFailed", "critical"),
    ("BatchJobTasksFailing", "warning"),
    ("BatchJobNothingSucceeded", "critical"),
    ("BatchJobNothingSucceeded", "warning"),
    ("BatchJobStalled", "warning"),
    ("BatchJobAwaitingConfirmation", "warning"),
    ("BatchJobAwaitingConfirmation", "critical"),
    ("BatchJobStuckBeforeStart", "warning"),
    ("BatchJobStuckInTransition", "warning"),
    ("BatchJobSlow", "warning"),
    ("BatchOpsListingFailed", "warning"),
    ("BatchOpsListingFailed", "critical"),
    ("BatchOpsTargetDown", "warning"),
    ("BatchOpsExporterAbsent", "critical"),
    ("BatchOpsCredentialsExpiring", "warning"),
    ("BatchOpsThrottled", "warning"),
    ("BatchOpsJobsDropped", "warning"),
}
NAMES = sorted({name for name, _ in ALERTS})
ON_JOBS = sorted(name for name in NAMES if name.startswith("BatchJob"))


def promtool(*arguments: str, folder: Path = FOLDER) -> str:
    """The output of promtool; the test fails with it if promtool reports an error."""
    program = needs.program("promtool", package="prometheus")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def rules(kind: str) -> list[dict[str, Any]]:
    """Every shipped rule of a kind: alert or record."""
    groups = [group for file in RULE_FILES for group in yaml.safe_load((FOLDER / file).read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


@cache
def promtool_tests() -> list[dict[str, Any]]:
    """Every promtool test."""
    return [test for file in TEST_FILES for test in yaml.safe_load((FOLDER / "tests" / file).read_text())["tests"]]


@cache
def alert_tests() -> set[tuple[str, str]]:
    """The name and severity of each alert that fires in an alert test, and of each that does not ("")."""
    moments = [moment for test in promtool_tests() for moment in test.get("alert_rule_test", [])]
    firing = {
        (moment["alertname"], alert["exp_labels"]["severity"]) for moment in moments for alert in moment["exp_alerts"]
    }
    return firing | {(moment["alertname"], "") for moment in moments if not moment["exp_alerts"]}


def exported() -> set[str]:
    """The names of all families of the exporter, including its own metrics."""
    own = SelfMetrics(version="", revision="").render(openmetrics=False).decode()
    return {family.name for family in FAMILIES} | set(re.findall(r"^# TYPE (\S+)", own, re.MULTILINE))


@pytest.mark.parametrize("file", RULE_FILES)
def test_the_rules_are_valid(file: str):
    """Prometheus loads the rules."""
    assert "SUCCESS" in promtool("check", "rules", file)


def test_the_configuration_is_valid():
    """Prometheus loads the configuration and all rule files."""
    assert "3 rule files found" in promtool("check", "config", "prometheus.yml")


def test_the_commented_out_alternatives_are_valid(tmp_path: Path):
    """Prometheus loads the configuration with each of the commented-out scrape configs instead of the default."""
    text = (FOLDER / "prometheus.yml").read_text()
    head, _, rest = text.partition("\nscrape_configs:\n")
    discovery, _, by_hand = rest.partition("\n#scrape_configs:\n")[2].partition("#  # The targets by hand:\n")
    by_hand = re.sub(r"^#  #", "#  ", by_hand, flags=re.MULTILINE)
    for file in RULE_FILES:
        shutil.copy(FOLDER / file, tmp_path)
    for block, key in ((discovery, "http_sd_configs"), (by_hand, "params")):
        block_alone = f"{head}\nscrape_configs:\n{block.replace('#', '', 1)}".replace("\n#", "\n")
        configs = yaml.safe_load(block_alone)["scrape_configs"]
        assert key in configs[0]
        assert all(config["honor_labels"] for config in configs)
        (tmp_path / "prometheus.yml").write_text(block_alone)
        promtool("check", "config", "prometheus.yml", folder=tmp_path)


@pytest.mark.parametrize("file", ["prometheus.yml", "sharded.yml"])
def test_the_own_metrics_are_scraped_with_the_targets(file: str):
    """A configuration that scrapes targets at /probe scrapes /-/metrics too, as the same job."""
    text = (FOLDER / file).read_text()
    configs = yaml.safe_load(text)["scrape_configs"]
    if file == "prometheus.yml":  # the alternative in its comments
        block = text.partition("\n#scrape_configs:\n")[2].partition("#\n#  # The targets by hand:")[0]
        configs = yaml.safe_load(re.sub(r"^#", "", block, flags=re.MULTILINE))
    targets, own = configs
    assert "http_sd_configs" in targets
    assert own["metrics_path"] == "/-/metrics"
    assert [config["labels"] for config in own["static_configs"]] == [{"job": targets["job_name"]}]


@pytest.mark.slow
@pytest.mark.parametrize("file", TEST_FILES)
def test_the_promtool_tests_pass(file: str):
    """Every promtool test passes."""
    assert "SUCCESS" in promtool("test", "rules", file, folder=FOLDER / "tests")


def test_the_documented_rules_ship():
    """Exactly the documented recording rules and alerts exist, each alert once for each of its severities."""
    assert {rule["record"] for rule in rules("record")} == RECORDED
    assert sorted((rule["alert"], rule["labels"]["severity"]) for rule in rules("alert")) == sorted(ALERTS)


@pytest.mark.parametrize(("alert", "severity"), sorted(ALERTS))
def test_an_alert_is_tested_both_ways(alert: str, severity: str):
    """Each alert has a promtool test in which it fires with its severity and texts, and one in which it does not."""
    tested = {*alert_tests(), *never_firing()}
    assert (alert, severity) in tested
    assert (alert, "") in tested


def never_firing() -> set[tuple[str, str]]:
    """The name of each alert that a promtool test expects never to fire."""
    expressions = [moment["expr"] for test in promtool_tests() for moment in test.get("promql_expr_test", [])]
    found = [re.match(r'count_over_time\(ALERTS\{alertname="(\w+)",alertstate="firing"', text) for text in expressions]
    return {(match[1], "") for match in found if match}


@pytest.mark.parametrize("alert", ON_JOBS)
def test_an_alert_on_jobs_is_tested_through_an_outage(alert: str):
    """Each alert on jobs has a promtool test in which it fires without a break while the target is down."""
    held = f'count by (alertname) (count_over_time(ALERTS{{alertname="{alert}",alertstate="firing"'
    tests = [
        test
        for test in promtool_tests()
        if any(moment["expr"].startswith(held) for moment in test.get("promql_expr_test", []))
        and any(item["series"].startswith("batchops_up") and " 0x" in item["values"] for item in test["input_series"])
    ]
    assert tests


def test_each_alert_has_severity_texts_and_links():
    """Each alert has a severity, a `for:`, a summary, a description with a remedy, and links made from one base."""
    for rule in rules("alert"):
        texts = rule["annotations"]
        assert rule["labels"].keys() == {"severity"}, rule["alert"]
        assert "for" in rule, rule["alert"]
        assert texts.keys() == {"summary", "description", "runbook_url", "dashboard"}, rule["alert"]
        assert "To do:" in texts["description"], rule["alert"]
        for name, label in (("runbook_url", "runbook"), ("dashboard", "grafana")):
            assert texts[name].startswith(
                f'{{{{ with query "batchops:links:info" }}}}{{{{ . | first | label "{label}" }}}}'
            )
        about = ["$labels.operation", "$labels.description"] if rule["alert"] in ON_JOBS else []
        for text in (texts["summary"], texts["description"]):
            assert [label for label in about if label not in text] == [], rule["alert"]


def test_each_runbook_link_has_its_section():
    """The anchor of each `runbook_url` is that of a section of the runbook, and each section has all four parts."""
    page = (FOLDER.parents[1] / "docs/runbook.md").read_text()
    sections = dict(zip(*[iter(re.split(r"^## (\w+)\n", page, flags=re.MULTILINE)[1:])] * 2, strict=True))
    anchors = {rule["alert"]: rule["annotations"]["runbook_url"].split("#")[1].split("{")[0] for rule in rules("alert")}
    assert sections.keys() == anchors.keys()
    for name, anchor in anchors.items():
        assert anchor == name.lower()
        parts = re.findall(r"^\*\*(\w+)\.\*\*", sections[name], re.MULTILINE)
        assert parts == ["Meaning", "Impact", "Diagnosis", "Mitigation"], name


def test_the_rules_use_existing_metrics():
    """Each metric in a rule's expression or text is exposed by the exporter or recorded by a rule."""
    for rule in [*rules("record"), *rules("alert")]:
        text = " ".join([rule["expr"], *rule.get("annotations", {}).values(), rule.get("record", "")])
        names = set(re.findall(r"\bbatchops[_:][\w:]+", text))
        assert names, rule
        assert names - exported() - RECORDED == set(), rule


def test_the_configuration_scrapes_the_default_port():
    """The target has the exporter's default port, and the job the name used in the alerts."""
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"localhost{DEFAULT_ADDRESS}"]}]
    (absent,) = (rule for rule in rules("alert") if rule["alert"] == "BatchOpsExporterAbsent")
    assert f'up{{job="{job["job_name"]}"}}' in absent["expr"]
