"""A store that costs next to nothing: whole responses, made before they are requested. It checks no signature.

`python -m bench.store --jobs=10000` prints its URL once it responds. The simulator would be part of what is measured:
it parses, checks, compares and renders at each request. Here pages are made when they are first shown, which is before
anything is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.pages import PAGE_SIZE, Place, pages, place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHOW: Final = "/-/show/"
"""Followed by the number of a variant: listings that start from now on are of that variant."""
REQUESTS: Final = "/-/requests"
"""Returns the number of requests for a page so far."""

REGION: Final = "cn-bench-{}"
"""Filled with the number of a target, from 0: the region that a request is signed for identifies the target."""

KEPT: Final = 2
"""Variants whose pages are kept: a listing that has started ends as the same variant."""

CHUNK_BYTES: Final = 64 * 1024
"""Of a response that is sent at a limited rate, so many bytes at once."""

_REQUEST: Final = re.compile(
    rb"GET (?P<path>[^ ?]*)(?:\?[^ ]*?(?:continuation-token=(?P<token>[^& ]*))?)? HTTP/1\.1\r\n"
)
_TARGET: Final = re.compile(rb"/" + REGION.format(r"(\d+)").encode() + rb"/oss/")


class Reply(NamedTuple):
    """The bytes to send."""

    data: bytes
    last: bool = False
    """The connection is closed afterwards."""
    is_page: bool = False


class Shelf:
    """The responses, and which variant is shown.

    `make` returns the pages of each target for a variant. One in `fail_every` requests for a page fails (0: none), by
    an error and by a response that ends early, alternately.
    """

    def __init__(self, make: Callable[[int], Sequence[Sequence[bytes]]], *, fail_every: int = 0) -> None:
        self._make = make
        self._fail_every = fail_every
        self._variants: dict[int, list[list[bytes]]] = {}
        self._requests = 0
        self._show(0)

    def reply(self, head: bytes) -> Reply:
        """The reply to the request with this `head` (without its last line break). Raises ValueError."""
        request = _REQUEST.match(head)
        if request is None:
            raise ValueError(f"the store does not know this request: {head[:100]!r}")
        path = request["path"].decode()
        if path.startswith(SHOW):
            self._show(int(path.removeprefix(SHOW)))
            return Reply(_response(b""))
        if path == REQUESTS:
            return Reply(_response(b"%d" % self._requests))
        where = place(request["token"].decode()) if request["token"] else Place(self._shown, _target(head), 0)
        return self._page(self._variants[where.variant][where.target][where.page])

    def _show(self, variant: int) -> None:
        if variant not in self._variants:
            while len(self._variants) >= KEPT:
                del self._variants[next(iter(self._variants))]
            self._variants[variant] = [[_response(page) for page in target] for target in self._make(variant)]
        self._shown = variant

    def _page(self, response: bytes) -> Reply:
        self._requests += 1
        if not self._fail_every or self._requests % self._fail_every:
            return Reply(response, is_page=True)
        if self._requests // self._fail_every % 2:
            return Reply(_response(b"", status=b"500 Internal Server Error"), is_page=True)
        return Reply(response[: len(response) // 2], last=True, is_page=True)


def _target(head: bytes) -> int:
    """The number of the target that a request is signed for."""
    region = _TARGET.search(head)
    return int(region[1]) if region else 0


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/xml\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


class Connection(asyncio.Protocol):
    """One client, which sends requests without a body and waits for each response.

    A page is sent `delay` seconds after its request, at `rate` bytes a second (0: as fast as possible).
    """

    def __init__(self, shelf: Shelf, delay: float, rate: float) -> None:
        self._shelf = shelf
        self._delay = delay
        self._rate = rate
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to reply on it."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("not a stream")
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Reply to each complete request."""
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            reply = self._shelf.reply(head)
            if reply.is_page and (self._delay or self._rate):
                self._send_slowly(reply)
            else:
                self._send(reply.data, last=reply.last)

    def _send_slowly(self, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time() + self._delay
        length = len(reply.data)
        size = CHUNK_BYTES if self._rate else length
        for offset in range(0, length, size):
            end = min(offset + size, length)
            send = partial(self._send, reply.data[offset:end], last=reply.last and end == length)
            loop.call_at(start + (end / self._rate if self._rate else 0.0), send)

    def _send(self, data: bytes, *, last: bool) -> None:
        self._transport.write(data)
        if last:
            self._transport.close()


async def serve(shelf: Shelf, delay: float, rate: float) -> None:
    """Serve on a free port of the loopback interface until the process is terminated."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(shelf, delay, rate), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"the store listens on http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Make the pages, then serve them."""
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--jobs", type=int, required=True, help="of each target")
    parser.add_argument("--targets", type=int, default=1)
    parser.add_argument("--page-size", type=int, default=PAGE_SIZE, help="jobs")
    parser.add_argument("--churn", action="store_true", help="variants are successive states of one listing")
    parser.add_argument("--token-last", action="store_true", help="the token of a page follows its jobs")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each page")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes a second of each page; 0: no limit")
    parser.add_argument("--fail-every", type=int, default=0, metavar="N", help="one in N requests for a page fails")
    options = parser.parse_args()

    def make(variant: int) -> list[list[bytes]]:
        form = partial(pages, churn=options.churn, token_first=not options.token_last, size=options.page_size)
        return [list(form(options.jobs, variant, target=target)) for target in range(options.targets)]

    asyncio.run(serve(Shelf(make, fail_every=options.fail_every), options.delay, options.rate))


if __name__ == "__main__":
    main()
