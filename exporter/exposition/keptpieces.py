"""A target's packed lines, with those of jobs that did not change since its last rendering taken over from there."""

from __future__ import annotations

from itertools import chain
from operator import is_
from sys import getsizeof
from typing import TYPE_CHECKING, Final

from exporter.exposition import families
from exporter.exposition.gzip_pieces import Packed, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.core.jobs import Job
    from exporter.core.snapshot import Snapshot
    from exporter.exposition.families import Slice

KEPT_BYTES: Final = 96 * 1024 * 1024
"""For all targets together; enough for 100,000 jobs of the usual length."""

JOB_BYTES: Final = 450
"""What a job that is held here, and perhaps nowhere else, takes beside its description."""


class _Kept:
    """The rendering of some jobs. They are held so that no other jobs can become the same objects."""

    __slots__ = ("jobs", "pieces", "size")

    def __init__(self, jobs: Sequence[Job], pieces: list[bytes | Packed]) -> None:
        self.jobs = jobs
        self.pieces = pieces
        texts = [piece.data if isinstance(piece, Packed) else piece for piece in pieces]
        self.size = sum(map(len, texts)) + sum(JOB_BYTES + getsizeof(job.description) for job in jobs)

    def is_of(self, jobs: Sequence[Job]) -> bool:
        """Whether `jobs` are the very objects, none more and none less: equal ones may read otherwise (1 and 1.0)."""
        return len(self.jobs) == len(jobs) and all(map(is_, self.jobs, jobs))


class KeptPieces:
    """Renders listings, one after the other. Who comes first keeps its pieces: to take turns would help nobody."""

    def __init__(self, budget: int = KEPT_BYTES) -> None:
        self._free = budget
        self._targets: dict[tuple[str, str, str, bool], dict[str, _Kept]] = {}
        """By all that the lines of a job depend on beside the job, and then by the first job."""

    def blocks(self, listing: Snapshot) -> list[list[bytes | Packed]]:
        """The same as `families.blocks`, with each piece that is worth it packed."""
        target = (listing.provider, listing.account, listing.region, listing.show_descriptions)
        before = self._targets.pop(target, {})
        self._free += sum(one.size for one in before.values())
        now: list[_Kept] = []

        def render(part: Slice) -> Iterator[bytes | Packed]:
            kept = before.pop(part.jobs[0].id, None)
            if kept is None or not kept.is_of(part.jobs):
                kept = _Kept(part.jobs, [*map(pack, part.lines())])
            now.append(kept)
            return chain(kept.pieces, map(pack, part.detail_lines()))

        found = families.arrange(listing, render)
        self._targets[target] = {one.jobs[0].id: one for one in self._fitting(now)}
        return found

    def _fitting(self, slices: Sequence[_Kept]) -> Iterator[_Kept]:
        for one in slices:
            if one.size > self._free:
                return
            self._free -= one.size
            yield one
