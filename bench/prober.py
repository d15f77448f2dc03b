"""Requests one URL at a fixed interval and measures each response time.

`python -m bench.prober URL` prints a JSON list of milliseconds. A request does not wait for the response to the last
one: a late response would otherwise hide others that would have been late too. The prober is a process of its own, so
that its requests are on time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from urllib.parse import urlsplit


async def probe(url: str, *, every: float, seconds: float) -> list[float]:
    """Milliseconds from the start of each connection to the end of its response, with a request each `every` seconds.

    Raises RuntimeError if a response has another status than 200.
    """
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    loop = asyncio.get_running_loop()

    async def send() -> float:
        start = loop.time()
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(request)
            response = await reader.read()
        finally:
            writer.close()
        if not response.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{url} returned {response[:100]!r}")
        return (loop.time() - start) * 1000

    start = loop.time()
    responses = []
    for number in range(round(seconds / every)):
        await asyncio.sleep(start + number * every - loop.time())
        responses.append(asyncio.create_task(send()))
    return await asyncio.gather(*responses)


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(prog="python -m bench.prober", description=__doc__)
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--every", type=float, default=0.01, help="seconds between two requests")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(probe(options.url, every=options.every, seconds=options.seconds))))


if __name__ == "__main__":
    main()
