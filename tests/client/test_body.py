from __future__ import annotations

import asyncio
import gzip
import itertools
import tracemalloc

import pytest

from exporter.client.bodies import MAX_ERROR_BYTES, MAX_GZIP_MEMBERS, PIECE_BYTES
from exporter.core.errors import MalformedResponse, TransportError
from tests.rawserver import raw_server

pytestmark = pytest.mark.anyio

LIMIT = 100_000
BOMB = gzip.compress(bytes(64 << 20), 9)
"""64 KiB that decode to 64 MiB."""
PACKED = gzip.compress(b"<ListJobsResult/>" * 10)


def answering(body=b"", status="200 OK", *headers):
    """A server that answers with `body`."""
    return raw_server(lambda peer: peer.answer(body, status, *headers))


def endless(head, piece, sent):
    """A server whose body repeats `piece` until the client leaves; `sent` collects the size of each piece."""

    async def flood(peer):
        await peer.send(head + b"\r\n")
        for _ in itertools.count():
            await peer.send(piece)
            sent.append(len(piece))

    return raw_server(flood)


async def too_large(send, host):
    """The message of the error that a request ends with; it is `too_large` and not transient."""
    with pytest.raises(TransportError) as caught:
        await send(host, max_bytes=LIMIT)
    assert (caught.value.reason, caught.value.transient) == ("too_large", False)
    return str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_of_exactly_the_limit_is_accepted(packed, send):
    """A body of exactly the limit is accepted, plain and compressed."""
    body = b"x" * LIMIT
    encoded, headers = (gzip.compress(body), ["Content-Encoding: GZip"]) if packed else (body, [])
    async with answering(encoded, "200 OK", *headers) as host:
        assert (await send(host, max_bytes=LIMIT)).body == body


@pytest.mark.parametrize("packed", [False, True])
async def test_one_byte_more_is_too_large(packed, send):
    """A body of one byte more than the limit is refused, plain and compressed."""
    body = b"x" * (LIMIT + 1)
    encoded, headers = (gzip.compress(body), ["Content-Encoding: gzip"]) if packed else (body, [])
    async with answering(encoded, "200 OK", *headers) as host:
        assert await too_large(send, host) == "the response is larger than 100000 bytes"


@pytest.mark.parametrize("head", [b"", b"Content-Length: 999999999999\r\n"])
async def test_an_endless_body_is_left_early(head, send):
    """An endless body is abandoned once it exceeds the limit, with and without a Content-Length."""
    sent: list[int] = []
    async with endless(b"HTTP/1.1 200 OK\r\n" + head, b"x" * 10_000, sent) as host:
        await too_large(send, host)
    assert sum(sent) < LIMIT + 20_000_000  # what fits into the socket buffers


async def test_a_gzip_bomb_is_not_unpacked(send):
    """Little more than the limit of a gzip bomb is decoded, so memory stays near the limit."""
    async with answering(BOMB, "200 OK", "Content-Encoding: gzip") as host:
        await too_large(send, host)  # allocates what is created only once
        tracemalloc.start()
        try:
            await too_large(send, host)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert LIMIT < peak < 3_000_000


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("gzip", PACKED[:-1], "ends too early"),
        ("gzip", PACKED[:30], "ends too early"),
        ("gzip", b"<ListJobsResult/>", "not gzip, as its header says"),
        ("gzip", PACKED[:-8] + bytes(8), "not gzip, as its header says"),
        ("gzip", PACKED + b"more", "continues after the end"),
        ("br", PACKED, "content encoding 'br'"),
        ("deflate, gzip", PACKED, "content encoding 'deflate, gzip'"),
        ("a" * 60, PACKED, f"content encoding '{'a' * 20}'"),
    ],
    ids=["cut", "cut early", "plain", "wrong sum", "more", "other", "two", "long"],
)
async def test_a_body_that_contradicts_its_encoding_is_malformed(encoding, body, text, send):
    """Compressed data that is cut, broken, followed by more, or of an unrequested encoding is malformed."""
    async with answering(body, "200 OK", f"Content-Encoding: {encoding}") as host:
        with pytest.raises(MalformedResponse) as caught:
            await send(host)
    assert text in str(caught.value)


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 12 * PIECE_BYTES])
async def test_a_gzip_body_is_unpacked_in_pieces(size, send):
    """A gzip body of any size is read whole, and is in memory twice at most, however small it comes."""
    body = b"x" * size
    async with answering(gzip.compress(body), "200 OK", "Content-Encoding: gzip") as host:
        await send(host, max_bytes=size)  # allocates what is created only once
        tracemalloc.start()
        try:
            assert (await send(host, max_bytes=size)).body == body
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2.2 * size + 3 * PIECE_BYTES


