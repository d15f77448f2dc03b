"""The configuration file: YAML to `Config`, a tuple of targets.

Reading is strict, and reports all problems at once. This room opens the file and no other one, and sends nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.config import accounts, strings, yaml_document
from exporter.core.errors import ConfigError, NamedFile, Problem
from exporter.core.files import require_regular
from exporter.core.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config.yaml_document import Document
    from exporter.core.target import Target

LARGEST_FILE: Final = 1024 * 1024
"""Bytes; a thousand accounts with every key take less."""

MAX_PROBLEMS: Final = 100
"""Shown at once; with more, the file is probably not a configuration."""


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration."""

    targets: tuple[Target, ...]
    """In the order of the file; their names are unique."""
    files: tuple[NamedFile, ...] = ()
    """The files that it names, each with the key that names it."""
    accounts: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """Each account with the values that are used, defaults included; see `effective`."""

    def keeping(self, earlier: Config) -> Config:
        """This configuration, with the targets of `earlier` whose settings are the same.

        So they keep what belongs to them, such as credentials that were fetched.
        """
        settings, earlier_settings = self._settings(), earlier._settings()
        known = {target.name: target for target in earlier.targets}
        same = {name for name in settings if settings[name] == earlier_settings.get(name)}
        return replace(
            self, targets=tuple(known[target.name] if target.name in same else target for target in self.targets)
        )

    def _settings(self) -> dict[str, Mapping[str, Any]]:
        """By target, all values of its account but the regions."""
        return {
            f"{account['provider']}/{account['account']}/{region}": {**account, "regions": ()}
            for account in self.accounts
            for region in account["regions"]
        }


def load(
    path: Path, *, environment: Mapping[str, str], expand: bool = False, largest_file: int = LARGEST_FILE
) -> Config:
    """Returns the configuration in the file at `path`, at most `largest_file` bytes; see `parse`.

    Raises ConfigError.
    """
    text = _contents(path, largest_file)
    return parse(text, file=str(path), environment=environment, expand=expand)


def read_yaml(
    path: Path, *, first_key: str, largest_file: int = LARGEST_FILE, allow_empty: bool = False
) -> dict[str, Any]:
    """Returns the mapping in the YAML file at `path`, read as strictly as a configuration.

    `first_key` is a key that it should have, for messages. Raises ConfigError; an empty file is an empty mapping if
    `allow_empty`.
    """
    text = _contents(path, largest_file)
    if allow_empty and re.fullmatch(rb"(?:\s|#[^\n]*(?:\n|\Z))*", text):
        return {}
    document = yaml_document.read(text, file=str(path), first_key=first_key)
    _raise(document.problems, document, str(path))
    return document.data


def _contents(path: Path, largest: int) -> bytes:
    """Returns the bytes of the file. Raises ConfigError."""
    try:
        require_regular(path, or_pipe=True)
        with path.open("rb") as file:
            text = file.read(largest + 1)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # the name contains a NUL
        problem = "cannot be read: this is not the name of a file"
    else:
        if len(text) <= largest:
            return text
        problem = f"is longer than {largest} bytes; split it, and start an exporter for each part"
    raise ConfigError((Problem("", problem),), file=str(path))


def parse(text: bytes, *, file: str, environment: Mapping[str, str], expand: bool = False) -> Config:
    """Returns the configuration in `text`. Raises ConfigError with every problem, in the order of the file.

    Args:
        text: YAML in UTF-8.
        file: the name of the file, for messages; names of files in `text` are relative to its directory.
        environment: the variables for `expand`, and for the credentials source `environment` at each use.
        expand: whether to replace ${NAME} in strings by that variable, and $$ by $; otherwise ${NAME} is a problem.
    """
    read_string = partial(strings.read, environment=environment if expand else None)
    document = yaml_document.read(text, file=file, first_key="accounts", read_string=read_string)
    root = Section(document.data, "", [], directory=str(Path(file).parent))
    targets, effective = accounts.read(root, environment)
    root.reject_unknown()
    consequent = (problem for problem in root.problems if problem.path not in document.unreadable)
    files = tuple(dict.fromkeys(root.files))
    _raise((*document.problems, *consequent), document, file, files)
    return Config(tuple(targets), files, tuple(effective))


def _raise(problems: tuple[Problem, ...], document: Document, file: str, files: tuple[NamedFile, ...] = ()) -> None:
    """Raises ConfigError with the `problems` in the order of the file, if there are any."""
    found = sorted(dict.fromkeys(problems), key=lambda problem: document.position(problem.path))
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS:] = [Problem("", f"there are more problems; correct these {MAX_PROBLEMS} first")]
    if found:
        raise ConfigError(tuple(found), file=file, files=files)
