"""Calls one target as a scrape does, and looks at the way to it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.check import explain
from exporter.check.report import Finding
from exporter.check.wire import Trace
from exporter.client.session import Client
from exporter.client.transport import Transport
from exporter.collector.collector import Collector
from exporter.core.deadline import Deadline
from exporter.core.errors import ScrapeError, TransportError
from exporter.core.workers import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.check.report import TargetReport
    from exporter.core.snapshot import Snapshot
    from exporter.core.target import Target

CONNECT_SECONDS: Final = 5.0
"""For the lookup of a name and for a connection, each."""

DEFAULT_PORTS: Final = {"https": 443, "socks5": 1080, "socks5h": 1080}
"""Of endpoints and proxies by their scheme; otherwise 80."""

CONCURRENT_TARGETS: Final = 8
"""Examined at the same time."""


async def examine_all(
    targets: Sequence[Target],
    *,
    interval: float,
    on_done: Callable[[TargetReport], None],
    now: Callable[[], float] = time.time,
) -> list[TargetReport]:
    """Returns a report on each of `targets`, in their order; `on_done` is called with each as soon as it is complete.

    `interval`: seconds between two scrapes, for the number of requests. `now` returns Unix seconds.
    """
    turn = asyncio.Semaphore(CONCURRENT_TARGETS)

    async def one(target: Target) -> TargetReport:
        async with turn:
            report = await examine(target, interval=interval, now=now)
        on_done(report)
        return report

    return await asyncio.gather(*map(one, targets))


async def examine(target: Target, *, interval: float, now: Callable[[], float]) -> TargetReport:
    """Returns a report on `target`: one connection, one listing, and one job in detail if the metrics need that."""
    trace = Trace(target, now)
    transport = Transport(on_response=trace.saw)
    turns = Turns()
    client = Client(transport, trace, turns, now)
    collector = Collector([target], client, turns, now=now)
    try:
        way, snapshot = await asyncio.gather(reach(target, transport), collector.find(target.name).snapshot(None))
        await _describe_one(client, target, snapshot, trace)
    finally:
        await transport.close()
    return explain.report(target, snapshot, trace, way, interval=interval, now=now())


async def _describe_one(client: Client, target: Target, snapshot: Snapshot, trace: Trace) -> None:
    """Describe a job, if the listing described none: only that shows whether the keys may."""
    tried = trace.allowed | trace.errors.keys()
    if snapshot.error or "DescribeJob" not in target.operations or "DescribeJob" in tried or not snapshot.jobs:
        return
    deadline = Deadline(time.monotonic() + target.timeout)
    session = client.session(target, deadline)
    try:
        async with asyncio.timeout_at(deadline.at):
            await session.get(target.provider.describe_request(snapshot.jobs[0].id), target.provider.parse_job)
    except (ScrapeError, TimeoutError):
        pass  # `trace` has seen the response, if there was one


async def reach(target: Target, transport: Transport) -> list[Finding]:
    """Returns what the lookup of the host's name and a connection to it showed; of the proxy, if there is one."""
    request = target.provider.list_request(None)
    try:
        proxy = transport.proxy_for(request, target.connection)
    except TransportError as error:
        return [Finding("connection", "failed", str(error))]
    parts = urlsplit(proxy.url if proxy else f"{request.scheme}://{request.host}")
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 80)
    shown = f"the proxy {host}:{port}" if proxy else f"{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        where = "proxy_url" if proxy else "endpoint and region"
        return [Finding("name", "failed", f"{host} is not found: {_why(error)}", f"check {where}, and the DNS")]
    addresses = ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))
    name = Finding("name", "ok", f"{host} is {addresses}")
    start = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        text = f"no connection to {shown}: {_why(error)}"
        return [name, Finding("connection", "failed", text, "check firewalls, security groups and the proxy settings")]
    took = (time.monotonic() - start) * 1000
    writer.close()
    return [name, Finding("connection", "ok", f"connected to {shown} in {took:.0f} ms")]


def _why(error: OSError | ValueError) -> str:
    """Returns the system's message, which that of asyncio only quotes; a timeout has none."""
    if isinstance(error, ValueError):
        return "this is not the name of a host"
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or "timed out"
