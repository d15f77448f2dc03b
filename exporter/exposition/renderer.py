"""Snapshots to the bodies of responses: a few milliseconds at a time, and once for all scrapes that wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar, cast

from exporter.core.single_flight import SingleFlight
from exporter.exposition import families, gzip_pieces
from exporter.exposition.gzip_pieces import DeflatedPiece
from exporter.exposition.self_metrics import OPENMETRICS_END

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from exporter.core.snapshot import Snapshot
    from exporter.core.workers import Turns
    from exporter.exposition.self_metrics import SelfMetrics

WORTH_SENDING: Final = 64 * 1024
"""Bytes; smaller pieces of a body are merged, because sending a piece costs as much as copying this many bytes."""

TargetLines: TypeAlias = Sequence[Sequence[bytes | DeflatedPiece]]
"""The lines of one target: the pieces of each family."""

T = TypeVar("T")


class ResponseFormat(NamedTuple):
    """The format of a response, as negotiated with the client."""

    openmetrics: bool
    gzip: bool
    with_self_metrics: bool


class Renderer:
    """Renders snapshots and joins them to responses; it keeps nothing afterwards."""

    def __init__(self, self_metrics: SelfMetrics, turns: Turns) -> None:
        self._self_metrics = self_metrics
        self._turns = turns
        # Keys contain the ids of objects, which the running work keeps alive: no other object can get the same id.
        self._lines: SingleFlight[Hashable, TargetLines] = SingleFlight()
        self._bodies: SingleFlight[Hashable, list[bytes]] = SingleFlight()

    async def lines(self, snapshot: Snapshot, response_format: ResponseFormat) -> TargetLines:
        """The lines of one target; they can be rendered while other targets are still being listed."""
        gzip = response_format.gzip
        return await self._lines.run((id(snapshot), gzip), lambda: self._render(snapshot, gzip=gzip))

    async def body(self, targets: Sequence[TargetLines], response_format: ResponseFormat) -> list[bytes]:
        """The whole response about `targets`, in pieces that are worth sending one by one."""
        key = (response_format, *map(id, targets))
        return await self._bodies.run(key, lambda: self._in_turns(self._pieces(targets, response_format)))

    async def _render(self, snapshot: Snapshot, *, gzip: bool) -> TargetLines:
        def batches() -> Iterator[Sequence[bytes | DeflatedPiece]]:
            for lines in families.family_lines(snapshot):
                yield [*map(gzip_pieces.deflate, lines)] if gzip else lines

        return list(zip(*await self._in_turns(batches()), strict=True))

    async def _in_turns(self, steps: Iterator[T]) -> list[T]:
        """All items of `steps`, each computed in a turn of its own."""
        items: list[T] = []
        while item := await self._turns.run(lambda: list(islice(steps, 1))):
            items += item
        return items

    def _pieces(self, targets: Sequence[TargetLines], response_format: ResponseFormat) -> Iterator[bytes]:
        def pieces() -> Iterator[bytes | DeflatedPiece]:
            if targets:  # `/-/metrics` has none, and shows none of their families
                yield from families.assemble(targets)
            if response_format.with_self_metrics:
                yield self._self_metrics.render(openmetrics=response_format.openmetrics)
            if response_format.openmetrics:
                yield OPENMETRICS_END

        if response_format.gzip:
            return _merged(gzip_pieces.join(pieces()))
        return _merged(cast("Iterator[bytes]", pieces()))  # without gzip no piece is deflated


def _merged(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, with small pieces merged; large ones are not copied."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) < WORTH_SENDING:
            small.append(piece)
            size += len(piece)
        if size >= WORTH_SENDING or (size and len(piece) >= WORTH_SENDING):
            yield b"".join(small)
            small, size = [], 0
        if len(piece) >= WORTH_SENDING:
            yield piece
    if size:
        yield b"".join(small)
