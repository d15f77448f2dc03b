"""Requesting a page early, on real sockets: what is sent, and what is counted."""

from __future__ import annotations

import asyncio
import re
import zlib

import pytest

from exporter.core.jobs import Job
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.messages import Style
from tests.rawserver import raw_server
from tests.rig import rig, target_at

pytestmark = pytest.mark.anyio

PAGES = 9
TOKEN = re.compile(rb"continuation-token=(\d+)")


class Book:
    """Pages whose ends are only sent once `released` is set."""

    def __init__(self, *, first: bool = True, gzip: bool = False, lie: bytes = b"") -> None:
        self.requested: list[int] = []
        self.sent: list[int] = []
        self.arrived = asyncio.Condition()
        self.released = asyncio.Event()
        self._style = Style(token_first=first)
        self._gzip = gzip
        self._lie = lie

    def body(self, number: int) -> bytes:
        """Page `number`, from 0; its long description makes it arrive in several pieces."""
        following = str(number + 1) if number + 1 < PAGES else None
        text = DIALECTS["oss"].list_response(
            [Job(f"job-{number}", "Active", description="d" * 20_000)], following, self._style
        )
        return text.replace(b"<ListJobsResult>", b"<ListJobsResult>" + self._lie, 1)

    async def respond(self, peer) -> None:
        match = TOKEN.search(peer.line)
        number = int(match[1]) if match else 0
        async with self.arrived:
            self.requested.append(number)
            self.arrived.notify_all()
        whole = self.body(number)
        pieces, headers = [whole[:5000], whole[5000:]], ""
        if self._gzip:
            packer = zlib.compressobj(wbits=31)
            pieces = [
                packer.compress(pieces[0]) + packer.flush(zlib.Z_SYNC_FLUSH),
                packer.compress(pieces[1]) + packer.flush(),
            ]
            headers = "Content-Encoding: gzip\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {sum(map(len, pieces))}\r\n{headers}Connection: close\r\n\r\n"
        await peer.send(head.encode() + pieces[0])
        await self.released.wait()
        await peer.send(pieces[1])
        self.sent.append(number)

    async def until(self, count: int) -> None:
        """Wait for `count` requests."""
        async with self.arrived, asyncio.timeout(10):
            await self.arrived.wait_for(lambda: len(self.requested) >= count)


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
async def test_the_next_page_is_requested_while_the_first_is_incomplete(gzip):
    """While no page is complete, two are requested but no third; in the end each was requested once."""
    book = Book(gzip=gzip)
    async with raw_server(book.respond) as host, rig(target_at(f"http://{host}")) as parts:
        scrape = asyncio.create_task(parts.snapshot())
        await book.until(2)
        await asyncio.sleep(0.1)
        assert (book.requested, book.sent) == ([0, 1], [])
        book.released.set()
        snapshot = await scrape
        assert [job.id for job in snapshot.jobs] == [f"job-{number}" for number in range(PAGES)]
        assert (book.requested, snapshot.pages) == ([*range(PAGES)], PAGES)
        assert parts.counts() == (PAGES, 0, 0)


async def test_a_token_after_the_jobs_makes_no_early_request():
    """If the token comes last, pages are requested one after the other."""
    book = Book(first=False)
    async with raw_server(book.respond) as host, rig(target_at(f"http://{host}")) as parts:
        scrape = asyncio.create_task(parts.snapshot())
        await book.until(1)
        await asyncio.sleep(0.1)
        assert book.requested == [0]
        book.released.set()
        snapshot = await scrape
        assert [job.id for job in snapshot.jobs] == [f"job-{number}" for number in range(PAGES)]
        assert (book.requested, book.sent) == ([*range(PAGES)], [*range(PAGES)])


async def test_a_wrong_guess_is_no_failure():
    """The request of a wrong guess is counted as a request, but not as a failure."""
    book = Book(lie=b"<!-- <NextToken>7</NextToken> -->")
    book.released.set()
    async with raw_server(book.respond) as host, rig(target_at(f"http://{host}")) as parts:
        snapshot = await parts.snapshot()
        requests, failures, retries = parts.counts()
    assert [job.id for job in snapshot.jobs] == [f"job-{number}" for number in range(PAGES)]
    assert snapshot.error is None
    assert {*book.requested} == {*range(PAGES)}
    assert (requests, failures, retries) == (PAGES + 1, 0, 0)


async def test_requests_at_the_deadline_are_timeouts():
    """At the deadline both requests in flight fail with a timeout."""
    book = Book()
    async with (
        raw_server(book.respond) as host,
        rig(target_at(f"http://{host}", timeout=0.5, attempt_timeout=1.0)) as parts,
    ):
        assert (await parts.failure()).reason == "timeout"
        async with asyncio.timeout(5):
            while parts.counts() != (2, 2, 0):  # noqa: ASYNC110 - cancelled requests count themselves later
                await asyncio.sleep(0.01)
    assert parts.failures() == {"timeout": 2}
