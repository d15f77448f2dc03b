"""HTTP out: one request, one whole response within its limits. Only it and `connection_errors` know httpx."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import httpx

from exporter import __version__
from exporter.client import bodies, connection_errors
from exporter.client.body_budget import BodyBudget
from exporter.client.connection_errors import Hop
from exporter.client.proxies import EnvironmentProxies, Proxy
from exporter.client.tls import TlsContexts
from exporter.core.errors import TransportError
from exporter.core.http import ConnectionSettings, Request, Response, is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import TypeAlias

    from exporter.client.body_budget import BodyLimit
    from exporter.core.interfaces import OnProgress

    OnResponse: TypeAlias = Callable[[Request, Response, ssl.SSLObject | None], None]
    """Called with each whole response, and with the TLS of its connection, if there is any."""

MAX_IDLE_CONNECTIONS: Final = 100
"""Kept open between requests, for each host and way to it (proxy and TLS settings).

Those in use have no limit: a target has at most a few requests in flight, and none may wait for another target's.
"""

PREPARE_SECONDS: Final = 2.0
"""How long the start waits for TLS files, which may be on a mount that hangs."""

KEEPALIVE_SECONDS: Final = 75.0
"""How long an idle connection is kept: longer than the usual scrape interval of 60 seconds."""

_HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "gzip",
    "connection": "keep-alive",
    "user-agent": f"batchops-exporter/{__version__}",
}


@dataclass(frozen=True, slots=True)
class _Way:
    """What connections are shared by: the server, and how it is reached."""

    server: str
    """Scheme and host."""
    connection: ConnectionSettings
    proxy: Proxy | None


@dataclass(slots=True)
class _Pool:
    """The connections of one way. If it is no longer used for new requests, the last request closes it."""

    http: httpx.AsyncHTTPTransport
    contexts: list[ssl.SSLContext]
    """For the service and, if it is reached by TLS, for the proxy."""
    requests: int = 0
    retired: bool = False


class Transport:
    """Connections that live as long as the process. `environment` may name proxies."""

    def __init__(self, environment: Mapping[str, str] = os.environ, *, on_response: OnResponse | None = None) -> None:
        self.budget = BodyBudget()
        self._on_response = on_response
        self._proxies = EnvironmentProxies(environment)
        self._pools: dict[_Way, _Pool] = {}
        self._contexts = TlsContexts()
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close all connections."""
        for way, pool in [*self._pools.items()]:
            self._retire(way, pool)
        await asyncio.gather(*self._closing)

    async def prepare(self, connections: Iterable[ConnectionSettings]) -> None:
        """Make what the first request over each of `connections` needs, so that it takes no longer than later ones.

        What cannot be made within PREPARE_SECONDS, or at all, such as a TLS context of a broken file, is left to that
        request, which reports it.
        """
        contexts = [self._contexts.get(connection) for connection in set(connections)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PREPARE_SECONDS):
                await asyncio.gather(*contexts, _import_backend(), return_exceptions=True)

    def keep_only(self, servers: Collection[tuple[str, ConnectionSettings]]) -> None:
        """Close the connections to others than `servers` (each as in `_Way`), as soon as no request uses them."""
        kept = {replace(settings, proxy_url="") for _, settings in servers}
        kept |= {replace(settings, server_name="") for settings in kept}  # to a proxy, or for credentials
        self._contexts.keep_only(kept)
        for way, pool in [*self._pools.items()]:
            if (way.server, way.connection) not in servers:
                self._retire(way, pool)

    async def fetch(
        self,
        request: Request,
        *,
        max_bytes: int,
        seconds: float,
        direct: bool,
        connection: ConnectionSettings = ConnectionSettings(),  # noqa: B008 - frozen
    ) -> Response:
        """The response to a `request` for credentials of the account with `connection`; see `Fetch` and `send`."""
        # Its server_name is in the certificate of the service, not in that of who issues credentials.
        connection = ConnectionSettings() if direct else replace(connection, server_name="")
        with self.budget.body(max_bytes) as limit:
            return await self.send(
                request, connection, limit, seconds=seconds, direct=direct or is_loopback(request.host)
            )

    async def send(
        self,
        request: Request,
        connection: ConnectionSettings,
        limit: BodyLimit,
        *,
        seconds: float,
        direct: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Response:
        """The response to `request` within so many `seconds`; its decoded body is within `limit`.

        Redirects are not followed. `on_progress` sees the body of a 200 come in. `direct`: never through a proxy.

        Raises TransportError and, for a body that does not match its headers, MalformedResponse.
        """
        proxy = None if direct else self.proxy_for(request, connection)
        hop = Hop(request.host, proxy, tunnel=request.scheme == "https")
        way = _Way(f"{request.scheme}://{request.host}", connection, proxy)
        with contextlib.suppress(TimeoutError):  # not as the context of the error below: it refers to this task
            async with asyncio.timeout(seconds):  # a timeout for each read would let a slow response last for ever
                return await self._exchange(request, way, hop, limit, on_progress)
        raise TransportError(f"{hop} did not respond within {seconds:.3g} s", reason="timeout", transient=True)

    def proxy_for(self, request: Request, connection: ConnectionSettings) -> Proxy | None:
        """The proxy for `request`. Raises TransportError if the environment names one that cannot be used."""
        if connection.proxy_url:
            return Proxy(connection.proxy_url, "proxy_url")
        return None if is_loopback(request.host) else self._proxies.find(request.scheme, request.host)

    async def _exchange(
        self, request: Request, way: _Way, hop: Hop, limit: BodyLimit, on_progress: OnProgress | None
    ) -> Response:
        pool = await self._pool(way)
        pool.requests += 1
        try:
            return await _respond(pool.http, request, hop, limit, on_progress, self._on_response)
        except BaseException:
            # A connection may have died silently, and then so have the others to this host: no retry gets one of them.
            self._retire(way, pool)
            raise
        finally:
            pool.requests -= 1
            self._close_if_unused(pool)

    async def _pool(self, way: _Way) -> _Pool:
        """The pool for `way`: a new one if a file of its TLS settings has changed. Raises TransportError."""
        contexts = [await self._contexts.get(way.connection)]
        if way.proxy is not None and way.proxy.is_tls:
            contexts.append(await self._contexts.get(replace(way.connection, server_name="")))
        pool = self._pools.get(way)
        if pool is not None and pool.contexts == contexts:
            return pool
        if pool is not None:
            self._retire(way, pool)
        pool = self._pools[way] = _Pool(_connections(way.proxy, *contexts), contexts)
        return pool

    def _retire(self, way: _Way, pool: _Pool) -> None:
        """Use `pool` for no new request."""
        pool.retired = True
        if self._pools.get(way) is pool:
            del self._pools[way]
        self._close_if_unused(pool)

    def _close_if_unused(self, pool: _Pool) -> None:
        """Close a retired pool after its last request; in a task, as httpcore leaves connections open if cancelled."""
        if pool.retired and not pool.requests:
            closing = asyncio.create_task(pool.http.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _connections(
    proxy: Proxy | None, service: ssl.SSLContext, to_proxy: ssl.SSLContext | None = None
) -> httpx.AsyncHTTPTransport:
    """New connections through `proxy`. Raises TransportError if its URL cannot be used."""
    try:
        return httpx.AsyncHTTPTransport(
            verify=service,
            proxy=httpx.Proxy(proxy.url, ssl_context=to_proxy) if proxy else None,
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
        )
    except (httpx.InvalidURL, ValueError) as error:
        setting = proxy.setting if proxy else "endpoint"
        raise TransportError(f"{setting} is not a valid URL", reason="config") from error


async def _respond(
    http: httpx.AsyncHTTPTransport,
    request: Request,
    hop: Hop,
    limit: BodyLimit,
    on_progress: OnProgress | None,
    on_response: OnResponse | None,
) -> Response:
    """The whole response. Raises TransportError and MalformedResponse."""
    try:
        answer = await http.handle_async_request(
            httpx.Request(
                request.method,
                request.url,
                headers={**_HEADERS, **request.headers},
                content=request.body or None,
                extensions={"trace": hop},
            )
        )
    except BaseException as error:
        await hop.abandon()
        if not connection_errors.is_known(error, hop):
            raise
        raise connection_errors.mapped(error, hop) from error
    try:
        async with contextlib.aclosing(answer):
            headers = {name.lower(): value for name, value in answer.headers.items()}
            if answer.status_code == httpx.codes.OK:
                body = await bodies.read_body(headers, answer.aiter_raw(), limit, on_progress)
            else:
                body = await bodies.read_error_body(headers, answer.aiter_raw())
            response = Response(answer.status_code, headers, body)
            if on_response is not None:
                stream = answer.extensions["network_stream"]
                on_response(request, response, stream.get_extra_info("ssl_object"))
            return response
    except (httpx.HTTPError, httpx.StreamError, OSError) as error:
        raise connection_errors.mapped(error, hop) from error


async def _import_backend() -> None:
    """Make a request that fails: httpx imports what it runs on at its first request, which takes 30 ms."""
    async with httpx.AsyncHTTPTransport(verify=False) as http:
        with contextlib.suppress(httpx.HTTPError):
            await http.handle_async_request(httpx.Request("GET", "http://127.0.0.1:1/"))
