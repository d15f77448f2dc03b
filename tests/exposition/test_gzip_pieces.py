from __future__ import annotations

import gzip
import subprocess
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.gzip_pieces import MIN_BYTES, DeflatedPiece, deflate, join

LINES = b'batchops_job_tasks{provider="oss",account="prod",region="cn-hangzhou",job_id="job-1",status="Active"} 1000\n'

short = st.binary(max_size=64) | st.just(LINES)
long = st.builds(
    lambda text, more: text * (MIN_BYTES // len(text) + 1) + more, st.binary(min_size=1, max_size=64), short
)
texts = st.lists(short | long, max_size=12)


@given(texts)
def test_joined_pieces_are_their_text(pieces):
    """Deflated and plain pieces, in any order, become one gzip member of exactly their text."""
    packed = b"".join(join(map(deflate, pieces)))
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    assert inflate.decompress(packed) == b"".join(pieces)
    assert (inflate.eof, inflate.unused_data) == (True, b"")


@given(long, long)
def test_a_deflated_piece_fits_anywhere(one, other):
    """A piece that was deflated once can be at any place of any answer, and more than once."""
    first, second = deflate(one), deflate(other)
    for order, text in (([first, second, first], one + other + one), ([second, LINES, first], other + LINES + one)):
        assert gzip.decompress(b"".join(join(order))) == text


def test_small_pieces_remain_text():
    """A piece of MIN_BYTES or more is deflated, to a fraction of its text."""
    text = (LINES * MIN_BYTES)[:MIN_BYTES]
    assert deflate(text[1:]) == text[1:]
    piece = deflate(text)
    assert isinstance(piece, DeflatedPiece)
    assert len(piece.data) < len(text) / 10


@pytest.mark.parametrize("pieces", [[], [LINES], [LINES * 1000], [LINES, LINES * 1000, LINES, LINES * 2000, LINES]])
def test_common_readers_of_gzip_agree(pieces):
    """Python's gzip, one call of zlib, `gzip -dc` and httpx all return the text."""
    packed, text = b"".join(join(map(deflate, pieces))), b"".join(pieces)
    assert gzip.decompress(packed) == text
    assert zlib.decompress(packed, wbits=16 + zlib.MAX_WBITS) == text
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True, timeout=60).stdout == text
    assert httpx.Response(200, headers={"content-encoding": "gzip"}, content=packed).content == text


def test_checksum_and_length_are_those_of_the_text():
    """Readers reject an answer if a piece's CRC or length is not that of its text."""
    piece = deflate(LINES * 1000)
    assert isinstance(piece, DeflatedPiece)
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(b"".join(join([piece._replace(crc=piece.crc ^ 1), LINES])))
    with pytest.raises(gzip.BadGzipFile, match="length"):
        gzip.decompress(b"".join(join([piece._replace(length=piece.length + 1), LINES])))
