from __future__ import annotations

import logging
import re

import pytest

from tests.drill.__main__ import MARK, PAGE
from tests.drill.player import play
from tests.drill.scenarios import SCENARIOS
from tests.drill.shortened import DEPLOY, rules, short_duration, short_expression

TOGETHER = [scenario for scenario in SCENARIOS if not scenario.of_exporters]
ALONE = [scenario for scenario in SCENARIOS if scenario.of_exporters]
ALERTS = [rule for group in rules("alerts.rules.yml")["groups"] for rule in group["rules"]]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_failure_raises_its_alert_once(tmp_path, caplog):
    """For each failure of a job or target, exactly its alerts arrive at the webhook, once, and resolve in the end."""
    caplog.set_level(logging.INFO, logger="drill")
    outcomes = play(TOGETHER, tmp_path)
    assert outcomes.keys() == {scenario.name for scenario in TOGETHER}
    assert {name: outcome.problems for name, outcome in outcomes.items() if outcome.problems} == {}


@pytest.mark.slow
@pytest.mark.timeout(250)
@pytest.mark.parametrize("scenario", ALONE, ids=lambda scenario: scenario.name)
def test_a_dead_exporter_raises_its_alert_once(tmp_path, caplog, scenario):
    """If exporters die, exactly that arrives, and the alerts on jobs neither resolve nor fire again."""
    caplog.set_level(logging.INFO, logger="drill")
    assert play([scenario], tmp_path)[scenario.name].problems == []


def test_each_alert_is_played():
    """Each alert is played with each of its severities."""
    assert {name for scenario in SCENARIOS for name in scenario.fires} == {
        f"{rule['alert']}/{rule['labels']['severity']}" for rule in ALERTS
    }


def test_the_page_has_the_log_of_each_scenario():
    """The page has a log of each scenario, in which exactly its steps are taken, and its alerts arrive and resolve."""
    sections = PAGE.read_text().partition(MARK)[2].split("\n### ")[1:]
    assert [section.split("\n")[0] for section in sections] == [scenario.name for scenario in SCENARIOS]
    for scenario, section in zip(SCENARIOS, sections, strict=True):
        assert scenario.text in section
        events = re.findall(r"^ *\d+ s  (.+)$", section, re.MULTILINE)
        arrived = [re.match(r"(firing|resolved) at \w+: (\w+) \((\w+)\): ", event) for event in events]
        wanted = [(status, *name.split("/")) for name in scenario.fires for status in ("firing", "resolved")]
        assert sorted(match.groups() for match in arrived if match) == sorted(wanted)
        steps = [event for event, match in zip(events, arrived, strict=True) if not match]
        assert steps == [step.text for step in scenario.steps]


def test_the_page_lists_each_alert():
    """The page on alerting lists each alert with its link to the runbook."""
    page = (DEPLOY.parent / "docs/alerting.md").read_text()
    alerts = re.findall(r"^\| \[(\w+)\]\(runbook\.md#(\w+)\) \|", page, re.MULTILINE)
    assert [anchor for _, anchor in alerts] == [name.lower() for name, _ in alerts]
    assert sorted(name for name, _ in alerts) == sorted({rule["alert"] for rule in ALERTS})


def test_durations_are_shortened():
    """A minute becomes a second; what exceeds an hour is shortened more; other numbers stay."""
    assert short_duration("5m") == "5000ms"
    assert short_duration("6h") == "75000ms"
    assert (
        short_expression('x{a=~"[a-z]+5m"}[1h:1m] offset 15m > 6 * 3600 - 2.5 * 60 * 0.01')
        == 'x{a=~"[a-z]+5m"}[60000ms:1000ms] offset 15000ms > 75.000 - 2.500 * 0.01'
    )
