"""Typed reads of a mapping that know their path: every problem is collected, none ends the reading.

A read returns the value, or the default where the key is absent or its value is wrong; in the latter case a `Problem`
with the key's path joins `problems`. The reader asks `problems` once, at the end; the same problem may stand there
more than once, where a key was read more than once.

No message holds the value of a plain string, as it may be a secret: only those of durations, choices, numbers and
lists are shown.
"""

from __future__ import annotations

import difflib
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Self

from exporter.core import durations
from exporter.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_LONGEST_SHOWN: Final = 60
"""Characters of a value in a message."""
_MISSING: Final = object()


class Section:
    """A mapping of the file at `path`, over the mapping `defaults` of the file (None: there is none).

    A key that stands in the mapping is read from it, any other from the defaults; a problem is told where the value
    stands. Keys that nobody read are reported by `reject_unknown()`. In a `partial` section nothing is required, and a
    problem with a key that does not stand in it is none. Names of files are relative to `directory`.
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
        self._known: set[str] = set()
        self.problems = problems
        self.asked: set[str] = set()
        """The path of each key that was read, here or in a section beneath, whether it stands there or not."""

    def with_defaults(self, defaults: Section) -> Self:
        """The same section over `defaults`."""
        return self._like(self._mapping, self._path, defaults=defaults, known=self._known)

    def apart(self) -> Self:
        """The same section, read anew: with `problems` and `asked` of its own."""
        twin = self._like(self._mapping, self._path, defaults=self._defaults, known=set(self._known))
        twin.problems = []
        twin.asked = set()
        return twin

    def _like(self, mapping: Mapping[str, Any], path: str, *, defaults: Section | None, known: set[str]) -> Self:
        section = type(self)(
            mapping, path, self.problems, defaults=defaults, partial=self._partial, directory=self._directory
        )
        section.asked = self.asked
        section._known = known  # noqa: SLF001 - of the same class
        return section

    def path(self, key: str) -> str:
        """The place of `key`, for a message."""
        if key not in self._mapping and self._defaults is not None and self._defaults.has(key):
            return self._defaults.path(key)
        return joined(self._path, key)

    def has(self, key: str) -> bool:
        """Whether `key` stands in the mapping or its defaults."""
        return key in self._mapping or (self._defaults is not None and self._defaults.has(key))

    def problem(self, key: str, message: str, *, index: int | None = None) -> None:
        """Tell what is wrong with `key`, or with the item at `index` of the list under it."""
        if key in self._mapping or not self._partial:
            item = "" if index is None else f"[{index}]"
            self.problems.append(Problem(self.path(key) + item, message))

    def forbid(self, key: str, message: str) -> None:
        """Tell, where `key` stands, that it must not stand there."""
        self._ask(key)
        if self.has(key):
            self.problem(key, message)

    def _ask(self, key: str) -> None:
        self._known.add(key)
        self.asked.add(joined(self._path, key))

    def _read(self, key: str) -> Any:  # noqa: ANN401 - the file may hold anything here
        self._ask(key)
        if key in self._mapping:
            return self._mapping[key]
        return self._defaults._read(key) if self._defaults is not None else _MISSING  # noqa: SLF001 - of the same class

    def string(self, key: str, default: str = "", *, pattern: str = "", hint: str = "", required: bool = False) -> str:
        """A string of printable characters; `pattern` must match all of it, `hint` says in words what is expected."""
        value = self._read(key)
        if value is _MISSING:
            if required:
                self.problem(key, f"is required{f': {hint}' if hint else ''}")
        elif not isinstance(value, str):
            self.problem(key, f"must be a string, not {kind(value)}{_quote_hint(value)}")
        elif required and not value:
            self.problem(key, f"must not be empty{f': {hint}' if hint else ''}")
        elif not value.isprintable():
            self.problem(key, "must hold printable characters only: no line end, no tab, no invisible character")
        elif pattern and not re.fullmatch(pattern, value):
            self.problem(key, f"must be {hint or pattern}")
        else:
            return value
        return default

    def file(self, key: str, *, required: bool = False) -> str:
        """The name of a file, from where the configuration stands; empty where `key` is absent or empty."""
        name = self.string(key, required=required, hint="the name of a file")
        return str(PurePath(self._directory, name)) if name else ""

    def choice(self, key: str, known: Collection[str], default: str = "") -> str:
        """One word of `known`; required where there is no default. Empty where it is none of them."""
        value = self._read(key)
        if value is _MISSING:
            if not default:
                self.problem(key, f"is required: {_one_of(known)}")
            return default
        if isinstance(value, str) and value in known:
            return value
        self.problem(key, f"must be {_one_of(known)}, not {shown(value)}")
        return ""

    def integer(self, key: str, default: int, *, minimum: int, maximum: int) -> int:
        """An integer from `minimum` to `maximum`."""
        value = self._read(key)
        if value is _MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(key, f"must be an integer, not {kind(value)}")
            return default
        if not minimum <= value <= maximum:
            self.problem(key, f"must be from {minimum} to {maximum}, not {shown(value)}")
            return default
        return value

    def number(self, key: str, default: float, *, minimum: float, maximum: float) -> float:
        """A number from `minimum` to `maximum`."""
        value = self._read(key)
        if value is _MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(key, f"must be a number, not {kind(value)}")
            return default
        if not minimum <= value <= maximum:
            self.problem(key, f"must be from {minimum:g} to {maximum:g}, not {shown(value)}")
            return default
        return float(value)

    def boolean(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._read(key)
        if value is _MISSING:
            return default
        if not isinstance(value, bool):
            self.problem(key, f"must be true or false, not {kind(value)}")
            return default
        return value

    def duration(self, key: str, default: float, *, minimum: float = 0.0, maximum: float = 3650 * 86400.0) -> float:
        """A duration such as 500ms, 10s, 5m, 1h or 7d, in seconds."""
        value = self._read(key)
        if value is _MISSING:
            return default
        seconds = durations.parse(value) if isinstance(value, str) else None
        if seconds is None:
            self.problem(key, f"must be a duration such as {durations.EXAMPLES}, not {shown(value)}")
            return default
        if not minimum <= seconds <= maximum:
            self.problem(
                key, f"must be from {durations.to_text(minimum)} to {durations.to_text(maximum)}, not {shown(value)}"
            )
            return default
        return seconds

    def strings(
        self, key: str, *, allowed: Collection[str] = (), pattern: str = "", hint: str = "", required: bool = False
    ) -> list[str]:
        """A list of strings, each once; `allowed` (where given) names all that may stand in it.

        `pattern` must match all of each string, `hint` says in words what one is.
        """
        value = self._read(key)
        expected = f": a list, each {hint}" if hint else ""
        if value is _MISSING:
            if required:
                self.problem(key, f"is required{expected}")
            return []
        if not isinstance(value, list):
            self.problem(key, f"must be a list of strings, not {kind(value)}")
            return []
        if required and not value:
            self.problem(key, f"must not be empty{expected}")
        found: dict[str, None] = {}
        for index, item in enumerate(value):
            if not isinstance(item, str):
                wrong = f"must be a string, not {kind(item)}{_quote_hint(item)}"
            elif allowed and item not in allowed:
                wrong = f"{shown(item)} is not known{did_you_mean(item, allowed)}"
            elif pattern and not re.fullmatch(pattern, item):
                wrong = f"must be {hint or pattern}, not {shown(item)}"
            elif item in found:
                wrong = f"{shown(item)} stands twice"
            else:
                found[item] = None
                continue
            self.problem(key, wrong, index=index)
        return list(found)

    def section(self, key: str, *, partial: bool = False) -> Section:
        """The mapping under `key`, over the one under `key` of the defaults; an empty one where there is none."""
        self._ask(key)
        beneath = self._defaults.section(key) if self._defaults is not None else None
        value = self._mapping.get(key, {})
        if not isinstance(value, dict):
            self.problem(key, f"must be a mapping, not {kind(value)}")
            value = {}
        section = self._like(value, joined(self._path, key), defaults=beneath, known=set())
        section._partial |= partial  # noqa: SLF001 - of the same class
        return section

    def sections(self, key: str, *, hint: str) -> Iterator[Section]:
        """Each mapping of the list under `key`, which is required and not empty; `hint` says in words what is one."""
        value = self._read(key)
        if value is _MISSING or not isinstance(value, list):
            self.problem(key, f"is required: {hint}" if value is _MISSING else f"must be a list, not {kind(value)}")
            return
        if not value:
            self.problem(key, f"must not be empty: {hint}")
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield self._like(item, f"{self.path(key)}[{index}]", defaults=None, known=set())
            else:
                self.problem(key, f"must be a mapping, not {kind(item)}", index=index)

    def reject_unknown(self, *, discreet: bool = False) -> None:
        """Tell each key that nobody read.

        A `discreet` section does not show one that has no value and resembles no key: it may be a lost secret.
        """
        for key, value in self._mapping.items():
            if key in self._known:
                continue
            hint = did_you_mean(key, self._known)
            if discreet and value is None and not _nearest(key, self._known):
                self.problems.append(Problem(self._path, f"holds a key that is not known{hint}"))
            else:
                self.problem(key, f"is not a known key{hint}")


def joined(path: str, key: str) -> str:
    """The path of `key` beneath `path`. A key that no program reads is cut where it may go over into a value."""
    match = re.match(r"[^:=\s]{1,40}", key)
    name = "".join(character for character in match[0] if character.isprintable()) if match else ""
    name = name if name == key else name + "…"
    return f"{path}.{name}" if path else name


def kind(value: object) -> str:
    """What YAML calls the type of `value`."""
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a mapping",
    }
    return "nothing" if value is None else names.get(type(value), f"a {type(value).__name__}")


def shown(value: object) -> str:
    """`value`, short enough for a message; a list, a mapping or a very long number by its kind only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float | str) or (isinstance(value, int) and value.bit_length() > _LONGEST_SHOWN * 3):
        return kind(value)
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The end of a message about `word`: the nearest of the `known` ones, or all of them."""
    near = _nearest(word, known)
    return f"; did you mean {near}?" if near else f"; known: {', '.join(sorted(known))}" if known else ""


def _nearest(word: str, known: Collection[str]) -> str:
    if len(word) > _LONGEST_SHOWN:
        return ""
    by_case = {name.lower(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.lower(), by_case, n=1)
    return by_case[near[0]] if near else ""


def _one_of(known: Collection[str]) -> str:
    return f"one of {', '.join(sorted(known))}" if len(known) > 1 else "".join(known)


def _quote_hint(value: object) -> str:
    return " (put it in quotes)" if isinstance(value, bool | int | float) else ""
