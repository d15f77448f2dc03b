from __future__ import annotations

import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import yaml

from exporter.config import load, parse
from exporter.config.accounts import read
from exporter.core.section import Section

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
FULL = re.sub(r"(?m)^( *)#(?=\S)", r"\1", EXAMPLE.read_text())
"""The example with every key that it shows, its default as the value."""
SMALLEST = "accounts: [{provider: oss, account: prod, regions: [cn-hangzhou, ap-southeast-1]}]"


def paths(value, at=""):
    """The path of every key in a value, without the indices of lists."""
    if isinstance(value, list):
        return {path for item in value for path in paths(item, at)}
    if not isinstance(value, dict):
        return set()
    return {path for key, inner in value.items() for path in (f"{at}{key}", *paths(inner, f"{at}{key}."))}


def settings(text):
    """All that a configuration says, in a form that can be compared."""
    return [
        {
            **{field.name: getattr(target, field.name) for field in fields(target)},
            "credentials": (type(target.credentials), target.credentials.name),
        }
        for target in parse(text.encode(), file="config.yaml", environment={}).targets
    ]


def test_the_example_can_be_used():
    """The example is a valid configuration as it stands."""
    assert [target.name for target in load(EXAMPLE, environment={}).targets] == [
        "oss/prod/cn-hangzhou",
        "oss/prod/ap-southeast-1",
    ]


def test_the_example_states_the_defaults():
    """With every key that the example shows, at the value shown, nothing differs from a file with none of them."""
    assert settings(FULL) == settings(SMALLEST)


def test_the_example_is_complete():
    """The example shows every key that an account may have, and no other; those of static credentials in a comment."""
    root = Section(yaml.safe_load(SMALLEST), "", [])
    read(root, {})
    asked = {path.removeprefix("accounts[0].") for path in root.asked if path.startswith("accounts[0].")}
    static = {path for path in asked if re.fullmatch(r"credentials\.(access_key|security_token).*", path)}
    assert len(static) == 6
    assert paths(yaml.safe_load(FULL)["accounts"]) == asked - static
    for path in static:
        assert re.search(rf"^ *# .*\b{path.partition('.')[2]}\b", EXAMPLE.read_text(), re.MULTILINE)


def test_every_key_is_explained():
    """A comment stands above every key of the example, or above the one that it belongs to."""
    lines = EXAMPLE.read_text().splitlines()
    bare = [
        line
        for above, line in pairwise(lines)
        if re.match(r" *(- |#)?[a-z_]+:", line) and not re.match(r" *(#|accounts:|defaults:)", above)
    ]
    assert not bare
