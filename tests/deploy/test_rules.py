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
    "batchops:job_tasks:max",
    "batchops:job_tasks_done:max",
    "batchops:job_tasks_failed:max",
    "batchops:job_progress:ratio",
    "batchops:job_eta:seconds",
    "batchops:job_status:last",
    "batchops:recent_job_created:max",
    "batchops:recent_job_ended:max",
    "batchops:recent_job_progress:ratio",
    "batchops:recent_job_tasks_done:max",
    "batchops:recent_job_tasks_failed:max",
    "batchops:recent_jobs:count",
    "batchops:newest_job_created:max",
    "batchops:newest_job_status:code",
    "batchops:tasks_succeeded:rate5m",
    "batchops:tasks_failed:rate5m",
}
ALERTS = {
    "BatchJobFailed",
    "BatchJobTasksFailing",
    "BatchJobStalled",
    "BatchJobAwaitingConfirmation",
    "BatchJobStuckBeforeStart",
    "BatchJobSlow",
    "BatchOpsListingFailed",
    "BatchOpsExporterAbsent",
    "BatchOpsCredentialsExpiring",
    "BatchOpsThrottled",
    "BatchOpsJobsDropped",
}


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
def alert_tests() -> list[tuple[str, bool]]:
    """The name of the alert in each promtool alert test, and whether it fires."""
    tests = [test for file in TEST_FILES for test in yaml.safe_load((FOLDER / "tests" / file).read_text())["tests"]]
    moments = [moment for test in tests for moment in test.get("alert_rule_test", [])]
    return [(moment["alertname"], bool(moment["exp_alerts"])) for moment in moments]


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
    discovery, _, by_hand = rest.partition("\n#scrape_configs:\n")[2].partition("#  # The same by hand:\n")
    by_hand = re.sub(r"^#  #", "#  ", by_hand, flags=re.MULTILINE)
    for file in RULE_FILES:
        shutil.copy(FOLDER / file, tmp_path)
    for block, key in ((discovery, "http_sd_configs"), (by_hand, "params")):
        block_alone = f"{head}\nscrape_configs:\n{block.replace('#', '', 1)}".replace("\n#", "\n")
        assert key in yaml.safe_load(block_alone)["scrape_configs"][0]
        (tmp_path / "prometheus.yml").write_text(block_alone)
        promtool("check", "config", "prometheus.yml", folder=tmp_path)


@pytest.mark.parametrize("file", TEST_FILES)
def test_the_promtool_tests_pass(file: str):
    """Every promtool test passes."""
    assert "SUCCESS" in promtool("test", "rules", file, folder=FOLDER / "tests")


def test_the_documented_rules_ship():
    """Exactly the documented recording rules and alerts exist, each once."""
    assert sorted(rule["record"] for rule in rules("record")) == sorted(RECORDED)
    assert sorted(rule["alert"] for rule in rules("alert")) == sorted(ALERTS)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_is_tested_both_ways(alert: str):
    """Each alert has a promtool test in which it fires and one in which it does not."""
    assert {fires for name, fires in alert_tests() if name == alert} == {True, False}


def test_each_alert_has_severity_and_action():
    """Each alert has a severity, a `for:`, a summary, a description and an action."""
    for rule in rules("alert"):
        assert rule["labels"]["severity"] in {"warning", "critical"}, rule["alert"]
        assert "for" in rule, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "action"}, rule["alert"]


def test_the_rules_use_existing_metrics():
    """Each metric in a rule's expression or text is exposed by the exporter or recorded by a rule."""
    for rule in [*rules("record"), *rules("alert")]:
        text = " ".join([rule["expr"], *rule.get("annotations", {}).values()])
        names = set(re.findall(r"\bbatchops[_:][\w:]+", text))
        assert names, rule
        assert names - exported() - RECORDED == set(), rule


def test_the_configuration_scrapes_the_default_port():
    """The target has the exporter's default port, and the job the name used in the alerts."""
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"localhost{DEFAULT_ADDRESS}"]}]
    (absent,) = (rule for rule in rules("alert") if rule["alert"] == "BatchOpsExporterAbsent")
    assert f'up{{job="{job["job_name"]}"}}' in absent["expr"]
