"""Asks for one URL again and again and tells how long each answer took.

`python -m bench.prober URL` prints a JSON list of milliseconds. Whoever asks does not wait for the answer before: an
answer that is late would otherwise hide those that would have been late as well. It is a process of its own, so that
nothing but the system keeps it from asking in time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from urllib.parse import urlsplit


async def probe(url: str, *, every: float, seconds: float) -> list[float]:
    """Milliseconds from the begin of each connection to the end of its answer; a question each `every` seconds."""
    parts = urlsplit(url)
    question = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    loop = asyncio.get_running_loop()

    async def ask() -> float:
        start = loop.time()
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(question)
            answer = await reader.read()
        finally:
            writer.close()
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{url} answered {answer[:100]!r}")
        return (loop.time() - start) * 1000

    begin = loop.time()
    asked = []
    for number in range(round(seconds / every)):
        await asyncio.sleep(begin + number * every - loop.time())
        asked.append(asyncio.create_task(ask()))
    return await asyncio.gather(*asked)


def main() -> None:
    """Ask, then print."""
    parser = argparse.ArgumentParser(prog="python -m bench.prober", description=__doc__)
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--every", type=float, default=0.01, help="seconds between two questions")
    parser.add_argument("--seconds", type=float, default=3.0, help="for how long")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(probe(options.url, every=options.every, seconds=options.seconds))))


if __name__ == "__main__":
    main()
