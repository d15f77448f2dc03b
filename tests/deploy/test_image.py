from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from exporter.options import DEFAULT_ADDRESS

ROOT = Path(__file__).parents[2]
LOCK_FILES = ("requirements/run.txt", "requirements/build.txt", "requirements/extra-*.txt")
PLACES_COPIED = ("pyproject.toml", "README.md", "LICENSE", *LOCK_FILES, "exporter")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage of the Dockerfile, as (word, rest); those before the first FROM are left out."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    result: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                result.append([])
            if result:
                result[-1].append((word, rest))
    return result


def last(word: str) -> str:
    """The argument of `word` in the final stage, which has it once."""
    (rest,) = (rest for instruction, rest in stages()[-1] if instruction == word)
    return rest


def test_the_package_contains_the_page_and_the_documentation(tmp_path):
    """The wheel has the template and the style of the landing page, and the README as its description."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        assert "## When a target is down" in packed.read(metadata).decode()
    assert {"exporter/web/landing.html", "exporter/web/landing.css"} <= set(names)


def test_the_image_is_built_from_locked_files_only():
    """Pip only downloads wheels with locked hashes, and builds and installs the project itself offline."""
    builder = [json.loads(rest) for word, rest in stages()[0] if word == "RUN" and rest.startswith("[")]
    installs = [command for command in builder if "install" in command]
    assert len(installs) == 3
    for command in installs:
        locked = {"--require-hashes", "--only-binary=:all:"} <= set(command)
        offline = {"--no-index", "--no-deps"} <= set(command)
        assert locked or offline, command


@pytest.fixture
def install_extras(tmp_path):
    """Runs the instruction of the builder that installs the extras, with a pip that only writes down its arguments."""
    [script] = [rest for word, rest in stages()[0] if word == "RUN" and not rest.startswith("[")]
    shutil.copytree(ROOT / "requirements", tmp_path / "src/requirements")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    for name in ("/opt/build/bin/python", "/src/"):
        script = script.replace(name, f"{python}" if name.endswith("python") else f"{tmp_path}{name}")

    def run(extras):
        environment = {"EXTRAS": extras, "PATH": f"{tmp_path}:/usr/bin:/bin"}
        command = ["sh", "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stdout.replace(str(tmp_path), "").splitlines(), done.stderr

    return run


@pytest.mark.parametrize("extras", ["", "aws", "aws,alibaba", "alibaba,aws,tencent"])
def test_the_image_has_the_wanted_extras(install_extras, extras):
    """EXTRAS selects the locked files that are installed; no other download is possible."""
    status, calls, errors = install_extras(extras)
    assert (status, errors) == (0, "")
    assert calls == [
        line
        for extra in filter(None, extras.split(","))
        for line in (
            f"-m pip wheel --no-deps --no-build-isolation --require-hashes -w /src/wheels -r extra-{extra}.txt",
            "-m pip --python /opt/venv/bin/python install --no-index --no-deps /src/wheels/*.whl",
        )
    ]


@pytest.mark.parametrize("extras", ["aws,gcs", "azure", "../run", "aws;id"])
def test_an_unknown_extra_ends_the_build(install_extras, extras):
    """An unknown name in EXTRAS ends the build with a message that lists the known ones."""
    status, _, errors = install_extras(extras)
    assert status == 1
    assert errors.endswith("; there are: alibaba aws socks tencent\n")
    assert errors.startswith("EXTRAS: there is no extra ")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_locked_as_it_is_tested(extra):
    """The locked versions and hashes of an extra are what the tests run with: pip has nothing to download."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "--require-hashes"]
    lock = f"requirements/extra-{extra}.txt"
    done = subprocess.run([*command, "-r", lock], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout
    assert re.search(rf"already satisfied: {re.split('[>=]', EXTRAS[extra][0])[0]}==", done.stdout)


def test_the_final_stage_has_no_build_tools():
    """The final stage uses the builder's base, copies its virtual environment, and runs no command."""
    builder, final = stages()
    assert builder[0][1].split()[0] == final[0][1] == "${BASE}"
    assert last("COPY") == "--from=builder /opt/venv /opt/venv"
    assert "RUN" not in dict(final)


def test_the_image_runs_without_root_and_shell():
    """The user is numeric and not root; the program is process 1, gets SIGTERM, and has no default arguments."""
    user, group = last("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert json.loads(last("ENTRYPOINT")) == ["/opt/venv/bin/batchops-exporter"]
    assert last("STOPSIGNAL") == "SIGTERM"
    assert "CMD" not in dict(stages()[-1])


def test_the_health_check_uses_the_exposed_port():
    """Port and health check use the exporter's default port and health route, without a shell."""
    port = DEFAULT_ADDRESS.removeprefix(":")
    assert last("EXPOSE") == port
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "/opt/venv/bin/python"
    assert f"'127.0.0.1', {port}," in command[-1]
    assert "'/-/healthy'" in command[-1]


def test_the_image_has_its_revision():
    """The build argument REVISION is set in the exporter's environment and in the image's label."""
    assert last("ARG").startswith("REVISION=")
    assert 'BATCHOPS_EXPORTER_REVISION="${REVISION}"' in last("ENV")
    assert 'org.opencontainers.image.revision="${REVISION}"' in last("LABEL")


def test_the_build_context_has_only_copied_files():
    """.dockerignore includes only what the Dockerfile copies, and so no secrets, .git or .venv."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(PLACES_COPIED)
    copied = [rest.split()[:-1] for word, rest in stages()[0] if word == "COPY"]
    assert {place for places in copied for place in places} == set(PLACES_COPIED)
