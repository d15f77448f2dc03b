"""The strings of the file: variables, ${NAME}, and how long a string may be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_STRING: Final = 16 * 1024
"""Characters, after variables are replaced; the longest token of a cloud has a few thousand."""

_NAME: Final = r"\{([A-Za-z_][A-Za-z0-9_]*)\}"
_EXPANDED: Final = re.compile(rf"\$(?:\$|{_NAME}|(\{{))")
_UNEXPANDED: Final = re.compile(rf"\${_NAME}")


def read(text: str, *, environment: Mapping[str, str] | None) -> tuple[str, list[str]]:
    """Returns the value of `text`, and its problems; variables are replaced if there is an `environment`."""
    value, problems = _refuse(text) if environment is None else _expand(text, environment)
    if len(value) > MAX_STRING:
        return "", [*problems, f"is longer than {MAX_STRING} characters, as no name, key or token is; shorten it"]
    return value, problems


def _expand(text: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
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

    return _EXPANDED.sub(replacement, text), list(problems)


def _refuse(text: str) -> tuple[str, list[str]]:
    """Returns `text`, and a problem if it has a variable: as it is, it would be used as a name or a key."""
    if not _UNEXPANDED.search(text):
        return text, []
    flag = "--config.expand-environment-variables"
    return text, [f"contains a variable, ${{NAME}}, which needs the flag {flag} (with it, $$ is a dollar sign)"]
