"""A store that costs next to nothing: whole answers, made ahead, written as they are. It checks no signature.

`python -m bench.store --jobs=10000` prints its URL once it answers. The simulator would take part of what is measured:
it parses, checks and compares, and it would render a page anew at each change of variant.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from typing import Final

from bench.pages import pages, place

SHOW: Final = "/-/show/"
"""With the number of a variant behind it: listings that begin from now on are of that one."""

_REQUEST: Final = re.compile(
    rb"GET (?P<path>[^ ?]*)(?:\?[^ ]*?(?:continuation-token=(?P<token>[^& ]*))?)? HTTP/1\.1\r\n"
)


class Shelf:
    """The answers, and which variant is shown."""

    def __init__(self, jobs: int, variants: int) -> None:
        self._answers = [[_answer(page) for page in pages(jobs, variant)] for variant in range(variants)]
        self._shown = 0

    def answer(self, head: bytes) -> bytes:
        """The answer to the request that `head` begins."""
        request = _REQUEST.match(head)
        if request is None:
            raise ValueError(f"not a request that this store knows: {head[:100]!r}")
        path = request["path"].decode()
        if path.startswith(SHOW):
            self._shown = int(path.removeprefix(SHOW))
            return _answer(b"")
        variant, number = place(request["token"].decode()) if request["token"] else (self._shown, 0)
        return self._answers[variant][number]


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


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
            answer = self._shelf.answer(head)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def serve(shelf: Shelf, delay: float) -> None:
    """Answer on a free port of loopback until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shelf, delay), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"the store answers on http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Make the pages, then serve them."""
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--variants", type=int, default=1, help="listings that have no job in common")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds ahead of each answer")
    options = parser.parse_args()
    asyncio.run(serve(Shelf(options.jobs, options.variants), options.delay))


if __name__ == "__main__":
    main()
