from __future__ import annotations

import json
import re
from pathlib import Path

from exporter.options import DEFAULT_ADDRESS

ROOT = Path(__file__).parents[2]
PLACES_COPIED = ("pyproject.toml", "README.md", "LICENSE", "requirements/run.txt", "requirements/build.txt", "exporter")


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage of the Dockerfile, as (word, rest); those before the first FROM are left out."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    found: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                found.append([])
            if found:
                found[-1].append((word, rest))
    return found


def last(word: str) -> str:
    """What stands after `word` in the final stage, where it stands once."""
    (rest,) = (rest for instruction, rest in stages()[-1] if instruction == word)
    return rest


def test_the_image_is_built_from_locked_files_alone():
    """Whatever pip fetches is a wheel whose hash is locked; the project itself is built and installed offline."""
    builder = [json.loads(rest) for word, rest in stages()[0] if word == "RUN"]
    installs = [command for command in builder if "install" in command]
    assert len(installs) == 3
    for command in installs:
        locked = {"--require-hashes", "--only-binary=:all:"} <= set(command)
        offline = {"--no-index", "--no-deps"} <= set(command)
        assert locked or offline, command


def test_the_image_ends_with_the_program_and_without_its_tools():
    """The final stage, on the builder's own base, takes its virtual environment and runs no command."""
    builder, final = stages()
    assert builder[0][1].split()[0] == final[0][1] == "${BASE}"
    assert last("COPY") == "--from=builder /opt/venv /opt/venv"
    assert "RUN" not in dict(final)


def test_the_image_runs_as_nobody_and_without_a_shell():
    """The user is numeric and not root; the program is process 1, gets SIGTERM, and has no default arguments."""
    user, group = last("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert json.loads(last("ENTRYPOINT")) == ["/opt/venv/bin/batchops-exporter"]
    assert last("STOPSIGNAL") == "SIGTERM"
    assert "CMD" not in dict(stages()[-1])


def test_the_image_is_checked_on_the_port_that_it_exposes():
    """Port and health check are the exporter's default port and its own route; the check needs no shell."""
    port = DEFAULT_ADDRESS.removeprefix(":")
    assert last("EXPOSE") == port
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "/opt/venv/bin/python"
    assert f"'127.0.0.1', {port}," in command[-1]
    assert "'/-/healthy'" in command[-1]


def test_the_image_knows_its_revision():
    """The build argument REVISION reaches the exporter's environment and the image's label."""
    assert last("ARG").startswith("REVISION=")
    assert 'BATCHOPS_EXPORTER_REVISION="${REVISION}"' in last("ENV")
    assert 'org.opencontainers.image.revision="${REVISION}"' in last("LABEL")


def test_the_build_sees_only_what_it_copies():
    """.dockerignore lets through what the Dockerfile copies, and nothing else: no secret, no .git, no .venv."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(PLACES_COPIED)
    copied = [rest.split()[:-1] for word, rest in stages()[0] if word == "COPY"]
    assert {place for places in copied for place in places} == set(PLACES_COPIED)
