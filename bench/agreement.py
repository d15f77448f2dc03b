"""The proof, before each measurement, that two programs export the same samples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.exposition import families

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLE: Final = re.compile(r"(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)", re.DOTALL)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_FAMILIES: Final = frozenset(family.name for family in families.FAMILIES)
_VARYING: Final = frozenset({"batchops_scrape_duration_seconds", "batchops_last_success_timestamp_seconds"})
"""Families whose values differ between two scrapes of the same jobs."""


class Unequal(Exception):
    """The two sides of a row have different results, so that their ratio would mean nothing."""


def agree(baseline: bytes, ours: bytes) -> None:
    """Raise Unequal if the samples of the two expositions differ, in families of a snapshot."""
    sides = [sorted(_samples(body)) for body in (baseline, ours)]
    if sides[0] != sides[1]:
        different = sorted(set(sides[0]) ^ set(sides[1]))[:3]
        counts = " and ".join(str(len(side)) for side in sides)
        raise Unequal(f"the two expositions, of {counts} samples, differ: {different}")


def _samples(body: bytes) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
    """Name, labels and value of each sample.

    prometheus_client's parser would take minutes for the largest rows.
    """
    for line in body.decode().split("\n"):
        sample = _SAMPLE.fullmatch(line)
        if sample and sample["name"] in _FAMILIES:
            labels = tuple(sorted(_LABEL.findall(sample["labels"])))
            value = 0.0 if sample["name"] in _VARYING else float(sample["value"])
            yield sample["name"], labels, value
