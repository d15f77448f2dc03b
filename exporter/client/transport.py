"""HTTP out: one request, one whole response within its size limit. The only module that knows httpx."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from typing import TYPE_CHECKING, Final

import httpx
from isal import igzip_lib, isal_zlib

from exporter import __version__
from exporter.client.body_budget import BodyBudget
from exporter.core.errors import MalformedResponse, TransportError
from exporter.core.http import ConnectionSettings, Request, Response, is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from typing import TypeAlias

    from exporter.client.body_budget import BodyLimit
    from exporter.core.interfaces import OnProgress

    OnResponse: TypeAlias = Callable[[Request, Response, ssl.SSLObject | None], None]
    """Called with each whole response, and with the TLS of its connection, if there is any."""

MAX_IDLE_CONNECTIONS: Final = 100
"""Kept open between requests, for each way out (proxy and TLS settings).

Those in use have no limit: a target has at most a few requests in flight, and none may wait for another target's.
"""

PREPARE_SECONDS: Final = 2.0
"""How long the start waits for TLS files, which may be on a mount that hangs."""

KEEPALIVE_SECONDS: Final = 75.0
"""How long an idle connection is kept: longer than the usual scrape interval of 60 seconds."""

MAX_ERROR_BYTES: Final = 64 * 1024
"""Of the body of a response other than 200; the rest is not read."""

_CLOSED: Final = re.compile("Server disconnected|peer (unexpectedly )?closed")
"""How httpx and h11 begin a message about a response that ended early."""

_HEADERS: Final = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": f"batchops-exporter/{__version__}"}


class Transport:
    """Connections that live as long as the process, one pool for each way out."""

    def __init__(self, on_response: OnResponse | None = None) -> None:
        self.budget = BodyBudget()
        self._on_response = on_response
        self._clients: dict[tuple[ConnectionSettings, bool], httpx.AsyncClient] = {}
        self._making: dict[tuple[ConnectionSettings, bool], asyncio.Lock] = {}

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def prepare(self, hosts: Iterable[tuple[str, ConnectionSettings]]) -> None:
        """Make what the first request to each of `hosts` needs, so that it takes no longer than later ones.

        What cannot be made within PREPARE_SECONDS, or at all, such as a TLS context of a broken file, is left to that
        request, which reports it.
        """
        clients = [self._client(connection, is_loopback(host)) for host, connection in hosts]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PREPARE_SECONDS):
                await asyncio.gather(*clients, _import_backend(), return_exceptions=True)

    async def send(
        self,
        request: Request,
        connection: ConnectionSettings,
        limit: BodyLimit,
        *,
        direct: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Response:
        """The response to `request`, whose decoded body is within `limit`. Redirects are not followed.

        `on_progress` sees the body of a 200 come in. `direct`: not through a proxy of the environment, which a request
        to this machine never uses.

        Raises TransportError and, for a body that does not match its headers, MalformedResponse. The caller limits the
        time (`asyncio.timeout_at`): a timeout for each read would let a slow response last for ever.
        """
        try:
            client = await self._client(connection, direct or is_loopback(request.host))
            content = request.body or None
            async with client.stream(
                request.method, request.url, headers=dict(request.headers), content=content
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                if answer.status_code == httpx.codes.OK:
                    body = await _read(answer, limit, on_progress)
                else:
                    body = await _read_error(answer)
                response = Response(answer.status_code, headers, body)
                if self._on_response is not None:
                    stream = answer.extensions["network_stream"]
                    self._on_response(request, response, stream.get_extra_info("ssl_object"))
                return response
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _mapped(error, request.host) from error

    async def fetch(
        self, request: Request, *, max_bytes: int, seconds: float, direct: bool, proxy_url: str = ""
    ) -> Response:
        """The response to a `request` for credentials, within so many `seconds`; see `Fetch` and `send`."""
        connection = ConnectionSettings() if direct else ConnectionSettings(proxy_url=proxy_url)
        try:
            with self.budget.body(max_bytes) as limit:
                async with asyncio.timeout(seconds):
                    return await self.send(request, connection, limit, direct=direct)
        except TimeoutError:
            raise TransportError(f"{request.host} did not respond within {seconds:g} s", reason="timeout") from None

    async def _client(self, connection: ConnectionSettings, direct: bool) -> httpx.AsyncClient:  # noqa: FBT001 - of the key
        key = (connection, direct)
        async with self._making.setdefault(key, asyncio.Lock()):
            if key not in self._clients:
                tls = await asyncio.to_thread(_tls, connection)  # reads files, and takes 30 ms even without any
                self._clients[key] = httpx.AsyncClient(
                    headers=_HEADERS,
                    verify=tls,
                    proxy=connection.proxy_url or None,
                    trust_env=not direct and not connection.proxy_url,  # HTTPS_PROXY and NO_PROXY
                    timeout=None,  # noqa: S113 - see send()
                    limits=httpx.Limits(
                        max_connections=None,
                        max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                        keepalive_expiry=KEEPALIVE_SECONDS,
                    ),
                )
        return self._clients[key]


async def _import_backend() -> None:
    """Make a request that fails: httpx imports what it runs on at its first request, which takes 30 ms."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:  # noqa: S501 - nothing is sent
        with contextlib.suppress(httpx.HTTPError):
            await client.get("http://127.0.0.1:1/", timeout=PREPARE_SECONDS)


