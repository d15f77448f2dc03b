"""The shipped rules and configuration of Alertmanager, with shorter durations: a drill plays a day in minutes.

Nothing else is changed, so what a drill proves holds for the shipped files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
RULE_FILES: Final = ("recording.rules.yml", "alerts.rules.yml")

SPEED: Final = 60
"""Up to an hour, durations are divided by this: the interval of a minute becomes a second."""
SPEED_AFTER_AN_HOUR: Final = 1200
"""What exceeds an hour is divided by this: 6 hours become 75 seconds, and a day about two minutes."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"\b(\d+)([smhd])\b")
_IN_BRACKETS: Final = re.compile(r"\[[^\]]+\]|\boffset \w+")
_SECONDS: Final = re.compile(r"\b([\d.]+) \* (60|3600|86400)\b")


def short(seconds: float) -> float:
    """Returns how long the drill waits for what takes `seconds` in reality."""
    hour = _UNITS["h"]
    return min(seconds, hour) / SPEED + max(0.0, seconds - hour) / SPEED_AFTER_AN_HOUR


def short_duration(text: str) -> str:
    """Returns the durations in `text`, such as 5m or 1h:1m, shortened to whole milliseconds."""
    return _DURATION.sub(lambda match: f"{short(int(match[1]) * _UNITS[match[2]]) * 1000:.0f}ms", text)


def short_expression(text: str) -> str:
    """Returns an expression with its ranges, offsets, and its seconds written as 15 * 60, shortened."""
    text = _IN_BRACKETS.sub(lambda match: short_duration(match[0]), text)
    return _SECONDS.sub(lambda match: f"{short(float(match[1]) * int(match[2])):.3f}", text)


def rules(file: str) -> dict[str, Any]:
    """Returns a shipped file of rules with shorter durations."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / file).read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = short_expression(rule["expr"])
            rule |= {key: short_duration(rule[key]) for key in ("for", "keep_firing_for") if key in rule}
    return document


def alertmanager(webhook: str) -> dict[str, Any]:
    """Returns the shipped configuration of Alertmanager, with each receiver at `webhook`/NAME.

    A group waits longer than the rules' speed says: it covers the seconds that a busy machine loses.
    """
    folder = DEPLOY / "alertmanager"
    document: dict[str, Any] = yaml.safe_load((folder / "alertmanager.yml").read_text())
    document["templates"] = [str(folder / name) for name in document["templates"]]
    document["route"] |= {"group_wait": "3s", "group_interval": "5s"}
    document["receivers"] = [
        {"name": receiver["name"], "webhook_configs": [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}]}
        for receiver in document["receivers"]
    ]
    return document
