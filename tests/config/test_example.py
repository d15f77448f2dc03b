from __future__ import annotations

import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import load, parse
from exporter.core.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
FULL = re.sub(r"(?m)^( *)#(?=\S)", r"\1", EXAMPLE.read_text())
"""The example with every commented key enabled, at its default."""
SMALLEST = "accounts: [{provider: oss, account: prod, regions: [cn-hangzhou, ap-southeast-1]}]"


def paths(value, at=""):
    """Returns the path of every key in a value, without the indices of lists."""
    if isinstance(value, list):
        return {path for item in value for path in paths(item, at)}
    if not isinstance(value, dict):
        return set()
    return {path for key, inner in value.items() for path in (f"{at}{key}", *paths(inner, f"{at}{key}."))}


def known_keys(section="", **settings):
    """The known keys of an account, or of a section of it, as the message about an unknown one lists them."""
    account: dict[str, Any] = {"provider": "oss", "account": "prod", "regions": ["cn-hangzhou"]}
    (account.setdefault(section, settings) if section else account)["zzz"] = 1
    with pytest.raises(ConfigError) as caught:
        parse(yaml.safe_dump({"accounts": [account]}).encode(), file="config.yaml", environment={})
    (listed,) = (problem.message for problem in caught.value.problems if problem.path.endswith("zzz"))
    return set(listed.partition("; known: ")[2].split(", "))


def settings(text):
    """Returns all settings of a configuration, in a form that can be compared."""
    return [
        {
            **{field.name: getattr(target, field.name) for field in fields(target)},
            "credentials": (type(target.credentials), target.credentials.name),
        }
        for target in parse(text.encode(), file="config.yaml", environment={}).targets
    ]


def test_the_example_can_be_used():
    """The example is a valid configuration."""
    assert [target.name for target in load(EXAMPLE, environment={}).targets] == [
        "oss/prod/cn-hangzhou",
        "oss/prod/ap-southeast-1",
    ]


def test_the_example_states_the_defaults():
    """With every key of the example enabled, the settings are the same as with none."""
    assert settings(FULL) == settings(SMALLEST)


def test_the_example_is_complete():
    """The example shows every key that an account can have and no other; those of credentials in a comment."""
    credentials = known_keys("credentials", source="static")
    assert len(credentials) == 12
    assert paths(yaml.safe_load(FULL)["accounts"]) == known_keys() | {
        *(f"jobs.{key}" for key in known_keys("jobs")),
        *(f"tls.{key}" for key in known_keys("tls")),
        "credentials.source",
    }
    for key in credentials:
        assert re.search(rf"^ *# .*\b{key}\b", EXAMPLE.read_text(), re.MULTILINE)


def test_every_key_is_explained():
    """Every key of the example has a comment above it, or follows a key that has one."""
    lines = EXAMPLE.read_text().splitlines()
    bare = [
        line
        for above, line in pairwise(lines)
        if re.match(r" *(- |#)?[a-z_]+:", line) and not re.match(r" *(#|accounts:|defaults:)", above)
    ]
    assert not bare
