from __future__ import annotations

import gzip
import subprocess
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.gzip_pieces import LEAST_BYTES, Packed, combine, join, pack

LINES = b'batchops_job_tasks{provider="oss",account="prod",region="cn-hangzhou",job_id="job-1",status="Active"} 1000\n'

short = st.binary(max_size=64) | st.just(LINES)
long = st.builds(
    lambda text, more: text * (LEAST_BYTES // len(text) + 1) + more, st.binary(min_size=1, max_size=64), short
)
texts = st.lists(short | long, max_size=12)


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 70_000))
def test_the_crc_of_two_texts_is_known_from_theirs(first, second, more):
    """The combined CRC-32 is the one of both texts in a row, also where one is empty or long."""
    for text in (second, second + bytes(more), second * (more // 100)):
        assert combine(zlib.crc32(first), zlib.crc32(text), len(text)) == zlib.crc32(first + text)


@given(texts)
def test_joined_pieces_are_their_text(pieces):
    """Packed and plain pieces, in any order, become one gzip member of exactly their text."""
    packed = b"".join(join(map(pack, pieces)))
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    assert inflate.decompress(packed) == b"".join(pieces)
    assert (inflate.eof, inflate.unused_data) == (True, b"")


@given(long, long)
def test_a_packed_piece_stands_anywhere(one, other):
    """A piece is packed once, and may then stand in any answer, at any place, and more than once."""
    first, second = pack(one), pack(other)
    for order, text in (([first, second, first], one + other + one), ([second, LINES, first], other + LINES + one)):
        assert gzip.decompress(b"".join(join(order))) == text


def test_small_pieces_stay_text():
    """A piece is packed from LEAST_BYTES on, and is then a fraction of its text."""
    text = (LINES * LEAST_BYTES)[:LEAST_BYTES]
    assert pack(text[1:]) == text[1:]
    packed = pack(text)
    assert isinstance(packed, Packed)
    assert len(packed.data) < len(text) / 10


@pytest.mark.parametrize("pieces", [[], [LINES], [LINES * 1000], [LINES, LINES * 1000, LINES, LINES * 2000, LINES]])
def test_what_unpacks_gzip_unpacks_it(pieces):
    """One call of zlib, `gzip -dc` and httpx read what Python's gzip reads."""
    packed, text = b"".join(join(map(pack, pieces))), b"".join(pieces)
    assert gzip.decompress(packed) == text
    assert zlib.decompress(packed, wbits=16 + zlib.MAX_WBITS) == text
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True).stdout == text
    assert httpx.Response(200, headers={"content-encoding": "gzip"}, content=packed).content == text


def test_a_damaged_piece_is_noticed():
    """The checksum is of the text: a piece that is not what was packed fails to unpack."""
    packed = pack(LINES * 1000)
    assert isinstance(packed, Packed)
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(b"".join(join([packed._replace(crc=packed.crc ^ 1), LINES])))
    with pytest.raises(gzip.BadGzipFile, match="length"):
        gzip.decompress(b"".join(join([packed._replace(length=packed.length + 1), LINES])))
