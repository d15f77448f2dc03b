"""From the bytes of a YAML file to plain values, with everything that is wrong on the way.

Values are built here, not by PyYAML: it takes the last of two equal keys in silence, lets a few references grow without
bound, raises what is no YAMLError for some scalars, and its messages quote the file, which may hold secrets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter.core.errors import ConfigError, Problem
from exporter.core.section import joined, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TAG: Final = "tag:yaml.org,2002:"
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
_SCALARS: Final[dict[str, tuple[str, Callable[[yaml.ScalarNode], object]]]] = {
    f"{_TAG}null": ("nothing", lambda _: None),
    f"{_TAG}bool": ("a boolean", _CONSTRUCTOR.construct_yaml_bool),
    f"{_TAG}int": ("an integer", _CONSTRUCTOR.construct_yaml_int),
    f"{_TAG}float": ("a number", _CONSTRUCTOR.construct_yaml_float),
}
_STRINGS: Final = {f"{_TAG}{name}" for name in ("str", "timestamp", "value", "merge")}
"""What is taken as a string, as it stands: a date is none of ours."""
_VARIABLE: Final = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|(\{))")
_DEEPEST: Final = 20
"""Lists and mappings in one another; a configuration has 5."""
_SYNTAX_WORD: Final = re.compile(r"'(?:[:,?\]}-]|<[a-z ]+>)'")


@dataclass(frozen=True, slots=True)
class Document:
    """`data` as far as it could be read, and the `problems` met; at the `unreadable` paths it is not what it seems."""

    data: dict[str, Any]
    problems: tuple[Problem, ...]
    unreadable: frozenset[str]


def read(text: bytes, *, file: str, environment: Mapping[str, str] | None) -> Document:
    """The values in `text`. Variables are expanded where there is an `environment`.

    Raises ConfigError where nothing can be read.
    """
    reading = _Reading(environment)
    node, problem = _compose(text)
    data: Any = None
    if node is not None:
        data = reading.value(node, "")
        if not isinstance(data, dict):
            problem = f"must be a mapping, not {kind(data)}"
    # Raised here, and not where an exception is handled: that one may quote the file, and would be shown with it.
    if problem:
        raise ConfigError((*reading.problems, Problem("", problem)), file=file)
    return Document(data, tuple(reading.problems), frozenset(reading.unreadable))


def _compose(text: bytes) -> tuple[yaml.Node | None, str]:
    """The document's node, or what is wrong with it."""
    decoded = ""
    try:
        decoded = text.decode("utf-8-sig")
        node = yaml.SafeLoader(decoded).get_single_node()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        return None, f"line {line}: is not UTF-8"
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        return None, f"line {line}: holds a character that YAML does not allow (a control character)"
    except yaml.MarkedYAMLError as error:
        return None, _syntax(error)
    except RecursionError:
        return None, "is nested too deeply"
    except (ValueError, OverflowError):  # PyYAML lets these out for "\UFFFFFFFF" and for long version numbers
        return None, "holds an escape that stands for no character, or a number that is too long"
    return (node, "") if node is not None else (None, "is empty")


def _syntax(error: yaml.MarkedYAMLError) -> str:
    """Where and what, without a word of the file: only the words of YAML's own are left in quotes."""
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = error.problem or "is no YAML"
    plain = re.sub(
        r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""",
        lambda word: word[0] if _SYNTAX_WORD.fullmatch(word[0]) else "<hidden>",
        problem,
    )
    hint = " (a value that begins with * & ! % @ or ` must stand in quotes)" if "<hidden>" in plain else ""
    return f"{place}{plain}{hint}"


class _Reading:
    """Turns nodes into plain values. A node that several places refer to is read once, and its value is shared."""

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self._environment = environment
        self._values: dict[yaml.Node, Any] = {}
        self._open: set[yaml.Node] = set()
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()

    def value(self, node: yaml.Node, path: str) -> Any:  # noqa: ANN401 - the file may hold anything
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node in self._open:
            return self._unreadable(node, path, "refers to itself")
        if len(self._open) == _DEEPEST:
            return self._unreadable(node, path, "is nested too deeply")
        if node not in self._values:
            self._open.add(node)
            self._values[node] = self._collection(node, path)
            self._open.remove(node)
        return self._values[node]

    def _collection(self, node: yaml.Node, path: str) -> Any:  # noqa: ANN401 - likewise
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        return self._unreadable(node, path, "has a type (!) that is not allowed here")

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(path, f"line {line}: a key must be a word"))
                continue
            key = key_node.value
            place = joined(path, key)
            if key in lines:
                self.problems.append(Problem(place, f"stands twice, in line {lines[key]} and in line {line}"))
                continue
            lines[key] = line
            if key_node.tag == f"{_TAG}merge":
                merged += self._merged(value_node, path, place)
            else:
                found[key] = self.value(value_node, place)
        for mapping in merged:
            for key, value in mapping.items():
                found.setdefault(key, value)
        return found

    def _merged(self, node: yaml.Node, path: str, place: str) -> list[dict[str, Any]]:
        """The mappings that `<<` brings in, the strongest first."""
        value = self.value(node, path)
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(mapping, dict) for mapping in mappings):
            return mappings
        self._unreadable(node, place, "must be a mapping or a list of mappings (*name)")
        return []

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Any:  # noqa: ANN401 - likewise
        if node.tag in _STRINGS:
            return node.value if self._environment is None else self._expanded(node.value, path, self._environment)
        if node.tag not in _SCALARS:
            return self._unreadable(node, path, "has a type (!) that is not allowed here")
        name, construct = _SCALARS[node.tag]
        try:
            return construct(node)
        except (ValueError, KeyError, IndexError, OverflowError):
            return self._unreadable(node, path, f"is not {name} that can be read")

    def _expanded(self, text: str, path: str, environment: Mapping[str, str]) -> str:
        """`text` with the variables' values; they are not looked at again."""
        wrong: dict[str, None] = {}

        def one(match: re.Match[str]) -> str:
            if match[1] is None:
                if match[2]:
                    wrong["has a ${ that is no ${NAME}; write $$ for a dollar"] = None
                return "$"
            if match[1] not in environment:
                wrong[f"the environment variable {match[1]} is not set"] = None
            return environment.get(match[1], "")

        expanded = _VARIABLE.sub(one, text)
        self.problems.extend(Problem(path, sentence) for sentence in wrong)
        if wrong:
            self.unreadable.add(path)
        return expanded

    def _unreadable(self, node: yaml.Node, path: str, message: str) -> None:
        self.problems.append(Problem(path, f"line {node.start_mark.line + 1}: {message}"))
        self.unreadable.add(path)
