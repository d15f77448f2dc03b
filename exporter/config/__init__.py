"""The configuration file: YAML to `Config`, a tuple of targets.

Reading is strict, and reports all problems at once. This room opens the file and no other one, and sends nothing.
"""

from __future__ import annotations

import re
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
    """A valid configuration."""

    targets: tuple[Target, ...]
    """In the order of the file; their names are unique."""


def load(
    path: Path, *, environment: Mapping[str, str], expand: bool = False, largest_file: int = LARGEST_FILE
) -> Config:
    """Returns the configuration in the file at `path`, at most `largest_file` bytes; see `parse`.

    Raises ConfigError.
    """
    text = _contents(path, largest_file)
    return parse(text, file=str(path), environment=environment, expand=expand)


def read_yaml(path: Path, *, largest_file: int = LARGEST_FILE, allow_empty: bool = False) -> dict[str, Any]:
    """Returns the mapping in the YAML file at `path`, read as strictly as a configuration.

    Raises ConfigError; an empty file is an empty mapping if `allow_empty`.
    """
    text = _contents(path, largest_file)
    if allow_empty and re.fullmatch(rb"(?:\s|#[^\n]*(?:\n|\Z))*", text):
        return {}
    document = yaml_document.read(text, file=str(path), environment=None)
    if document.problems:
        raise ConfigError(document.problems, file=str(path))
    return document.data


def _contents(path: Path, largest: int) -> bytes:
    """Returns the bytes of the file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            text = file.read(largest + 1)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # the name contains a NUL
        problem = "cannot be read: this is not the name of a file"
    else:
        if len(text) <= largest:
            return text
        problem = f"is longer than {largest} bytes"
    raise ConfigError((Problem("", problem),), file=str(path))


def parse(text: bytes, *, file: str, environment: Mapping[str, str], expand: bool = False) -> Config:
    """Returns the configuration in `text`. Raises ConfigError with every problem.

    Args:
        text: YAML in UTF-8.
        file: the name of the file, for messages; names of files in `text` are relative to its directory.
        environment: the variables for `expand`, and for the credentials source `environment` at each use.
        expand: whether to replace ${NAME} in strings by that variable, and $$ by $.
    """
    document = yaml_document.read(text, file=file, environment=environment if expand else None)
    root = Section(document.data, "", [], directory=str(Path(file).parent))
    targets = accounts.read(root, environment)
    root.reject_unknown()
    consequent = (problem for problem in root.problems if problem.path not in document.unreadable)
    problems = tuple(dict.fromkeys((*document.problems, *consequent)))  # the same default is read by many accounts
    if problems:
        raise ConfigError(problems, file=file)
    return Config(tuple(targets))
