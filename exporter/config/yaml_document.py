"""From the bytes of a YAML file to plain values and a list of problems.

Values are built here, not by PyYAML: it silently keeps the last of two equal keys, lets a few references expand without
limit, raises other errors than YAMLError for some scalars, and quotes the file in its messages, which may show secrets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter.core.errors import ConfigError, Problem
from exporter.core.section import join_path, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TAG: Final = "tag:yaml.org,2002:"
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
_SCALARS: Final[dict[str, tuple[str, Callable[[yaml.ScalarNode], object]]]] = {
    f"{_TAG}null": ("null", lambda _: None),
    f"{_TAG}bool": ("boolean", _CONSTRUCTOR.construct_yaml_bool),
    f"{_TAG}int": ("integer", _CONSTRUCTOR.construct_yaml_int),
    f"{_TAG}float": ("number", _CONSTRUCTOR.construct_yaml_float),
}
_STRINGS: Final = {f"{_TAG}{name}" for name in ("str", "timestamp", "value", "merge")}
"""Types that are read as plain strings: the configuration has no dates."""
_VARIABLE: Final = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|(\{))")
_MAX_DEPTH: Final = 20
"""Of nested lists and mappings; a configuration has 5."""
_SYNTAX_WORD: Final = re.compile(r"'(?:[:,?\]}-]|<[a-z ]+>)'")


@dataclass(frozen=True, slots=True)
class Document:
    """The values that could be read, and the problems. At the paths in `unreadable` the data is a placeholder."""

    data: dict[str, Any]
    problems: tuple[Problem, ...]
    unreadable: frozenset[str]


def read(text: bytes, *, file: str, environment: Mapping[str, str] | None) -> Document:
    """Returns the values in `text`; variables are expanded if there is an `environment`.

    Raises ConfigError if nothing can be read.
    """
    reader = _Reader(environment)
    node, problem = _compose(text)
    data: Any = None
    if node is not None:
        data = reader.value(node, "")
        if not isinstance(data, dict):
            problem = f"must be a mapping, not {type_name(data)}"
    # Not raised while another exception is handled: that one may quote the file, and would be shown as the context.
    if problem:
        raise ConfigError((*reader.problems, Problem("", problem)), file=file)
    return Document(data, tuple(reader.problems), frozenset(reader.unreadable))


def _compose(text: bytes) -> tuple[yaml.Node | None, str]:
    """Returns the document's root node, or None and the problem."""
    decoded = ""
    try:
        decoded = text.decode("utf-8-sig")
        node = yaml.SafeLoader(decoded).get_single_node()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        return None, f"line {line}: is not UTF-8"
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        return None, f"line {line}: contains a control character, which YAML does not allow"
    except yaml.MarkedYAMLError as error:
        return None, _syntax(error)
    except RecursionError:
        return None, "is nested too deeply"
    except (ValueError, OverflowError):  # PyYAML raises these for "\UFFFFFFFF" and for long version numbers
        return None, "contains an invalid escape sequence, or a number that is too long"
    return (node, "") if node is not None else (None, "is empty")


def _syntax(error: yaml.MarkedYAMLError) -> str:
    """Returns the place and the problem; of the quoted words only those of YAML itself are kept, none of the file."""
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = error.problem or "is not valid YAML"
    plain = re.sub(
        r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""",
        lambda word: word[0] if _SYNTAX_WORD.fullmatch(word[0]) else "<hidden>",
        problem,
    )
    hint = " (a value that begins with * & ! % @ or ` must be in quotes)" if "<hidden>" in plain else ""
    return f"{place}{plain}{hint}"


class _Reader:
    """Turns nodes into plain values. A node with several references is read once, and its value is shared."""

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self._environment = environment
        self._values: dict[yaml.Node, Any] = {}
        self._open: set[yaml.Node] = set()
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()

    def value(self, node: yaml.Node, path: str) -> Any:  # noqa: ANN401 - the file may contain anything
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node in self._open:
            return self._unreadable(node, path, "refers to itself")
        if len(self._open) == _MAX_DEPTH:
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
        return self._unreadable(node, path, "has a type tag (!), which is not allowed")

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(path, f"line {line}: a key must be a word, not a list or a mapping"))
                continue
            key = key_node.value
            place = join_path(path, key)
            if key in lines:
                self.problems.append(Problem(place, f"duplicate key (lines {lines[key]} and {line})"))
                continue
            lines[key] = line
            if key_node.tag == f"{_TAG}merge":
                merged += self._merged(value_node, path, place)
            else:
                values[key] = self.value(value_node, place)
        for mapping in merged:
            for key, value in mapping.items():
                values.setdefault(key, value)
        return values

    def _merged(self, node: yaml.Node, path: str, place: str) -> list[dict[str, Any]]:
        """Returns the mappings that `<<` merges; the first one that has a key wins."""
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
            return self._unreadable(node, path, "has a type tag (!), which is not allowed")
        name, construct = _SCALARS[node.tag]
        try:
            return construct(node)
        except (ValueError, KeyError, IndexError, OverflowError):
            return self._unreadable(node, path, f"is not a valid {name}")

    def _expanded(self, text: str, path: str, environment: Mapping[str, str]) -> str:
        """Returns `text` with variables replaced by their values, which are not expanded again."""
        problems: dict[str, None] = {}

        def replacement(match: re.Match[str]) -> str:
            if match[1] is None:
                if match[2]:
                    problems["contains ${ without a name and }; write ${NAME}, or $$ for a dollar sign"] = None
                return "$"
            if match[1] not in environment:
                problems[f"the environment variable {match[1]} is not set"] = None
            return environment.get(match[1], "").rstrip("\r\n")  # as a shell's $(…) does

        expanded = _VARIABLE.sub(replacement, text)
        self.problems.extend(Problem(path, message) for message in problems)
        if problems:
            self.unreadable.add(path)
        return expanded

    def _unreadable(self, node: yaml.Node, path: str, message: str) -> None:
        self.problems.append(Problem(path, f"line {node.start_mark.line + 1}: {message}"))
        self.unreadable.add(path)
