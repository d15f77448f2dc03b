"""Every target of the configuration, by its name."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from exporter.collector.target_collector import TargetCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.client.session import Client
    from exporter.core.snapshot import Snapshot
    from exporter.core.target import Target
    from exporter.core.workers import Turns


class Collector:
    """Collects the snapshots of all targets. `now` returns Unix seconds: for the age of jobs and the last success."""

    def __init__(
        self,
        targets: Sequence[Target],
        client: Client,
        turns: Turns,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._new = partial(TargetCollector, client=client, turns=turns, now=now)
        self._collectors: dict[str, TargetCollector] = {}
        self._replaced: list[TargetCollector] = []
        """Those whose last run may still be in progress."""
        self.replace(targets)

    @property
    def targets(self) -> dict[str, Target]:
        """By the names that `/probe?target=` accepts."""
        return {name: collector.target for name, collector in self._collectors.items()}

    def replace(self, targets: Sequence[Target]) -> None:
        """Collect `targets` from now on. The same objects as before go on as they are."""
        known = {id(collector.target): collector for collector in self._collectors.values()}
        self._replaced = [collector for collector in (*self._replaced, *known.values()) if collector.is_running]
        self._collectors = {target.name: known.get(id(target)) or self._new(target) for target in targets}

    def last(self, name: str) -> Snapshot | None:
        """The last snapshot of the target, as `History.last`; None before the first one."""
        return self._collectors[name].history.last

    def find(self, name: str) -> TargetCollector:
        """The collector of the target that has this name now; it goes on if the targets are replaced."""
        return self._collectors[name]

    def stop(self) -> None:
        """End the listings in progress; the scrapes that wait for them get what there is."""
        for collector in (*self._collectors.values(), *self._replaced):
            collector.stop()