def _tls(connection: ConnectionSettings) -> ssl.SSLContext:
    """The TLS settings of a connection. Raises TransportError if a file cannot be read or has no certificate."""
    ca_file, name = connection.ca_file, connection.server_name
    files = f"tls.ca_file {ca_file}"
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
        if connection.cert_file:
            files = f"tls.cert_file {connection.cert_file} and tls.key_file {connection.key_file}"
            context.load_cert_chain(connection.cert_file, connection.key_file or None)
    except OSError as error:
        why = "no valid certificate and key" if isinstance(error, ssl.SSLError) else error.strerror
        raise TransportError(f"{files} cannot be used: {why}", reason="config") from error
    if connection.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if name:  # here, because httpx's own setting has no effect through a proxy
        wrap = context.wrap_bio
        context.wrap_bio = lambda *bios, **more: wrap(*bios, **more | {"server_hostname": name})  # type: ignore[method-assign]
    return context


async def _read(answer: httpx.Response, limit: BodyLimit, on_progress: OnProgress | None) -> bytes:
    """The decoded body. Raises TransportError if it exceeds `limit`."""
    length = answer.headers.get("content-length", "")
    encoded = answer.headers.get("content-encoding", "identity") != "identity"
    if length.isdecimal() and not encoded and int(length) > limit.max_bytes:
        limit.grow(int(length))  # raises before any of it takes memory
    body = bytearray()
    async for piece in _decoded(answer, limit.max_bytes + 1):
        limit.grow(len(body) + len(piece))
        body += piece
        if on_progress is not None and on_progress(body):
            on_progress = None
    return bytes(body)


async def _read_error(answer: httpx.Response) -> bytes:
    """The start of an error's body; empty if it cannot be decoded, as the status says more than the body does."""
    body = bytearray()
    try:
        async with contextlib.aclosing(_decoded(answer, MAX_ERROR_BYTES)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) >= MAX_ERROR_BYTES:
                    break
    except MalformedResponse:
        return b""
    return bytes(body[:MAX_ERROR_BYTES])


async def _decoded(answer: httpx.Response, max_bytes: int) -> AsyncGenerator[bytes]:
    """The body in pieces, decoded, of at most `max_bytes` each. Raises MalformedResponse.

    It is decoded here and not by httpx, whose decoder would unpack a whole chunk of a bomb before its size is known.
    """
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise MalformedResponse(f"the response has the content encoding {encoding[:20]!r}, which was not requested")
    gunzip = isal_zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    started = False
    async for chunk in answer.aiter_raw():
        if gunzip is None:
            yield chunk
            continue
        try:
            piece = gunzip.decompress(chunk, max_bytes)
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # isal's stub declares it as an instance
            raise MalformedResponse("the response's body is not gzip, as its header says") from error
        if gunzip.unused_data:  # the decompressor would keep all that follows
            raise MalformedResponse("the response continues after the end of its gzip body")
        started = True
        yield piece
    if gunzip is not None and started and not gunzip.eof:
        raise MalformedResponse("the response's gzip body ends too early")


def _mapped(error: Exception, host: str) -> TransportError:
    """The error for the person on call, without texts of lower layers, which may contain what was sent."""
    cause = _tls_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message or "unknown reason"
        return TransportError(
            f"the TLS certificate of {host} is not trusted ({why}); check endpoint, tls.ca_file and tls.server_name",
            reason="tls",
        )
    if cause is not None:
        why = getattr(cause, "reason", None) or "the handshake was interrupted"
        return TransportError(f"TLS with {host} failed: {why}", reason="tls", transient=True)
    if isinstance(error, httpx.TimeoutException):
        return TransportError(f"{host} did not respond in time", reason="timeout", transient=True)
    if isinstance(error, httpx.ProxyError):
        return TransportError(
            f"the proxy refused to connect to {host}; check proxy_url", reason="connect", transient=True
        )
    if isinstance(error, httpx.ConnectError):
        return TransportError(f"no connection to {host}: {_errno(error)}", reason="connect", transient=True)
    if isinstance(error, httpx.RemoteProtocolError) and not _CLOSED.match(str(error)):
        return TransportError(f"{host} sent an invalid HTTP response; check endpoint", reason="connect", transient=True)
    ours = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
    if isinstance(error, (httpx.TransportError, OSError)) and not isinstance(error, ours):
        return TransportError(
            f"the connection to {host} ended early: {_errno(error)}", reason="connect", transient=True
        )
    return TransportError(f"no request can be made to {host}; check endpoint and proxy_url", reason="config")


def _tls_cause(error: BaseException) -> ssl.SSLError | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _errno(error: BaseException) -> str:
    """The system's message, from the chain of causes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:  # asyncio's own is no message of the system
            return os.strerror(seen.errno) if seen.errno and seen.errno > 0 else seen.strerror
        seen = seen.__cause__ or seen.__context__
    return "the other side closed it"
