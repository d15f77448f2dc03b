"""The row of the start."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from bench import programs
from bench.measure import Contest, in_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

START_MS: Final = 500.0
"""The limit of the CPU time from the start to the first response of `/-/ready`."""


@contextlib.contextmanager
def start(jobs: int) -> Iterator[Contest]:
    """START_MS, and the CPU time of an exporter that has just become ready. Its one target gets no request."""
    with programs.store(jobs) as store:

        def ready() -> float:
            with programs.ours(store) as program:
                return program.cpu() * 1000

        yield in_turns(lambda: START_MS, ready)
