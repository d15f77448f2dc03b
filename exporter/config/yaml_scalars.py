"""Scalars by the core schema of YAML 1.2: https://yaml.org/spec/1.2.2/#103-core-schema.

PyYAML has the rules of YAML 1.1, by which `010` is 8, `1:30` is 90, `1_000` is 1000 and `no` is false. By these rules
`010` is 10, and the others are strings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TAG: Final = "tag:yaml.org,2002:"
"""The start of the tags that YAML itself defines, such as `!!int`."""

TAGGED: Final = "has a type tag (!), which is not allowed; remove it, or put the value in quotes"
"""The problem with a value whose tag is not one of these."""


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2])
    return int(text[2:], base) if base else int(text)


def _number(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_TYPES: Final[dict[str, tuple[str, re.Pattern[str], Callable[[str], object]]]] = {
    f"{TAG}null": ("null", re.compile(r"~|null|Null|NULL|"), lambda _: None),
    f"{TAG}bool": ("boolean", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    f"{TAG}int": ("integer", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), _integer),
    f"{TAG}float": (
        "number",
        re.compile(
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        _number,
    ),
}


def read(text: str, tag: str | None, *, plain: bool) -> object:
    """Returns the value of a scalar; without a tag, only a `plain` one, without quotes, can be more than a string.

    Raises ValueError, whose message does not contain `text`.
    """
    if tag is None:
        tag = next((tag for tag, (_, pattern, _) in _TYPES.items() if plain and pattern.fullmatch(text)), f"{TAG}str")
    if tag == f"{TAG}str":
        return text
    if tag not in _TYPES:
        raise ValueError(TAGGED)
    name, pattern, convert = _TYPES[tag]
    if pattern.fullmatch(text):
        try:
            return convert(text)
        except ValueError:  # Python reads no more than 4300 digits
            pass
    raise ValueError(f"is not a valid {name}")
