"""From the bytes of a YAML file to plain values and a list of problems.

Values are built here from the parser's events, not by PyYAML: it silently keeps the last of two equal keys, has the
numbers of YAML 1.1, and has no limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml

from exporter.config import yaml_scalars, yaml_syntax
from exporter.config.yaml_scalars import TAG
from exporter.config.yaml_syntax import DocumentError, line_of
from exporter.core.errors import ConfigError, Problem
from exporter.core.wording import join_path, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MAX_DEPTH: Final = 20
"""Of nested lists and mappings; a configuration has 5."""

MAX_VALUES: Final = 100_000
"""Values in the file, lists and mappings included, if each use of an anchor (*name) is a copy of what it names.

A thousand accounts with every key have half of this.
"""

ReadString: TypeAlias = "Callable[[str], tuple[str, Sequence[str]]]"
"""Returns the value of a string of the file, and its problems."""


@dataclass(frozen=True, slots=True)
class Document:
    """The values that could be read, and the problems. At the paths in `unreadable` the data is a placeholder."""

    data: dict[str, Any]
    problems: tuple[Problem, ...]
    unreadable: frozenset[str]
    order: Mapping[str, int]
    """Counts the paths in the order of the file."""

    def position(self, path: str) -> int:
        """Returns the number of `path` in `order`; that of the mapping or list above it if the file lacks it."""
        while path not in self.order:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.order[path]


def read(text: bytes, *, file: str, first_key: str, read_string: ReadString | None = None) -> Document:
    """Returns the values in `text`. `first_key` is a key that the file should have, for messages.

    Raises ConfigError if the file cannot be read to its end, or is no mapping.
    """
    reader = _Reader(yaml_syntax.events(text), read_string)
    data: Any = None
    try:
        data = reader.document()
    except DocumentError as error:
        problem = Problem(reader.place(error.line), str(error))
    else:
        if isinstance(data, dict):
            return Document(data, tuple(reader.problems), frozenset(reader.unreadable), reader.order)
        problem = Problem("", _not_a_mapping(data, first_key))
    raise ConfigError((*reader.problems, problem), file=file)


def _not_a_mapping(data: object, first_key: str) -> str:
    if data is None:
        return f"is empty; the file begins with a key such as {first_key}:"
    remedy = f"write {first_key}: on a line above it" if isinstance(data, list) else f"begin with {first_key}:"
    return f"line 1: must be a mapping, not {type_name(data)}; {remedy}"


class _Reader:
    """Turns events into plain values. A value with an anchor is read once, and shared by all that refer to it."""

    def __init__(self, events: Iterator[yaml.Event], read_string: ReadString | None) -> None:
        self._events = events
        self._read_string = read_string
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        """Each value and its number of values; None while it is being read."""
        self._values = 0
        self._open: list[str] = []
        """The paths of the lists and mappings that are being read."""
        self._key: tuple[str, int] = ("", 0)
        """The path and the line of the last key."""
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()
        self.order: dict[str, int] = {"": 0}

    def place(self, line: int) -> str:
        """Returns the path that is being read on `line`."""
        path, key_line = self._key
        return path if line == key_line else self._open[-1] if self._open else ""

    def document(self) -> Any:  # noqa: ANN401 - the file may contain anything
        """Returns the value of the only document; None if there is none. Raises DocumentError."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        data = self._value(next(self._events), "")
        next(self._events)
        more = next(self._events)
        if isinstance(more, yaml.DocumentStartEvent):
            raise DocumentError("a second document begins here (---); keep one, each file has one", line_of(more))
        return data

    def _value(self, event: yaml.Event, path: str) -> Any:  # noqa: ANN401 - likewise
        self.order.setdefault(path, len(self.order))
        before = self._values
        self._count(1, event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        anchor = event.anchor if isinstance(event, yaml.NodeEvent) else None
        if anchor:
            self._anchors[anchor] = None
        value = self._scalar(event, path) if isinstance(event, yaml.ScalarEvent) else self._collection(event, path)
        if anchor:
            self._anchors[anchor] = (value, self._values - before)
        return value

    def _count(self, values: int, event: yaml.Event) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            message = f"there are more than {MAX_VALUES} values up to here, each use of an anchor (*) counted as a copy"
            raise DocumentError(f"{message}; split the file, or use fewer anchors", line_of(event))

    def _alias(self, event: yaml.AliasEvent, path: str) -> Any:  # noqa: ANN401 - likewise
        name = event.anchor or ""
        if name not in self._anchors:
            message = f"refers (*) to an anchor (&) that is not above it; {yaml_syntax.IN_QUOTES}"
            return self._unreadable_at(event, path, message)
        known = self._anchors[name]
        if known is None:
            return self._unreadable_at(event, path, "refers to itself; remove the reference (*)")
        value, values = known
        self._count(values, event)
        return value

    def _collection(self, event: yaml.Event, path: str) -> Any:  # noqa: ANN401 - likewise
        if len(self._open) == MAX_DEPTH:
            message = f"lists and mappings are nested more than {MAX_DEPTH} deep; close the brackets that are open"
            raise DocumentError(message, line_of(event))
        self._open.append(path)
        sequence = isinstance(event, yaml.SequenceStartEvent)
        value: Any = self._sequence(path) if sequence else self._mapping(path)
        self._open.pop()
        tag = event.tag if isinstance(event, yaml.CollectionStartEvent) else None
        if tag not in (None, f"{TAG}seq" if sequence else f"{TAG}map"):
            return self._unreadable_at(
                event, path, "has a type tag (!), which is not allowed; remove it, or put the value in quotes"
            )
        return value

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        """Yields the events up to the `end` of the collection that is being read."""
        while not isinstance(event := next(self._events), end):
            yield event

    def _sequence(self, path: str) -> list[Any]:
        items = self._until(yaml.SequenceEndEvent)
        return [self._value(event, f"{path}[{index}]") for index, event in enumerate(items)]

    def _mapping(self, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[dict[str, Any]] = []
        for event in self._until(yaml.MappingEndEvent):
            line = line_of(event)
            if not isinstance(event, yaml.ScalarEvent):
                self.problems.append(Problem(path, f"line {line}: a key must be a word, not a list or a mapping"))
                self._value(event, path)
                self._value(next(self._events), path)
                continue
            key = event.value
            place = join_path(path, key)
            self._key = (place, line)
            if key == "<<" and event.implicit[0]:
                merged += self._merged(next(self._events), path, place)
            elif key in lines:
                self.problems.append(Problem(place, f"duplicate key (lines {lines[key]} and {line}); remove one"))
                self._value(next(self._events), place)
            else:
                values[key] = self._value(next(self._events), place)
            lines.setdefault(key, line)
        for mapping in merged:
            for key, value in mapping.items():
                values.setdefault(key, value)
        return values

    def _merged(self, event: yaml.Event, path: str, place: str) -> list[dict[str, Any]]:
        """Returns the mappings that `<<` merges; the first one that has a key wins."""
        value = self._value(event, path)
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(mapping, dict) for mapping in mappings):
            return mappings
        if path not in self.unreadable:
            self._unreadable_at(event, place, "must be a mapping or a list of mappings (*name)")
        return []

    def _scalar(self, event: yaml.ScalarEvent, path: str) -> Any:  # noqa: ANN401 - likewise
        try:
            value = yaml_scalars.read(event.value, event.tag, plain=event.implicit[0])
        except ValueError as error:
            return self._unreadable_at(event, path, str(error))
        if isinstance(value, str) and self._read_string is not None:
            value, problems = self._read_string(value)
            self.problems.extend(Problem(path, message) for message in problems)
            if problems:
                self.unreadable.add(path)
        return value

    def _unreadable_at(self, event: yaml.Event, path: str, message: str) -> None:
        self.problems.append(Problem(path, f"line {line_of(event)}: {message}"))
        self.unreadable.add(path)
