"""Typed reads of a mapping that know the path of each key, and collect every problem instead of stopping at the first.

A read returns the value, or the default if the key is absent or its value is wrong; in the latter case a `Problem` with
the key's path is added to `problems`. The caller looks at `problems` once, at the end. A key that is read twice has its
problem in there twice.

A message never contains the value of a plain string, which may be a secret: only durations, choices, numbers and items
of lists are shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Self

from exporter.core import durations, moments
from exporter.core.errors import NamedFile, Problem
from exporter.core.wording import (
    SIMILAR,
    boolean_hint,
    colon_hint,
    did_you_mean,
    join_path,
    number_hint,
    one_of,
    quote_hint,
    shown,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_MISSING: Final = object()

MAX_HINTS: Final = 100
"""Problems with a similar word: to look for one takes a millisecond, and there may be as many problems as values."""


@dataclass(slots=True)
class _Shared:
    """What a section shares with all that are made from it."""

    files: list[NamedFile] = field(default_factory=list)
    seen: set[Problem] = field(default_factory=set)
    """The problems found so far: the same default is read for many accounts."""
    wrong_defaults: set[str] = field(default_factory=set)
    """The paths of values in a partial section that have a problem, and are not read again."""


class Section:
    """The mapping at `path` of a file. A key that it lacks is read from `defaults`, another section, if there is one.

    The path of a problem is that of the mapping that contains the value. In a `partial` section no key is required: a
    problem with a key that it lacks is dropped. Names of files are relative to `directory`.
    """

    def __init__(
        self,
        mapping: Mapping[str, Any],
        path: str,
        problems: list[Problem],
        *,
        defaults: Section | None = None,
        partial: bool = False,
        directory: str = "",
    ) -> None:
        self._mapping = mapping
        self._path = path
        self._defaults = defaults
        self._partial = partial
        self._directory = directory
        self._shared = _Shared()
        self.problems = problems
        self.known: set[str] = set()
        """The keys that were read, whether the mapping has them or not."""
        self.effective: dict[str, Any] = {}
        """The values that were read, defaults included, as the file spells them."""

    @property
    def files(self) -> list[NamedFile]:
        """The files that were read as values, here and in all sections made from the same one."""
        return self._shared.files

    def with_defaults(self, defaults: Section) -> Self:
        """Returns the same section over `defaults`; the keys read so far stay known."""
        section = self._derive(self._mapping, self._path, defaults)
        section.known, section.effective = self.known, self.effective
        return section

    def _derive(self, mapping: Mapping[str, Any], path: str, defaults: Section | None) -> Self:
        section = type(self)(
            mapping, path, self.problems, defaults=defaults, partial=self._partial, directory=self._directory
        )
        section._shared = self._shared  # noqa: SLF001 - of the same class
        return section

    def path(self, key: str) -> str:
        """Returns the path of `key`, for a message."""
        if key not in self._mapping and self._defaults is not None and self._defaults.has(key):
            return self._defaults.path(key)
        return join_path(self._path, key)

    def has(self, key: str) -> bool:
        """Returns whether the mapping or its defaults contain `key`."""
        return key in self._mapping or (self._defaults is not None and self._defaults.has(key))

    def size(self, key: str) -> int:
        """Returns the number of values under `key`, lists and mappings included; 1 if it is absent."""
        return _size(self._mapping.get(key))

    def problem(self, key: str, message: str, *, index: int | None = None) -> None:
        """Add a problem with `key`, or with the item at `index` of the list under it."""
        path = self.path(key)
        if key not in self._mapping and (self._partial or path in self._shared.wrong_defaults):
            return
        if self._partial:
            self._shared.wrong_defaults.add(path)
        self._add(Problem(path if index is None else f"{path}[{index}]", message))

    def _add(self, problem: Problem) -> None:
        if problem not in self._shared.seen:
            self._shared.seen.add(problem)
            self.problems.append(problem)

    def forbid(self, key: str, message: str) -> None:
        """Add a problem if the section has `key`."""
        self.known.add(key)
        if self.has(key):
            self.problem(key, message)

    def _read(self, key: str, default: object = None) -> Any:  # noqa: ANN401 - the file may contain anything here
        """Returns the value of `key`, _MISSING if there is none; `default` is what is used then."""
        self.known.add(key)
        value = self._find(key)
        self.effective[key] = default if value is _MISSING else value
        return value

    def _find(self, key: str) -> Any:  # noqa: ANN401 - likewise
        if key in self._mapping:
            return self._mapping[key]
        if self._defaults is None or self.path(key) in self._shared.wrong_defaults:
            return _MISSING
        return self._defaults._find(key)  # noqa: SLF001 - of the same class

    def string(self, key: str, default: str = "", *, pattern: str = "", hint: str = "", required: bool = False) -> str:
        """Returns a string of printable characters, all of which `pattern` must match; `hint` describes it in words."""
        value = self._read(key, default)
        if value is _MISSING:
            if required:
                self.problem(key, f"is required{f': {hint}' if hint else ''}")
        elif not isinstance(value, str):
            self.problem(key, f"must be a string, not {type_name(value)}{quote_hint(value)}")
        elif required and not value:
            self.problem(key, f"must not be empty{f': {hint}' if hint else ''}")
        elif not value.isprintable():
            self.problem(key, "must contain only printable characters: no line break, tab or invisible character")
        elif pattern and not re.fullmatch(pattern, value):
            self.problem(key, f"must be {hint or pattern}")
        else:
            return value
        return default

    def text(self, key: str) -> str:
        """Returns a string of any characters, such as a certificate of several lines; "" if `key` is absent."""
        value = self._read(key)
        if value is _MISSING:
            return ""
        if isinstance(value, str):
            return value
        self.problem(key, f"must be a string, not {type_name(value)}{quote_hint(value)}")
        return ""

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Returns the mapping under `key` as it is, for keys that are names of the user; empty if it is absent."""
        value = self._read(key)
        if isinstance(value, dict):
            return value
        if value is not _MISSING:
            self.problem(key, f"must be a mapping, not {type_name(value)}{colon_hint(value)}")
        return {}

    def file(self, key: str, *, required: bool = False, secret: bool = False) -> str:
        """Returns the name of a file, joined to the directory of the configuration; "" if `key` is absent or empty."""
        name = self.string(key, required=required, hint="the name of a file")
        if name:
            name = self.effective[key] = str(PurePath(self._directory, name))
            self.files.append(NamedFile(self.path(key), name, secret))
        return name

    def choice(self, key: str, known: Collection[str], default: str = "") -> str:
        """Returns one of the words `known`, or "" if the value is none of them; without a default it is required."""
        value = self._read(key, default)
        if value is _MISSING:
            if not default:
                self.problem(key, f"is required: {one_of(known)}")
            return default
        if isinstance(value, str) and value in known:
            return value
        self.problem(key, f"must be {one_of(known)}, not {shown(value)}")
        return ""

    def integer(self, key: str, default: int, *, minimum: int, maximum: int) -> int:
        """Returns an integer from `minimum` to `maximum`."""
        value = self._read(key, default)
        if value is _MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(key, f"must be an integer, not {type_name(value)}{number_hint(value)}")
            return default
        if not minimum <= value <= maximum:
            self.problem(key, f"must be from {minimum} to {maximum}, not {shown(value)}")
            return default
        return value

    def number(self, key: str, default: float, *, minimum: float, maximum: float) -> float:
        """Returns a number from `minimum` to `maximum`."""
        value = self._read(key, default)
        if value is _MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(key, f"must be a number, not {type_name(value)}{number_hint(value)}")
            return default
        if not minimum <= value <= maximum:
            self.problem(key, f"must be from {minimum:g} to {maximum:g}, not {shown(value)}")
            return default
        return float(value)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Returns true or false."""
        value = self._read(key, default)
        if value is _MISSING:
            return default
        if not isinstance(value, bool):
            self.problem(key, f"must be true or false, not {type_name(value)}{boolean_hint(value)}")
            return default
        return value

    def duration(self, key: str, default: float, *, minimum: float = 0.0, maximum: float = 3650 * 86400.0) -> float:
        """Returns the seconds of a duration such as 500ms, 10s, 5m, 1h or 7d, from `minimum` to `maximum` seconds."""
        value = self._read(key, durations.to_text(default))
        if value is _MISSING:
            return default
        seconds = durations.parse(value) if isinstance(value, str) else None
        if seconds is None:
            near = durations.nearest(shown(value).strip("'"))
            hint = f"; write {near}" if near else ""
            self.problem(key, f"must be a duration such as {durations.EXAMPLES}, not {shown(value)}{hint}")
            return default
        if not minimum <= seconds <= maximum:
            bounds = f"{durations.to_text(minimum)} to {durations.to_text(maximum)}"
            self.problem(key, f"must be from {bounds}, not {shown(value)}")
            return default
        return seconds

    def moment(self, key: str) -> float | None:
        """Returns the Unix seconds of a time with its zone, such as 2026-12-01T00:00:00Z; None if `key` is absent."""
        value = self._read(key)
        if value is _MISSING:
            return None
        seconds = moments.parse(value) if isinstance(value, str) else None
        if seconds is None:
            self.problem(key, "must be a time with its zone, such as 2026-12-01T00:00:00Z")
        return seconds

    def strings(
        self, key: str, *, allowed: Collection[str] = (), pattern: str = "", hint: str = "", required: bool = False
    ) -> list[str]:
        """Returns the valid strings of a list, each once.

        Each must be one of `allowed`, if that is not empty, and `pattern` must match all of it; `hint` describes one in
        words.
        """
        value = self._read(key, [])
        expected = f": a list, each {hint}" if hint else ""
        if value is _MISSING:
            if required:
                self.problem(key, f"is required{expected}")
            return []
        if not isinstance(value, list):
            self.problem(key, f"must be a list of strings, not {type_name(value)}")
            return []
        if required and not value:
            self.problem(key, f"must not be empty{expected}")
        valid: dict[str, None] = {}
        for index, item in enumerate(value):
            if not isinstance(item, str):
                message = f"must be a string, not {type_name(item)}{quote_hint(item)}"
            elif allowed and item not in allowed:
                message = f"{shown(item)} is unknown{self._hint(item, allowed)}"
            elif pattern and not re.fullmatch(pattern, item):
                message = f"must be {hint or pattern}, not {shown(item)}"
            elif item in valid:
                message = f"{shown(item)} is listed twice"
            else:
                valid[item] = None
                continue
            self.problem(key, message, index=index)
        return list(valid)

    def section(self, key: str, *, partial: bool = False) -> Section:
        """Returns the mapping under `key`, over the one under `key` of the defaults; an empty one if it is absent."""
        self.known.add(key)
        defaults = self._defaults.section(key) if self._defaults is not None else None
        value = self._mapping.get(key, {})
        if not isinstance(value, dict):
            self.problem(key, f"must be a mapping, not {type_name(value)}{colon_hint(value)}")
            value = {}
        section = self._derive(value, join_path(self._path, key), defaults)
        section._partial |= partial  # noqa: SLF001 - of the same class
        self.effective[key] = section.effective
        return section

    def sections(self, key: str, *, hint: str) -> Iterator[Section]:
        """Yields each mapping of the list under `key`, which is required and not empty; `hint` describes the list."""
        value = self._read(key)
        if value is _MISSING or not isinstance(value, list):
            wrong = f"is required: {hint}" if value is _MISSING else f"must be a list, not {type_name(value)}"
            self.problem(key, wrong)
            return
        if not value:
            self.problem(key, f"must not be empty: {hint}")
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield self._derive(item, f"{self.path(key)}[{index}]", None)
            else:
                self.problem(key, f"must be a mapping, not {type_name(item)}{colon_hint(item)}", index=index)

    def reject_unknown(self, also_known: Collection[str] = (), *, discreet: bool = False) -> None:
        """Add a problem for each key of the mapping that was not read and is not in `also_known`.

        A `discreet` section does not show a key without a value that resembles no known key: it may be a misplaced
        secret.
        """
        known = self.known.union(also_known)
        for key, value in self._mapping.items():
            if key in known:
                continue
            hint = (colon_hint(key) if value is None else "") or self._hint(key, known)
            if discreet and value is None and not hint.startswith(SIMILAR):
                self._add(Problem(self._path, f"contains an unknown key{hint}"))
            else:
                self.problem(key, f"is not a known key{hint}")

    def _hint(self, word: str, known: Collection[str]) -> str:
        """Returns the end of a message about `word`, or nothing if there are many problems already."""
        return did_you_mean(word, known) if len(self.problems) < MAX_HINTS else ""


def _size(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, inner))
