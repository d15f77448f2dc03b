"""Listings to the bodies of answers: in a thread, one at a time, and once for all who ask for the same meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from exporter.core.single_flight import Shared
from exporter.core.workers import rendering
from exporter.exposition import families, gzip_pieces
from exporter.exposition.gzip_pieces import Packed
from exporter.exposition.keptpieces import KeptPieces
from exporter.exposition.self_metrics import OPENMETRICS_END

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.core.snapshot import Snapshot
    from exporter.exposition.self_metrics import SelfMetrics

WORTH_SENDING: Final = 64 * 1024
"""Bytes; pieces of a body that are smaller are put together: each one sent costs as much as copying so many."""

Blocks: TypeAlias = Sequence[Sequence[bytes | Packed]]
"""A target's lines: for each family its pieces."""


class Form(NamedTuple):
    """What a scrape asked for."""

    openmetrics: bool
    gzip: bool
    own: bool
    """With the exporter's own metrics."""


class Renderer:
    """Renders; what it keeps are pieces for the next scrape."""

    def __init__(self, selfmetrics: SelfMetrics) -> None:
        self._selfmetrics = selfmetrics
        self._rendered: Shared[Blocks] = Shared()
        self._joined: Shared[list[bytes]] = Shared()
        self._kept = KeptPieces()

    async def blocks(self, listing: Snapshot, form: Form) -> Blocks:
        """The lines of one target, to be rendered while others are still being listed."""
        work = self._kept.blocks if form.gzip else families.blocks
        return await self._rendered.once([listing], form.gzip, lambda: rendering.do(work, listing))

    async def body(self, targets: Sequence[Blocks], form: Form) -> list[bytes]:
        """The whole answer about `targets`, in pieces that are worth sending one by one."""
        return await self._joined.once(targets, form, lambda: rendering.do(self._join, targets, form))

    def _join(self, targets: Sequence[Blocks], form: Form) -> list[bytes]:
        def pieces() -> Iterator[bytes | Packed]:
            yield from families.assemble(targets)
            if form.own:
                yield self._selfmetrics.render(openmetrics=form.openmetrics)
            if form.openmetrics:
                yield OPENMETRICS_END

        body = gzip_pieces.join(pieces()) if form.gzip else cast("Iterator[bytes]", pieces())  # else nothing is packed
        return list(_coalesced(body))


def _coalesced(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, the small pieces put together; the others are not copied."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) < WORTH_SENDING:
            small.append(piece)
            size += len(piece)
        if size >= WORTH_SENDING or len(piece) >= WORTH_SENDING:
            yield b"".join(small)
            small, size = [], 0
        if len(piece) >= WORTH_SENDING:
            yield piece
    yield b"".join(small)
