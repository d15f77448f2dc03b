"""A store that costs next to nothing: whole answers, made ahead, written as they are. It checks no signature.

`python -m bench.store --jobs=10000` prints its URL once it answers. The simulator would take part of what is measured:
it parses, checks, compares and renders at each request. Here pages are made when they are first shown, which is before
anybody measures.
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
"""With the number of a variant behind it: listings that begin from now on are of that one."""
REQUESTS: Final = "/-/requests"
"""Answers how many requests for a page there have been."""

REGION: Final = "cn-bench-{}"
"""Filled with the number of a target, from 0: by the region that a request is signed for, its target is known."""

KEPT: Final = 2
"""Variants whose pages are kept: a listing that has begun ends as the one that it was."""

_REQUEST: Final = re.compile(
    rb"GET (?P<path>[^ ?]*)(?:\?[^ ]*?(?:continuation-token=(?P<token>[^& ]*))?)? HTTP/1\.1\r\n"
)
_TARGET: Final = re.compile(rb"/" + REGION.format(r"(\d+)").encode() + rb"/oss/")


class Reply(NamedTuple):
    """What is written; `last`: the connection is closed behind it."""

    data: bytes
    last: bool = False


class Shelf:
    """The answers, and which variant is shown.

    `make` gives the pages of each target for a variant. Of the requests for a page each `fail_every`th fails (0: none),
    by an error and by an answer that breaks off, in turns.
    """

    def __init__(self, make: Callable[[int], Sequence[Sequence[bytes]]], *, fail_every: int = 0) -> None:
        self._make = make
        self._fail_every = fail_every
        self._variants: dict[int, list[list[bytes]]] = {}
        self._requests = 0
        self._show(0)

    def answer(self, head: bytes) -> Reply:
        """The answer to the request whose head, without the last line break, is `head`."""
        request = _REQUEST.match(head)
        if request is None:
            raise ValueError(f"not a request that this store knows: {head[:100]!r}")
        path = request["path"].decode()
        if path.startswith(SHOW):
            self._show(int(path.removeprefix(SHOW)))
            return Reply(_answer(b""))
        if path == REQUESTS:
            return Reply(_answer(b"%d" % self._requests))
        where = place(request["token"].decode()) if request["token"] else Place(self._shown, _target(head), 0)
        return self._page(self._variants[where.variant][where.target][where.page])

    def _show(self, variant: int) -> None:
        if variant not in self._variants:
            while len(self._variants) >= KEPT:
                del self._variants[next(iter(self._variants))]
            self._variants[variant] = [[_answer(page) for page in target] for target in self._make(variant)]
        self._shown = variant

    def _page(self, answer: bytes) -> Reply:
        self._requests += 1
        if not self._fail_every or self._requests % self._fail_every:
            return Reply(answer)
        if self._requests // self._fail_every % 2:
            return Reply(_answer(b"", status=b"500 Internal Server Error"))
        return Reply(answer[: len(answer) // 2], last=True)


def _target(head: bytes) -> int:
    """The number of the target that a request is signed for."""
    found = _TARGET.search(head)
    return int(found[1]) if found else 0


def _answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/xml\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


class Connection(asyncio.Protocol):
    """One client, which sends requests without a body, one after the other."""

    def __init__(self, shelf: Shelf, delay: float) -> None:
        self._shelf = shelf
        self._delay = delay
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is kept, to answer on it."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("not a stream")
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole, `delay` seconds later."""
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            reply = self._shelf.answer(head)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._write, reply)
            else:
                self._write(reply)

    def _write(self, reply: Reply) -> None:
        self._transport.write(reply.data)
        if reply.last:
            self._transport.close()


async def serve(shelf: Shelf, delay: float) -> None:
    """Answer on a free port of loopback until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shelf, delay), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"the store answers on http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Make the pages, then serve them."""
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--jobs", type=int, required=True, help="of each target")
    parser.add_argument("--targets", type=int, default=1)
    parser.add_argument("--page-size", type=int, default=PAGE_SIZE, help="jobs")
    parser.add_argument("--churn", action="store_true", help="variants are successive states of one listing")
    parser.add_argument("--token-last", action="store_true", help="a page's token stands behind its jobs")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds ahead of each answer")
    parser.add_argument("--fail-every", type=int, default=0, metavar="N", help="of the requests, one in N fails")
    options = parser.parse_args()

    def make(variant: int) -> list[list[bytes]]:
        form = partial(pages, churn=options.churn, token_first=not options.token_last, size=options.page_size)
        return [list(form(options.jobs, variant, target=target)) for target in range(options.targets)]

    asyncio.run(serve(Shelf(make, fail_every=options.fail_every), options.delay))


if __name__ == "__main__":
    main()
