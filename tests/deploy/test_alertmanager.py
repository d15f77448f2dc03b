from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import needs
from tests.deploy.test_rules import rules

FOLDER = Path(__file__).parents[2] / "deploy" / "alertmanager"
CONFIG = "alertmanager.yml"


def amtool(*arguments: str) -> str:
    """The output of amtool; the test fails with it if amtool reports an error."""
    program = needs.program("amtool", package="prometheus-alertmanager")
    done = subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def message(path: Path, *alerts: dict[str, Any]) -> dict[str, str]:
    """The texts that the templates make of `alerts`."""
    data = {
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "alerts": alerts,
        "commonLabels": {"severity": "critical"},
        "externalURL": "http://alertmanager:9093",
    }
    path.write_text(json.dumps(data))
    command = ("template", "render", "--template.glob=*.tmpl", f"--template.data={path}")
    return {
        name: amtool(*command, f'--template.text={{{{ template "batchops.{name}" . }}}}').removesuffix("\n")
        for name in ("title", "link", "text")
    }


def alert(number: int, status: str = "firing") -> dict[str, Any]:
    """An alert as Alertmanager passes it to a template."""
    return {
        "status": status,
        "labels": {"alertname": "BatchJobFailed", "severity": "critical"},
        "annotations": {
            "summary": f"CopyObject job failed in oss/prod/r: copy {number}",
            "description": f"Job {number} of oss/prod/r failed. To do: read the reason.",
            "runbook_url": "http://docs/runbook.md#batchjobfailed",
            "dashboard": f"http://grafana/d/batchops-job?var-job={number}",
        },
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "2026-01-02T05:06:07Z",
    }


def test_the_configuration_is_valid():
    """Alertmanager loads the configuration and its template."""
    output = amtool("check-config", CONFIG)
    assert "SUCCESS" in output
    assert "1 templates" in output


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("severity=critical", "account=prod"), "page"),
        (("severity=warning", "account=prod"), "chat"),
        (("severity=critical", "account=staging"), "chat"),
        (("severity=critical",), "page"),  # BatchOpsExporterAbsent has no account
    ],
)
def test_alerts_are_routed_by_account_and_severity(labels: tuple[str, ...], receiver: str):
    """An alert reaches the receiver of its account, or else of its severity."""
    amtool("config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}", *labels)


def test_the_inhibited_alerts_ship():
    """Each alert that an inhibition names is a shipped one."""
    document = yaml.safe_load((FOLDER / CONFIG).read_text())
    matchers = [text for rule in document["inhibit_rules"] for side in rule.values() for text in side if "=" in text]
    patterns = [text.split('"')[1].split("|") for text in matchers if text.startswith("alertname")]
    named = {name for names in patterns for name in names if ".+" not in name}
    assert len(named) > 5
    assert named <= {rule["alert"] for rule in rules("alert")}


def test_a_message_says_what_to_do(tmp_path: Path):
    """A message has the summary as its title, the description with the remedy, the time, and both links."""
    assert message(tmp_path / "data.json", alert(1)) == {
        "title": "CRITICAL: CopyObject job failed in oss/prod/r: copy 1",
        "link": "http://docs/runbook.md#batchjobfailed",
        "text": "Job 1 of oss/prod/r failed. To do: read the reason.\nSince 2 Jan 03:04 UTC\n"
        "Runbook: http://docs/runbook.md#batchjobfailed\nDashboard: http://grafana/d/batchops-job?var-job=1",
    }


def test_a_message_about_many_alerts_is_short(tmp_path: Path):
    """Of more than five alerts five are shown, and the message says how many and where the others are."""
    made = message(tmp_path / "data.json", *map(alert, range(91)))
    assert made["title"] == "CRITICAL: CopyObject job failed in oss/prod/r: copy 0 (and 90 more)"
    assert made["text"].count("To do:") == 5
    assert made["text"].endswith("\n\nThe others are in Alertmanager: http://alertmanager:9093")


def test_a_message_says_that_it_is_over(tmp_path: Path):
    """A resolved alert is one line with the time of its end."""
    made = message(tmp_path / "data.json", alert(1, "resolved"))
    assert made["title"] == "RESOLVED: CopyObject job failed in oss/prod/r: copy 1"
    assert made["text"] == "Over since 05:06 UTC: CopyObject job failed in oss/prod/r: copy 1"
