"""The documentation matches the code."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
import yaml

from exporter import config, options
from exporter.core.errors import REASONS, REMEDIES
from exporter.exposition import families
from exporter.exposition.self_metrics import SelfMetrics
from exporter.providers import PROVIDERS
from exporter.simulator import Scenario
from exporter.simulator.faults import PARAMETERS
from exporter.web import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SIMULATOR = (ROOT / "docs/simulator.md").read_text(encoding="utf-8")


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of each row of the first table under `heading`."""
    _, _, rest = README.partition(f"{heading}\n")
    table = re.search(r"^\|.*?(?=\n\n)", rest, re.MULTILINE | re.DOTALL)
    assert table, heading
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_tables_list_all_families():
    """The README lists exactly the exposed families, with their labels and help."""
    written = [row for heading in ("### Per target", "### Per job") for row in rows(heading)]
    assert written == [[f"`{name}`", ", ".join(labels), text] for name, text, labels in families.FAMILIES]


def test_the_table_of_own_metrics_is_complete():
    """The README lists each family of the exporter's own metrics with its help."""
    metrics = SelfMetrics(version="1", revision="r", process=False)
    own = SelfMetrics(version="1", revision="r", process=True)
    help_of = dict(re.findall(r"^# HELP (batchops_\S+) (.*)$", own.render(openmetrics=False).decode(), re.MULTILINE))
    written = {
        cells[0].strip("`"): cells[2]
        for cells in rows("### Of the exporter itself, on `/metrics` and `/-/metrics` only")
    }
    assert written == help_of
    assert "batchops_exporter_build_info" not in metrics.render(openmetrics=False).decode()


def test_the_help_equals_the_output(monkeypatch: pytest.MonkeyPatch):
    """The block of flags in the README is the output of --help."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    assert f"```text\n{options.serve_parser().format_help()}```" in README


def test_each_reason_has_its_row():
    """The troubleshooting table has a row for each value of the label `reason`, with the remedy that the log shows."""
    written = list(rows("## When a target is down"))
    assert [cells[0] for cells in written] == [f"`{reason}`" for reason in REASONS]
    assert [cells[2].replace("`", "") for cells in written] == [REMEDIES[reason] for reason in REASONS]


def test_each_route_has_its_row():
    """The table of routes has each route of the application."""
    written = {path.split("?")[0] for cells in rows("## Routes") for path in re.findall(r"`(/[^`]*)`", cells[0])}
    assert written == {"/metrics", *app.FIXED_PATHS, app.RELOAD_PATH}


def test_each_alert_has_its_row():
    """The table of alerts has each shipped alert."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.rules.yml").read_text(encoding="utf-8"))
    shipped = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert {cells[0] for cells in rows("## Alerts")} == shipped


def test_the_configuration_shown_is_valid():
    """The configuration in the README is valid."""
    block = re.search(r"```yaml\n( *accounts:.*?)```", README, re.DOTALL)
    assert block
    parsed = config.parse(block[1].encode(), file="README.md", environment={})
    assert {target.provider_name for target in parsed.targets} == PROVIDERS.keys()


def test_the_policy_equals_the_shipped_file():
    """The RAM policy in the README equals the shipped file, and allows only the required actions."""
    block = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert block
    shipped = json.loads((ROOT / "deploy/policies/oss-ram-policy.json").read_text(encoding="utf-8"))
    assert json.loads(block[1]) == shipped
    assert shipped["Statement"][0]["Action"] == ["oss:ListJobs", "oss:DescribeJob"]


def test_each_link_works():
    """Each relative link of the README points to an existing file or folder."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_scenario_shown_is_valid():
    """The simulator page's scenario is valid, and the account on it has the matching keys."""
    account, scenario = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", SIMULATOR, re.DOTALL))
    (store,) = Scenario.from_mapping(scenario).stores
    assert account["accounts"][0]["credentials"]["access_key_id"] == store.access_key_id
    assert account["accounts"][0]["credentials"]["access_key_secret"] == store.access_key_secret


def test_each_kind_of_fault_has_its_row():
    """The table of faults on the simulator's page has each kind."""
    written = {
        kind for line in re.findall(r"^\| (`[^|]*) \|", SIMULATOR, re.MULTILINE) for kind in re.findall(r"\w+", line)
    }
    assert written == set(PARAMETERS)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_has_its_page(provider):
    """A provider's page names every job series and every error code."""
    page = (ROOT / f"docs/providers/{provider}.md").read_text(encoding="utf-8")
    jobs = [family.name for family in families.FAMILIES if family.name.startswith("batchops_job_")]
    assert [name for name in jobs if f"`{name}`" not in page] == []
    module = importlib.import_module(f"exporter.providers.{provider}")
    assert [code for code in module._CODES if f"`{code}`" not in page] == []


@pytest.mark.parametrize("file", sorted((ROOT / "deploy/policies").glob("*.json")), ids=lambda file: file.name)
def test_each_policy_is_minimal(file):
    """A policy only allows listing and describing jobs, and is linked in the README."""
    statements = json.loads(file.read_text(encoding="utf-8"))
    statements = statements.get("Statement") or statements["statement"]
    actions = {action for statement in statements for action in (statement.get("Action") or statement["action"])}
    assert {action.rpartition(":")[2] for action in actions} <= {"ListJobs", "DescribeJob"}
    assert f"(deploy/policies/{file.name})" in README


DESCRIBED = {
    "oss": "CreationTime Description FailureReasons JobFailure FailureCode FailureReason JobId Manifest Operation "
    "Priority ProgressSummary Report RoleArn Status StatusUpdateReason TerminationDate",
    "cos": "ClientRequestToken ConfirmationRequired CreationTime Description FailureReasons JobFailure FailureCode "
    "FailureReason JobId Manifest Operation Priority ProgressSummary Report RoleArn Status StatusUpdateReason "
    "SuspendedCause SuspendedDate TerminationDate",
}
"""The elements of DescribeJob in the vendors' references; those of S3 are in the SDKs' model."""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_element_of_a_described_job_is_accounted_for(provider):
    """A provider's page names each element that DescribeJob documents, and how it is exposed or why it is not."""
    page = (ROOT / f"docs/providers/{provider}.md").read_text(encoding="utf-8")
    table = page.partition("| field of `DescribeJob` |")[2].partition("\n\n")[0]
    names = set(re.findall(r"\w+", " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    wanted = DESCRIBED[provider].split() if provider in DESCRIBED else described_by_s3()
    assert [name for name in wanted if name not in names] == []


def described_by_s3() -> list[str]:
    """The members of a described job in the model of botocore."""
    client = botocore.session.get_session().get_service_model("s3control")
    return list(client.shape_for("JobDescriptor").members)


@pytest.mark.parametrize("page", ["field-cases.md", "limits.md"])
def test_each_named_test_exists(page):
    """Each test that the page names is in the tests."""
    path = ""
    named = re.findall(r"`((?:tests/[\w/]+\.py)?)((?:::\w+)*)(?:\[[^`]*\])?`", (ROOT / "docs" / page).read_text())
    assert any(name for _, name in named)
    for file, name in named:
        path = file or path
        if file or name:
            assert f"def {name.rpartition(':')[2]}" in (ROOT / path).read_text(), (path, name)
