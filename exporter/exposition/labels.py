r"""Label values. Both formats escape ``\\``, ``"`` and line feed, and nothing else."""

from __future__ import annotations

from typing import Final

_LINE_BREAKS: Final = dict.fromkeys(map(ord, "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), " ")
"""Characters at which `str.splitlines` splits, except line feed, which both formats escape."""


def escape(value: str) -> str:
    """`value` as a label value: escaped, and with a space for each of _LINE_BREAKS."""
    if not value.isprintable():
        value = value.translate(_LINE_BREAKS)
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value


def escape_all(values: list[str]) -> list[str]:
    """`escape` of each value. One look at all of them is cheaper than one at each, and most need no change."""
    text = "".join(values)
    if text.isprintable() and "\\" not in text and '"' not in text:
        return values
    return [*map(escape, values)]
