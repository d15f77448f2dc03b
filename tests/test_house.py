"""Rules for the files of this repository."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import tokenize
import tomllib
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
EXTRAS = ("alibaba", "aws", "socks", "tencent")
REQUIREMENTS = ("build", "dev", "run", *(f"extra-{name}" for name in EXTRAS))
SHELL_SCRIPTS = ("dev", ".ci/run")
MADE_HERE = re.compile(
    r"\.git|\.venv|\.cache|\.hypothesis|.*_cache|__pycache__|build|dist|htmlcov|bench-results|.*\.egg-info"
)
"""Folders that hold no files of the project."""


def files() -> Iterator[Path]:
    """Every file of the project."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not MADE_HERE.fullmatch(name)]
        yield from (Path(folder, name) for name in names if not name.startswith(".coverage"))


def texts() -> Iterator[tuple[str, str]]:
    """The path and text of every text file of the project."""
    for path in files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:
            continue


def pins(name: str) -> dict[str, str]:
    """The entries of requirements/NAME.txt by `package==version`."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{name}.txt").read_text().strip())
    return {entry.split()[0]: entry for entry in entries}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_no_file_is_too_long():
    """No Python file has 400 lines or more."""
    paths = python_files("exporter", "tests", "bench", "deploy")
    assert paths
    long = {str(path): lines for path in paths if (lines := len(path.read_text().splitlines())) >= 400}
    assert not long


@pytest.mark.parametrize("script", SHELL_SCRIPTS)
def test_shell_scripts_are_clean(script):
    """Running shellcheck reports nothing about the shell scripts."""
    shellcheck = needs.program("shellcheck", package="shellcheck")
    done = subprocess.run([shellcheck, script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_dev_needs_only_a_posix_shell():
    """`dev` has sh as its shell, so that shellcheck checks it against POSIX, and is executable."""
    assert (ROOT / "dev").read_text().startswith("#!/bin/sh\n")
    assert os.access(ROOT / "dev", os.X_OK)


def test_dev_lists_every_command():
    """`./dev help`, called from anywhere, lists exactly the existing commands, and so does CONTRIBUTING.md."""
    script = (ROOT / "dev").read_text()
    there_are = set(re.findall(r"^(\w+)(?: \| .*)?\)", script.partition("\ncase $command in")[2], re.MULTILINE))
    done = subprocess.run([ROOT / "dev", "help"], cwd="/", capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  (\w+)", done.stdout, re.MULTILINE)) == there_are
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"^\| `\./dev (\w+)`", contributing, re.MULTILINE)) == there_are - {"help"}


def test_an_unknown_command_is_a_usage_error():
    """`./dev` with an unknown command exits with 2 and prints the usage on stderr."""
    done = subprocess.run([ROOT / "dev", "tset"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no command tset" in done.stderr
    assert "usage:" in done.stderr


def test_dev_reports_a_missing_python(tmp_path):
    """Without a Python, `./dev test` reports what is needed and how to install it, and changes no file."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for name in ("dev", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cat", "cksum", "dirname", "sed", "sh"):
        (tools / name).symlink_to(needs.program(name, package="coreutils"))
    before = sorted(tmp_path.iterdir())
    done = subprocess.run(
        [tmp_path / "dev", "test"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Python 3.11 or newer" in done.stderr
    assert "python3-venv" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_no_file_names_this_machine():
    """No file names a home or temporary folder of a machine, or an address of a package registry or mirror."""
    home = r"/(?:home|root|Users)/\w|/tmp/\w"
    registry = r"//(?:[\w.-]+\.)?(?:pypi|pythonhosted|npmjs)\.org|--(?:extra-)?index-url"
    found = [
        (name, match[0])
        for name, text in texts()
        if name != "tests/test_house.py"
        for match in re.finditer(f"(?<![\\w.-])(?:{home}|{registry})", text)
    ]
    assert not found


def test_every_exception_from_a_rule_has_its_reason():
    """Each disabled rule in pyproject.toml and each noqa has its reason on the same line."""
    ruff = PYPROJECT.partition("[tool.ruff.lint]")[2].partition("[tool.mypy]")[0]
    configured = tomllib.loads(PYPROJECT)["tool"]["ruff"]["lint"]
    off = {*configured["ignore"], *chain.from_iterable(configured["per-file-ignores"].values())}
    lines = {rule: [line for line in ruff.splitlines() if f'"{rule}"' in line] for rule in off}
    bare = [rule for rule in off if not lines[rule] or not all(re.search(r"# \w", line) for line in lines[rule])]
    for path in python_files("exporter", "tests", "bench", "deploy"):
        with path.open("rb") as file:
            comments = [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
        exceptions = [comment for comment in comments if "noqa" in comment]
        bare += [f"{path.name}: {comment}" for comment in exceptions if not re.match(r"# noqa: [\w, ]+ - \w", comment)]
    assert not bare


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_requirements_are_pinned_by_hash(name):
    """Each requirement has an exact version and at least one sha256, and the file has nothing else."""
    entries = pins(name)
    assert entries
    for package, entry in entries.items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.!]+", package), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}$", entry, re.MULTILINE), package


@pytest.mark.parametrize("name", [name for name in REQUIREMENTS if name != "dev"])
def test_tested_versions_are_the_shipped_ones(name):
    """Each version in the smaller requirements files is also the one used by the tests."""
    assert pins(name).keys() <= pins("dev").keys()


def test_requirements_follow_the_project():
    """Every dependency in pyproject.toml is in its requirements file, so `./dev lock` was not forgotten."""
    project = tomllib.loads(PYPROJECT)
    groups = project["dependency-groups"]
    wanted = {"run": project["project"]["dependencies"], "build": groups["build"]}
    for extra, dependencies in project["project"]["optional-dependencies"].items():
        wanted[f"extra-{extra}"] = dependencies + wanted["run"]
    assert {*wanted, "dev"} == set(REQUIREMENTS)
    wanted["dev"] = [entry for entry in groups["dev"] if isinstance(entry, str)] + wanted["run"] + wanted["build"]
    for name, requirements in wanted.items():
        locked = {pin.partition("==")[0] for pin in pins(name)}
        assert {re.split(r"[\[><=;]", requirement)[0] for requirement in requirements} <= locked


def test_the_build_requirements_are_locked():
    """The group `build` includes every requirement of `[build-system]`."""
    project = tomllib.loads(PYPROJECT)
    names = {requirement.partition(">")[0] for requirement in project["dependency-groups"]["build"]}
    assert set(project["build-system"]["requires"]) <= names


def test_ci_installs_what_the_tests_need():
    """Each program that a test needs is among the packages that .ci/run installs."""
    script = (ROOT / ".ci" / "run").read_text()
    installed = set(re.findall(r"^    \[([\w-]+)\]=([\w-]+)$", script, re.MULTILINE))
    needed = set()
    for path in python_files("tests", "bench"):
        for call in re.findall(r"needs\.program\((.*?)\)", path.read_text(), re.DOTALL):
            needed |= set(re.findall(r'"([\w-]+)",\s*package="([\w-]+)"', call))
    assert needed
    assert needed <= installed


def test_a_missing_program_skips_here_and_fails_in_ci(monkeypatch):
    """A missing program skips the test, or fails it with REQUIRE_ALL=1; both messages name the Debian package."""
    find = partial(needs.program, package="no-such-package")
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-package"):
        find("no-such-program")
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-package"):
        find("no-such-program")
    assert os.access(find("sh"), os.X_OK)


def test_the_licence_is_unchanged():
    """LICENSE is the Apache License 2.0, byte for byte."""
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_pure_modules_read_no_clock_and_open_no_file():
    """Modules that may not import I/O do not use it through a builtin or datetime either."""
    contracts = tomllib.loads(PYPROJECT)["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if "no I/O" in contract["name"]]
    forbidden = {"__import__", "exec", "eval", "input", "now", "open", "print", "today", "utcnow"}
    calls = []
    for module in pure["source_modules"]:
        path = ROOT.joinpath(*module.split("."))
        sources = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for source in sources:
            for node in ast.walk(ast.parse(source.read_text())):
                if isinstance(node, ast.Call):
                    called = getattr(node.func, "attr", getattr(node.func, "id", None))
                    calls += [(source.name, node.lineno, called)] if called in forbidden else []
    assert not calls


def test_the_map_lists_every_package_and_module():
    """CONTRIBUTING.md lists exactly the packages under exporter/ and the modules of each."""
    rows = re.findall(r"^\| `(\w+)`: [^|]+ \| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    shown = {room: re.findall(r"`(\w+)`", modules) for room, modules in rows}
    packages = {path.parent for path in (ROOT / "exporter").glob("*/__init__.py")}
    assert shown == {
        package.name: sorted(
            path.stem
            for path in package.iterdir()
            if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
        )
        for package in packages
    }
