"""docs/credentials.md agrees with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from exporter import config
from exporter.credentials import ISSUERS, PACKAGES
from exporter.credentials.key_files import READING_PAUSE_SECONDS
from exporter.credentials.refreshing import RECHECK_SECONDS, REFUSED_SECONDS, RENEW_SECONDS, RETRY_SECONDS
from exporter.credentials.static import GRACE_SECONDS
from exporter.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/credentials.md").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("| provider | source |") :].partition("\n\n")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines()[2:]]


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
        names = api.credential_names
        variables = [name for family in names.environment for name in family]
        variables += [names.expiry_variable] if names.expiry_variable else []
        assert re.findall("`(.*?)`", row(provider, "environment")) == variables


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


def test_the_renewal_rule():
    """The page shows when credentials of three lifetimes are renewed, as the code does."""
    for words, lifetime, before in (("12 h", 43200, 900), ("1 h", 3600, 900), ("15 min", 900, 225)):
        assert words in PAGE
        assert min(RENEW_SECONDS, lifetime / 4) == before
    assert "15 min: 3 min 45 s before" in PAGE
    for seconds in (RECHECK_SECONDS, RETRY_SECONDS, GRACE_SECONDS):
        assert f"{seconds:g} s" in PAGE
    assert RETRY_SECONDS == REFUSED_SECONDS
    assert f"{READING_PAUSE_SECONDS * 1000:g} ms" in PAGE


def test_the_extras_are_the_packages():
    """The page and pyproject.toml know the same extras; `socks` has nothing to do with keys."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {package.extra for package in PACKAGES.values()}
    assert extras | {"socks"} == set(project["optional-dependencies"])
    assert all(f"[{extra}]" in PAGE for extra in extras)
