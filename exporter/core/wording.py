"""The words of messages about values: paths, types, values cut to a fit length, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

SIMILAR: Final = "; did you mean "
"""How a hint at a similar word begins."""

_LONGEST_SHOWN: Final = 60
"""Characters of a value in a message."""
_TRUE: Final = ("yes", "on", "y")
_FALSE: Final = ("no", "off", "n")
"""Words that YAML 1.1 reads as booleans."""


def join_path(path: str, key: str) -> str:
    """Returns the path of `key` below `path`. A strange key is cut before what may be a value glued to it."""
    match = re.match(r"[^:=\s]{1,40}", key)
    name = "".join(character for character in match[0] if character.isprintable()) if match else ""
    name = name if name == key else name + "…"
    return f"{path}.{name}" if path else name


def type_name(value: object) -> str:
    """Returns what YAML calls the type of `value`, with its article."""
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
    """Returns `value` cut to the length of a message; for a list, a mapping or a very long number only its type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float | str) or (isinstance(value, int) and value.bit_length() > _LONGEST_SHOWN * 3):
        return type_name(value)
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Returns the end of a message about `word`: the most similar of the `known` words, or all of them."""
    near = _nearest(word, known)
    return f"{SIMILAR}{near}?" if near else f"; known: {', '.join(sorted(known))}" if known else ""


def _nearest(word: str, known: Collection[str]) -> str:
    if len(word) > _LONGEST_SHOWN:
        return ""
    by_case = {name.lower(): name for name in sorted(known)}
    words = sorted(word.lower().split("_"))
    same = [name for name in by_case if sorted(name.split("_")) == words]  # in another order
    near = same or difflib.get_close_matches(word.lower(), by_case, n=1)
    return by_case[near[0]] if near else ""


def one_of(known: Collection[str]) -> str:
    """Returns the words `known` as the part of a sentence."""
    return f"one of {', '.join(sorted(known))}" if len(known) > 1 else "".join(known)


def quote_hint(value: object) -> str:
    """Returns how to make a string of a value that YAML reads as something else."""
    return " (put it in quotes)" if isinstance(value, bool | int | float) else ""


def colon_hint(value: object) -> str:
    """Returns what turns a string such as `name:value` into a mapping."""
    meant = isinstance(value, str) and re.fullmatch(r"(?!\d+:)[\w-]+:[^\s/:\\]+", value)
    return "; put a space after the colon" if meant else ""


def number_hint(value: object) -> str:
    """Returns how to write a number that is a string in YAML 1.2, such as 1_000 or one in quotes."""
    digits = value.replace("_", "") if isinstance(value, str) else ""
    return f"; write {digits}" if re.fullmatch("[0-9]{1,15}", digits) else ""


def boolean_hint(value: object) -> str:
    """Returns how to write a word that is no boolean in YAML 1.2."""
    word = value.lower() if isinstance(value, str) else ""
    return "; write true" if word in _TRUE else "; write false" if word in _FALSE else ""
