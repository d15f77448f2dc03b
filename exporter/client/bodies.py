"""Reads and decodes the body of a response within its limits."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from isal import igzip_lib, isal_zlib

from exporter.core.errors import MalformedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from exporter.client.body_budget import BodyLimit
    from exporter.core.interfaces import OnProgress

MAX_GZIP_MEMBERS: Final = 100
"""Of a body; each costs as much as a small page. Usually there is one."""

PIECE_BYTES: Final = 1024 * 1024
"""Of a gzip body, unpacked at once, as a usual page is: a large one would be in memory twice until it is joined."""

_GZIP_MAGIC: Final = b"\x1f\x8b"

MAX_ERROR_BYTES: Final = 64 * 1024
"""Of the body of a response other than 200; the rest is not read."""


async def read_body(
    headers: Mapping[str, str], raw: AsyncIterator[bytes], limit: BodyLimit, on_progress: OnProgress | None
) -> bytes:
    """The decoded body. Raises MalformedResponse, and TransportError if the body exceeds `limit`."""
    length = headers.get("content-length", "")
    encoded = headers.get("content-encoding", "identity") != "identity"
    if length.isdecimal() and not encoded and int(length) > limit.max_bytes:
        limit.grow(int(length))  # raises before any of it takes memory
    body = bytearray()
    async with contextlib.aclosing(_decoded(headers, raw)) as pieces:
        async for piece in pieces:
            limit.grow(len(body) + len(piece))
            body += piece
            if on_progress is not None and on_progress(body):
                on_progress = None
    return bytes(body)


async def read_error_body(headers: Mapping[str, str], raw: AsyncIterator[bytes]) -> bytes:
    """The start of an error's body; empty if it cannot be decoded, as the status says more than the body does."""
    body = bytearray()
    try:
        async with contextlib.aclosing(_decoded(headers, raw)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) >= MAX_ERROR_BYTES:
                    break
    except MalformedResponse:
        return b""
    return bytes(body[:MAX_ERROR_BYTES])


async def _decoded(headers: Mapping[str, str], raw: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The body in pieces, decoded. Raises MalformedResponse.

    It is decoded here and not by httpx, whose decoder would unpack a whole chunk of a bomb before its size is known.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise MalformedResponse(f"the response has the content encoding {encoding[:20]!r}, which was not requested")
    gunzip = isal_zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    started = False
    members = 1
    async for chunk in raw:
        if gunzip is None:
            yield chunk
            continue
        started, rest, more = True, chunk, False
        while rest or more:
            if gunzip.eof:
                members += 1
                if members > MAX_GZIP_MEMBERS or not _GZIP_MAGIC.startswith(rest[: len(_GZIP_MAGIC)]):
                    raise MalformedResponse("the response continues after the end of its gzip body")
                gunzip = isal_zlib.decompressobj(wbits=31)  # one more member, see RFC 1952, 2.2
            try:
                piece = gunzip.decompress(rest, PIECE_BYTES)
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # isal's stub declares it as an instance
                raise MalformedResponse("the response's body is not gzip, as its header says") from error
            rest = gunzip.unused_data if gunzip.eof else gunzip.unconsumed_tail
            more = len(piece) == PIECE_BYTES and not gunzip.eof  # it may hold some without any rest
            yield piece
    if gunzip is not None and started and not gunzip.eof:
        raise MalformedResponse("the response's gzip body ends too early")