@pytest.mark.parametrize("cut", [1, len(PACKED) - 1, len(PACKED), len(PACKED) + 1, len(PACKED) + 2])
async def test_a_gzip_body_of_two_members_is_read(cut, send):
    """A gzip body may have several members (RFC 1952, 2.2), wherever they are cut on their way; but not any number."""
    twice = PACKED + PACKED

    async def in_two_parts(peer):
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(twice)}\r\n\r\n"
        await peer.send(head.encode() + twice[:cut])
        await asyncio.sleep(0.05)
        await peer.send(twice[cut:])

    async with raw_server(in_two_parts) as host:
        assert (await send(host)).body == gzip.decompress(PACKED) * 2
    many = gzip.compress(b"") * (MAX_GZIP_MEMBERS + 1)
    async with answering(many, "200 OK", "Content-Encoding: gzip") as host:
        with pytest.raises(MalformedResponse):
            await send(host)


async def test_data_after_a_gzip_body_is_not_read(send):
    """Endless data after a compressed body ends the request at once."""
    sent: list[int] = []
    async with endless(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n", PACKED, sent) as host:
        with pytest.raises(MalformedResponse, match="after the end"):
            await send(host)
    assert sum(sent) < 20_000_000


async def test_an_empty_body_is_empty_whatever_its_encoding(send):
    """An empty body is empty even if the header announces gzip."""
    async with answering(b"", "200 OK", "Content-Encoding: gzip") as host:
        assert (await send(host)).body == b""


async def test_only_gzip_is_requested(send):
    """The request accepts only gzip, whose decoding is bounded here, and identifies the exporter."""
    heads = []

    async def noting(peer):
        heads.append(peer.head.lower())
        await peer.answer()

    async with raw_server(noting) as host:
        await send(host)
    assert b"\r\naccept-encoding: gzip\r\n" in heads[0]
    assert b"\r\nuser-agent: batchops-exporter/" in heads[0]


@pytest.mark.parametrize("status", ["403 Forbidden", "503 Service Unavailable", "206 Partial Content"])
async def test_the_body_of_an_error_is_cut(status, send):
    """Only the first bytes of an unsuccessful response are read, even if its body never ends."""
    sent: list[int] = []
    async with endless(f"HTTP/1.1 {status}\r\n".encode(), b"e" * 10_000, sent) as host:
        response = await send(host, max_bytes=10)
    assert response.status == int(status[:3])
    assert response.body == b"e" * MAX_ERROR_BYTES
    assert sum(sent) < 20_000_000


async def test_a_gzip_bomb_in_an_error_is_cut_too(send):
    """A compressed error body is decoded only up to its limit."""
    async with answering(BOMB, "500 Oops", "Content-Encoding: gzip") as host:
        assert (await send(host)).body == bytes(MAX_ERROR_BYTES)


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", b"plain"), ("gzip", PACKED[:-4]), ("br", b"?")], ids=["plain", "cut", "other"]
)
async def test_an_undecodable_error_body_keeps_its_status(encoding, body, send):
    """A body that cannot be decoded does not hide the status, so a 503 can be retried."""
    async with answering(body, "503 Busy", f"Content-Encoding: {encoding}", "X-OSS-Request-Id: 77") as host:
        response = await send(host)
    assert (response.status, response.body, response.headers["x-oss-request-id"]) == (503, b"", "77")


async def test_a_length_beyond_the_limit_is_refused_unread(send):
    """A Content-Length over the limit is refused without waiting for the body."""

    async def announce(peer):
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n")
        await peer.reader.read()

    async with raw_server(announce) as host:
        with pytest.raises(TransportError, match="larger than 100000 bytes") as caught:
            await send(host)
    assert caught.value.reason == "too_large"
