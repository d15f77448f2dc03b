"""The configuration file: YAML → `Config`. Strict, and everything that is wrong is told at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.config import accounts, yaml_document
from exporter.core.errors import ConfigError, Problem
from exporter.core.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.target import Target

LARGEST_FILE: Final = 1024 * 1024
"""Bytes; a thousand accounts with every key take less."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the exporter reads. Holding one proves it valid."""

    targets: tuple[Target, ...]
    """In the order of the file; each name once."""


def load(
    path: Path, *, environment: Mapping[str, str], expand: bool = False, largest_file: int = LARGEST_FILE
) -> Config:
    """The configuration in the file at `path`, of at most `largest_file` bytes. See `parse`. Raises ConfigError."""
    text = _contents(path, largest_file)
    return parse(text, file=str(path), environment=environment, expand=expand)


def read_yaml(path: Path, *, largest_file: int = LARGEST_FILE) -> dict[str, Any]:
    """The mapping in the YAML file at `path`, of at most `largest_file` bytes, read as strictly as a configuration.

    Raises ConfigError.
    """
    read = yaml_document.read(_contents(path, largest_file), file=str(path), environment=None)
    if read.problems:
        raise ConfigError(read.problems, file=str(path))
    return read.data


def _contents(path: Path, largest: int) -> bytes:
    """What the file holds. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            text = file.read(largest + 1)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # a name with a NUL
        problem = "cannot be read: this is no name of a file"
    else:
        if len(text) <= largest:
            return text
        problem = f"is longer than {largest} bytes"
    raise ConfigError((Problem("", problem),), file=str(path))


def parse(text: bytes, *, file: str, environment: Mapping[str, str], expand: bool = False) -> Config:
    """The configuration in `text`. Raises ConfigError with every problem.

    Args:
        text: YAML in UTF-8.
        file: where it comes from, for messages; names of files in `text` are relative to its directory.
        environment: the credentials source `environment` reads from it when keys are asked for, and `expand` now.
        expand: replace ${NAME} in values that are strings, and $$ by $.
    """
    read = yaml_document.read(text, file=file, environment=environment if expand else None)
    root = Section(read.data, "", [], directory=str(Path(file).parent))
    found = accounts.read(root, environment)
    root.reject_unknown()
    later = (problem for problem in root.problems if problem.path not in read.unreadable)
    problems = tuple(dict.fromkeys((*read.problems, *later)))
    if problems:
        raise ConfigError(problems, file=file)
    return Config(tuple(found))
