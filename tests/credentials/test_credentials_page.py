"""docs/credentials.md agrees with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from exporter import config
from exporter.credentials import ISSUERS, PACKAGES
from exporter.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/credentials.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")][
    1:
]


def row(provider, word):
    """The cell of what a provider's source reads."""
    [what] = [cells[2] for cells in ROWS if cells[0] == provider and cells[1].startswith(f"`{word}`")]
    return what


def test_each_source_has_its_row():
    """The table has exactly one row for each provider and source."""
    written = {(cells[0], re.findall("`(.*?)`", cells[1])[0]) for cells in ROWS}
    known = {(provider, word) for provider, words in ISSUERS.items() for word in words}
    known |= {(provider, word) for provider in PACKAGES for word in ("environment", "sdk")}
    assert written == known | {("any", "static"), ("any", "default")}
    assert {provider for provider, _ in known} == set(PROVIDERS)


def test_the_variables_of_the_environment():
    """The table names each variable of the source `environment`, in its order."""
    for provider, api in PROVIDERS.items():
        families = api.credential_names.environment
        assert re.findall("`(.*?)`", row(provider, "environment")) == [name for family in families for name in family]


def test_the_other_variables():
    """The table names each variable that the sources oidc and metadata read."""
    for provider in ("oss", "cos"):
        code = (ROOT / f"exporter/credentials/{provider}.py").read_text(encoding="utf-8")
        read = set(re.findall(r'"((?:ALIBABA_CLOUD|TKE)_\w+)"', code))
        written = set(re.findall(r"`([A-Z_0-9]+)`", row(provider, "oidc") + row(provider, "metadata")))
        assert read == written


def test_the_examples_are_valid():
    """Each configuration of the page is valid, and each other block is YAML."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    used = []
    for block in blocks:
        documents = list(yaml.safe_load_all(block))
        if "accounts" in documents[0]:
            [target] = config.parse(block.encode(), file="credentials.md", environment={}).targets
            used.append((target.provider_name, target.credentials.name))
    assert set(used) == {("oss", "oidc"), ("cos", "oidc"), ("oss", "metadata"), ("cos", "metadata"), ("s3", "sdk")}


def test_the_extras_are_the_packages():
    """The page and pyproject.toml know the same extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {package.extra for package in PACKAGES.values()}
    assert extras == set(project["optional-dependencies"])
    assert all(f"[{extra}]" in PAGE for extra in extras)
