"""What holds for the files of this repository, whatever they say."""

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
REQUIREMENTS = ("build", "dev", "run")
SHELL_SCRIPTS = ("dev", ".ci/run")
MADE_HERE = re.compile(r"\.git|\.venv|\.hypothesis|.*_cache|__pycache__|build|dist|htmlcov|bench-results|.*\.egg-info")
"""Folders that hold no files of the project."""


def files() -> Iterator[Path]:
    """Every file of the project."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not MADE_HERE.fullmatch(name)]
        yield from (Path(folder, name) for name in names if not name.startswith(".coverage"))


def texts() -> Iterator[tuple[str, str]]:
    """The path and the text of every file of the project that is text."""
    for path in files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:
            continue


def pins(name: str) -> dict[str, str]:
    """The entries of requirements/NAME.txt: `package==version` and, for each, all that stands with it."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{name}.txt").read_text().strip())
    return {entry.split()[0]: entry for entry in entries}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_a_file_can_be_read_in_one_sitting():
    """No Python file has 400 lines or more."""
    paths = python_files("exporter", "tests", "bench")
    assert paths
    long = {str(path): lines for path in paths if (lines := len(path.read_text().splitlines())) >= 400}
    assert not long


@pytest.mark.parametrize("script", SHELL_SCRIPTS)
def test_shell_scripts_are_clean(script):
    """Linting finds nothing to say about the shell scripts, by the shell that their first line names."""
    shellcheck = needs.program("shellcheck", package="shellcheck")
    done = subprocess.run([shellcheck, script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_dev_asks_for_no_more_than_a_posix_shell():
    """`dev` names sh as its shell, so that shellcheck holds it to POSIX, and may be executed."""
    assert (ROOT / "dev").read_text().startswith("#!/bin/sh\n")
    assert os.access(ROOT / "dev", os.X_OK)


def test_dev_tells_every_command():
    """`./dev help`, called from anywhere, lists exactly the commands that there are, and so does CONTRIBUTING.md."""
    script = (ROOT / "dev").read_text()
    there_are = set(re.findall(r"^(\w+)(?: \| .*)?\)", script.partition("\ncase $command in")[2], re.MULTILINE))
    done = subprocess.run([ROOT / "dev", "help"], cwd="/", capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  (\w+)", done.stdout, re.MULTILINE)) == there_are
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"^\| `\./dev (\w+)`", contributing, re.MULTILINE)) == there_are - {"help"}


def test_an_unknown_command_is_a_usage_error():
    """`./dev` with a command that it does not know exits with 2 and shows what there is, on stderr."""
    done = subprocess.run([ROOT / "dev", "tset"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no command tset" in done.stderr
    assert "usage:" in done.stderr


def test_dev_names_what_is_missing(tmp_path):
    """Without a Python, `./dev test` says what is needed and how to get it, and touches nothing."""
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


def test_no_file_tells_where_it_was_written():
    """No file names a home or temporary folder of a machine, or an address of a package registry or mirror."""
    home = r"/(?:home|root|Users)/\w|/tmp/\w"
    registry = r"//(?:[\w.-]+\.)?(?:pypi|pythonhosted)\.org|--(?:extra-)?index-url"
    found = [
        (name, match[0])
        for name, text in texts()
        if name != "tests/test_house.py"
        for match in re.finditer(f"(?<![\\w.-])(?:{home}|{registry})", text)
    ]
    assert not found


def test_every_exception_from_a_rule_has_its_reason():
    """Each rule that pyproject.toml switches off, and each noqa, says why on the same line."""
    ruff = PYPROJECT.partition("[tool.ruff.lint]")[2].partition("[tool.mypy]")[0]
    configured = tomllib.loads(PYPROJECT)["tool"]["ruff"]["lint"]
    off = {*configured["ignore"], *chain.from_iterable(configured["per-file-ignores"].values())}
    lines = {rule: [line for line in ruff.splitlines() if f'"{rule}"' in line] for rule in off}
    bare = [rule for rule in off if not lines[rule] or not all(re.search(r"# \w", line) for line in lines[rule])]
    for path in python_files("exporter", "tests", "bench"):
        with path.open("rb") as file:
            comments = [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
        exceptions = [comment for comment in comments if "noqa" in comment]
        bare += [f"{path.name}: {comment}" for comment in exceptions if not re.match(r"# noqa: [\w, ]+ - \w", comment)]
    assert not bare


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_requirements_are_pinned_by_hash(name):
    """Each requirement has an exact version and at least one sha256, and nothing else stands in the file."""
    entries = pins(name)
    assert entries
    for package, entry in entries.items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", package), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}$", entry, re.MULTILINE), package


@pytest.mark.parametrize("name", ["build", "run"])
def test_what_is_tested_is_what_runs(name):
    """Each version of the smaller requirements files is the one that the tests run with."""
    assert pins(name).keys() <= pins("dev").keys()


def test_requirements_follow_the_project():
    """Whatever pyproject.toml depends on is in the requirements file for its use: nobody forgot `./dev lock`."""
    project = tomllib.loads(PYPROJECT)
    groups = project["dependency-groups"]
    wanted = {"run": project["project"]["dependencies"], "build": groups["build"]}
    wanted["dev"] = [entry for entry in groups["dev"] if isinstance(entry, str)] + wanted["run"] + wanted["build"]
    for name, requirements in wanted.items():
        locked = {pin.partition("==")[0] for pin in pins(name)}
        assert {re.split(r"[\[><=;]", requirement)[0] for requirement in requirements} <= locked


def test_what_builds_the_project_is_locked():
    """The group `build` holds what `[build-system]` asks for, by name."""
    project = tomllib.loads(PYPROJECT)
    names = {requirement.partition(">")[0] for requirement in project["dependency-groups"]["build"]}
    assert set(project["build-system"]["requires"]) <= names


def test_ci_installs_what_the_tests_need():
    """Each program that a test asks for is among the packages that .ci/run installs, or part of every Debian."""
    script = (ROOT / ".ci" / "run").read_text()
    installed = set(re.findall(r"^    \[([\w-]+)\]=([\w-]+)$", script, re.MULTILINE))
    asked = set()
    for path in python_files("tests", "bench"):
        for call in re.findall(r"needs\.program\((.*?)\)", path.read_text(), re.DOTALL):
            asked |= set(re.findall(r'"([\w-]+)",\s*package="([\w-]+)"', call))
    assert asked
    assert asked <= installed


def test_a_missing_program_skips_here_and_fails_in_ci(monkeypatch):
    """A test whose program is missing is skipped, under REQUIRE_ALL=1 it fails; both name the Debian package."""
    ask = partial(needs.program, package="no-such-package")
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-package"):
        ask("no-such-program")
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-package"):
        ask("no-such-program")
    assert os.access(ask("sh"), os.X_OK)


def test_the_licence_is_the_licence():
    """LICENSE is the Apache License 2.0, to the byte, as its publisher and Debian ship it."""
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_pure_modules_read_no_clock_and_open_no_file():
    """Modules that may not import I/O do not reach it by a builtin or by datetime either."""
    contracts = tomllib.loads(PYPROJECT)["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if "no I/O" in contract["name"]]
    forbidden = {"__import__", "exec", "eval", "input", "now", "open", "print", "today", "utcnow"}
    found = []
    for module in pure["source_modules"]:
        path = ROOT.joinpath(*module.split("."))
        sources = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for source in sources:
            for node in ast.walk(ast.parse(source.read_text())):
                if isinstance(node, ast.Call):
                    called = getattr(node.func, "attr", getattr(node.func, "id", None))
                    found += [(source.name, node.lineno, called)] if called in forbidden else []
    assert not found


def test_the_map_shows_every_room_and_module():
    """CONTRIBUTING.md lists exactly the packages under exporter/, and exactly the modules of each."""
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
