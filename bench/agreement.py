"""The proof, ahead of each measurement, that two programs tell the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.exposition import families

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLE: Final = re.compile(r"(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)", re.DOTALL)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_FAMILIES: Final = frozenset(family.name for family in families.FAMILIES)
_OF_THE_MOMENT: Final = frozenset({"batchops_scrape_duration_seconds", "batchops_last_success_timestamp_seconds"})
"""Families whose values differ from scrape to scrape."""


class Unequal(Exception):
    """The two ways of a row do not give the same, so that a ratio of them would be a lie."""


def agree(baseline: bytes, ours: bytes) -> None:
    """Raise Unequal where the two expositions do not hold the same samples of the families of a listing."""
    sides = [sorted(_samples(body)) for body in (baseline, ours)]
    if sides[0] != sides[1]:
        apart = sorted(set(sides[0]) ^ set(sides[1]))[:3]
        counts = " and ".join(str(len(side)) for side in sides)
        raise Unequal(f"the two expositions, of {counts} samples, differ: {apart}")


def _samples(body: bytes) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
    """Name, labels and value of each sample.

    Not by prometheus_client's parser, which would take minutes for the largest rows.
    """
    for line in body.decode().split("\n"):
        sample = _SAMPLE.fullmatch(line)
        if sample and sample["name"] in _FAMILIES:
            labels = tuple(sorted(_LABEL.findall(sample["labels"])))
            value = 0.0 if sample["name"] in _OF_THE_MOMENT else float(sample["value"])
            yield sample["name"], labels, value
