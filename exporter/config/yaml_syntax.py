"""From the bytes of a YAML file to the events of its parser; what is wrong with the syntax is said in plain words.

The messages of the parser are not shown: they quote the file, which may contain secrets.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

LOADER: Final[type[yaml.CSafeLoader | yaml.SafeLoader]] = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""The C library is in each wheel of PyYAML, and reads the largest file within a second; Python alone takes ten."""

_CONTROL: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

IN_QUOTES: Final = "a value that begins with * & ! % @ or ` must be in quotes"
_TAB: Final = "has a tab where YAML allows only spaces; replace it by spaces"
_INDENTED: Final = (
    "the line does not continue what is above it; align it with the lines that it belongs to, and put a value with "
    "special characters in quotes"
)
_MEANINGS: Final = (
    ("tab character", _TAB),
    ("quoted scalar.*end of stream", "the quote that is opened here has no end; add it"),
    (
        "escape|hexdecimal|hexadecimal",
        r"a backslash in double quotes begins an escape sequence, and this is none; write \\, or use single quotes",
    ),
    (
        "mapping values",
        "a colon is not expected here; check the spaces before the key, and put a value with a colon in quotes",
    ),
    ("simple key|expected ':'", "a key needs a colon and a space after it; write key: value"),
    ("flow sequence", "the list that is opened here with [ has no end; separate items with commas, and close it by ]"),
    ("flow mapping", "the mapping that is opened here with { has no end; separate keys with commas, and close it by }"),
    ("anchor|alias|tag|directive|start any token", IN_QUOTES),
    ("block scalar", "after | or > the text begins on the next line, indented by spaces"),
    ("block|expected key|document start|document end", _INDENTED),
)
"""Parts of the parser's messages, and what to say instead; the first one that is found counts."""


class DocumentError(Exception):
    """The file cannot be read beyond `line`, counted from 1; the message contains nothing of the file."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line

    def __str__(self) -> str:
        return f"line {self.line}: {self.args[0]}"


def line_of(event: yaml.Event) -> int:
    """Returns the line on which `event` begins, counted from 1."""
    return event.start_mark.line + 1 if event.start_mark else 1


def events(text: bytes) -> Iterator[yaml.Event]:
    """Yields what the parser finds in `text`, which is UTF-8. Raises DocumentError."""
    decoded = _decoded(text)
    error = None
    try:
        yield from yaml.parse(decoded, Loader=LOADER)
    except (yaml.YAMLError, ValueError, OverflowError) as caught:  # PyYAML without C raises the latter for "\UFFFFFFFF"
        error = _plain(caught, decoded)
    if error:  # not raised while another exception is handled: that one would be shown as its context
        raise error


def _decoded(text: bytes) -> str:
    """Returns `text` as a string that YAML allows. Raises DocumentError."""
    decoded, wrong = "", None
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong is not None:
        raise DocumentError("is not UTF-8; save the file in this encoding", text.count(b"\n", 0, wrong) + 1)
    if control := _CONTROL.search(decoded):
        line = decoded.count("\n", 0, control.start()) + 1
        raise DocumentError("contains a control character, which YAML does not allow; remove it", line)
    return decoded


def _plain(error: Exception, text: str) -> DocumentError:
    """Returns what a parser's `error` means."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return DocumentError("contains an invalid escape sequence", 1)
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    start, _, end = "".join(text.splitlines()[line : line + 1]).partition("\t")
    if end and not start.strip(" -"):
        return DocumentError(_TAB, line + 1)
    whole = f"{context}: {problem}"
    meaning = next(
        (text for part, text in _MEANINGS if re.search(part, whole)),
        "is not valid YAML; correct this line or the one above",
    )
    if error.context_mark and re.search("quoted|key|flow", context):
        line = error.context_mark.line
    return DocumentError(meaning, line + 1)
