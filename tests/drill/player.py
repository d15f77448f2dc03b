"""Plays scenarios, and says what was wrong with the alerts that arrived."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.drill.receiver import Receiver
from tests.drill.stage import Stage, Target
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.drill.receiver import Arrival
    from tests.drill.scenarios import Scenario, Step

PATIENCE: Final = 150.0
"""Seconds that the longest scenario may take for a step: the slowest alert needs 80, and a busy machine more."""
SETTLING: Final = 6.0
"""Seconds in which Alertmanager sends what is already over: longer than its group_interval."""
QUIET: Final = 12.0
"""Seconds to wait for what should not arrive, after everything is over."""
ABOUT_EXPORTERS: Final = ("BatchOpsTargetDown", "BatchOpsExporterAbsent")
"""These alerts have no account."""

log = logging.getLogger("drill")


class Outcome(NamedTuple):
    """What came of a scenario."""

    problems: list[str]
    """What was wrong; empty if everything was as expected."""
    log: list[str]
    """What was done and what arrived, each with the seconds since the first step."""


class Played:
    """One scenario while it is played."""

    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self.scenario = scenario
        self._stage = stage
        self._target = stage.targets[scenario.name]
        self._waiting = list(scenario.steps)
        self._step: Step | None = None
        self._since = 0.0
        self._arrived: float | None = None
        """When the last alert of the step had arrived."""
        self._taken: list[tuple[float, str]] = []
        """When each step was taken, and its text."""
        self._problems: list[str] = []

    def advance(self) -> bool:
        """Takes the next step if its time has come. Returns whether the scenario is over."""
        now = time.monotonic()
        if self._step is not None:
            if self._step.meanwhile:
                self._step.meanwhile(self._stage, self._target)
            missing = [name for name in self._step.fires if not self._seen(name, "firing")]
            if missing and now - self._since < PATIENCE:
                return False
            self._problems += [f"{name} did not arrive" for name in missing]
            self._arrived = self._arrived or now
            if now - self._arrived < self._step.then:
                return False
        if self._waiting:
            self._step = self._waiting.pop(0)
            self._since, self._arrived = now, None
            log.info("%s: %s", self.scenario.name, self._step.text)
            self._taken.append((time.time(), self._step.text))
            self._step.act(self._stage, self._target)
            return False
        firing = [
            name for name in self.scenario.fires if self._seen(name, "firing") and not self._seen(name, "resolved")
        ]
        if firing and now - self._since < PATIENCE:
            return False
        self._problems += [f"{name} was not resolved" for name in firing]
        return True

    def _seen(self, name: str, status: str) -> int:
        account = "" if name.startswith(ABOUT_EXPORTERS) else self.scenario.name
        return len(self._stage.receiver.seen(account, name, status))

    def outcome(self) -> Outcome:
        """Returns what was wrong with the arrived alerts, and the log."""
        accounts = {self.scenario.name, ""} if self.scenario.of_exporters else {self.scenario.name}
        mine = [arrival for arrival in self._stage.receiver.arrivals if arrival.labels.get("account", "") in accounts]
        events = self._taken + [
            (arrival.time, f"{arrival.status} at {arrival.receiver}: {arrival.title}: {arrival.annotations['summary']}")
            for arrival in mine
        ]
        start = self._taken[0][0]
        return Outcome(self._check(mine), [f"{when - start:4.0f} s  {text}" for when, text in sorted(events)])

    def _check(self, mine: list[Arrival]) -> list[str]:
        """Returns what was wrong with the arrived alerts: missing, twice, without their texts, or not expected."""
        result = list(self._problems)
        counts = Counter((arrival.name, arrival.status) for arrival in mine)
        result += [f"{name} arrived {count} times as {status}" for (name, status), count in counts.items() if count > 1]
        result += [
            f"{name} arrived unexpectedly" for name in {arrival.name for arrival in mine} - {*self.scenario.fires}
        ]
        descriptions = [arrival.annotations["description"] for arrival in mine if arrival.status == "firing"]
        result += [
            f"no description contains {text!r}" for text in self.scenario.says if text not in "".join(descriptions)
        ]
        for arrival in mine:
            texts = arrival.annotations
            on_job = arrival.labels["alertname"].startswith("BatchJob")
            wanted = [
                f"oss/{self.scenario.name}/cn-hangzhou",
                *(["CopyObject", f"Drill: {self.scenario.name}"] if on_job else []),
            ]
            for text in wanted if arrival.labels.get("account") else []:
                if text not in texts["summary"] or (on_job and text not in texts["description"]):
                    result.append(f"{arrival.name} does not name {text}")
            anchor = f"/runbook.md#{arrival.labels['alertname'].lower()}"
            if not texts["runbook_url"].endswith(anchor) or "/d/batchops-" not in texts["dashboard"]:
                result.append(f"{arrival.name} has wrong links: {texts}")
        return result


def play(scenarios: Sequence[Scenario], folder: Path) -> dict[str, Outcome]:
    """Plays the scenarios at the same time, each in a target of its own. Returns what came of it, by scenario.

    Scenarios about exporters are played alone. `folder` gets the files and logs of all programs.
    """
    result: dict[str, Outcome] = {}
    together = [scenario for scenario in scenarios if not scenario.of_exporters]
    for group in [together] * bool(together) + [[scenario] for scenario in scenarios if scenario.of_exporters]:
        place = folder / group[0].name
        place.mkdir(parents=True)
        result |= _play_together(group, place)
    return result


def _play_together(scenarios: Sequence[Scenario], folder: Path) -> dict[str, Outcome]:
    targets = [Target(scenario.name, scenario.settings) for scenario in scenarios]
    stage = Stage(folder, targets, Receiver())
    for scenario, target in zip(scenarios, targets, strict=True):
        scenario.begin(stage, target)
    with stage.running():
        stage.wait_until_all_targets_are_up()
        # Prometheus takes five seconds to find its targets, which is five minutes here: what that raises ends first.
        until(lambda: not stage.query('ALERTS{alertname="BatchOpsExporterAbsent"}'), seconds=60, pause=0.5)
        time.sleep(SETTLING)
        stage.receiver.arrivals.clear()
        running = [Played(scenario, stage) for scenario in scenarios]
        over: list[Played] = []
        while running:
            done = [played for played in running if played.advance()]
            for played in done:
                log.info("%s: over", played.scenario.name)
                running.remove(played)
            over += done
            time.sleep(0.5)
        time.sleep(QUIET)
        return {played.scenario.name: played.outcome() for played in over}
