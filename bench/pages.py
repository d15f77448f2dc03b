"""Answers of ListJobs in the documented form, made ahead of any measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.simulator import make_jobs
from exporter.simulator.oss_xml import page
from exporter.simulator.wire import Style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.model import Job

PAGE_SIZE: Final = 1000
"""Jobs; what both exporters ask for."""

_NOW: Final = 1760000000.0


def jobs(count: int, variant: int = 0) -> list[Job]:
    """`count` jobs, the same at each call; another variant has none of them."""
    return make_jobs(count, f"bench:{variant}", now=_NOW)


def pages(count: int, variant: int = 0) -> Iterator[bytes]:
    """The pages of `jobs(count, variant)`; their tokens are read by `place`."""
    listed = jobs(count, variant)
    starts = range(0, max(count, 1), PAGE_SIZE)
    for number, start in enumerate(starts, 1):
        token = f"{variant}-{number}" if number < len(starts) else None
        yield page(listed[start : start + PAGE_SIZE], token, Style())


def place(token: str) -> tuple[int, int]:
    """The variant and the number (from 0) of the page that `token` stands for."""
    variant, _, number = token.partition("-")
    return int(variant), int(number)
