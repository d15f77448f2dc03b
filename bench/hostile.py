"""A store that responds as no service should: `python -m bench.hostile slow` prints its URL once it responds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import itertools
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from bench.pages import pages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Send = Callable[[bytes], Awaitable[None]]

MIB: Final = 1024 * 1024
PIECE: Final = b"<JobListDescriptor>" + b"x" * 65_000
GOOD_PAGES: Final = 25
"""Of 1,000 jobs each, which "slowing" sends for each target before it is slow."""

PACKED_AT_ONCE: Final = 3
"""Pages of "packed" on their way: as many as the exporter may hold with those it parses, and at times one more."""
PACKED_SECONDS: Final = 0.3
"""From the start of one such page to the next one in its place."""

_numbers: Final = itertools.count(1)


def response(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A whole response; `length` is the announced one."""
    lines = ["HTTP/1.1 200 OK", *headers, f"Content-Length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode() + body


def page(number: int = 0, token: str | None = None) -> bytes:
    """A page of 1,000 jobs, about 0.7 MB, which names another page that was never named before."""
    body = _pages()[number % GOOD_PAGES]
    return re.sub(rb"<NextToken>[^<]*", b"<NextToken>" + (token or f"more-{next(_numbers)}").encode(), body, count=1)


@cache
def _pages() -> list[bytes]:
    return [*itertools.islice(pages((GOOD_PAGES + 1) * 1000), GOOD_PAGES)]


async def slow(_head: bytes, send: Send) -> None:
    """A page that takes most of a second."""
    data = response(page())
    for start in range(0, len(data), 100_000):
        await send(data[start : start + 100_000])
        await asyncio.sleep(0.1)


async def slowing(head: bytes, send: Send) -> None:
    """A good listing of 25,000 jobs for each target, and from then on slow pages."""
    token = re.search(rb"continuation-token=good-(\d+)", head)
    region = re.search(rb"/(cn-[a-z0-9-]+)/oss/", head)
    if token is None and region is not None and region[1] in _listed:
        await slow(head, send)
        return
    if token is None and region is not None:
        _listed.add(region[1])
    number = int(token[1]) if token else 0
    body = page(number, f"good-{number + 1}")
    if number == GOOD_PAGES - 1:
        body = re.sub(rb"<NextToken>[^<]*</NextToken>", b"", body)
    await send(response(body))


_listed: Final[set[bytes]] = set()


async def large(_head: bytes, send: Send) -> None:
    """A body of 17 MiB, 1 MiB more than allowed."""
    await send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListJobsResult>")
    for _ in range(17 * MIB // len(PIECE) + 1):
        await send(PIECE)
    raise ConnectionError


async def endless(_head: bytes, send: Send) -> None:
    """A body without an end."""
    await send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListJobsResult>")
    while True:
        await send(PIECE)


async def packed(head: bytes, send: Send) -> None:
    """A good listing of two pages of 15 MiB, each a small gzip; the XML parser reads the second one."""
    async with _packing:
        await send(_packed()[b"continuation-token=" in head])
        await asyncio.sleep(PACKED_SECONDS)


_packing: Final = asyncio.Semaphore(PACKED_AT_ONCE)


@cache
def _packed() -> tuple[bytes, bytes]:
    text = "\N{PARTY POPPER}" + 15_000 * "x"  # a character for which Python needs four bytes for each
    body = re.sub(rb"<Description>[^<]*", b"<Description>" + text.encode(), page(0, "second"))
    last = re.sub(rb"<NextToken>[^<]*</NextToken>", b"<!-- last -->", body)
    first, second = (response(gzip.compress(each, 1), "Content-Encoding: gzip") for each in (body, last))
    return first, second


async def stalled(_head: bytes, send: Send) -> None:
    """Half of a body of 16 MiB, and nothing more."""
    await send(response(b"<ListJobsResult>" + b" " * 8 * MIB, length=16 * MIB))
    await asyncio.Event().wait()


SCENARIOS: Final = {serve.__name__: serve for serve in (slow, slowing, large, endless, packed, stalled)}


async def _serve(scenario: Callable[[bytes, Send], Awaitable[None]]) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await scenario(await reader.readuntil(b"\r\n\r\n"), send)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile")
    parser.add_argument("scenario", choices=SCENARIOS)
    _pages()
    asyncio.run(_serve(SCENARIOS[parser.parse_args(arguments).scenario]))


if __name__ == "__main__":
    main()
