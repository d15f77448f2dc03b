"""HTTP out: one request, one whole answer within its size limit. The only place that knows httpx."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import zlib
from typing import TYPE_CHECKING, Final

import httpx

from exporter import __version__
from exporter.core.errors import MalformedResponse, TransportError
from exporter.core.http import ConnectionSettings, Request, Response, is_loopback

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from exporter.core.interfaces import Onlooker

MAX_IDLE_CONNECTIONS: Final = 100
"""Kept open between requests, for each way out (proxy and TLS settings).

Those in use are not bounded here: a target has one request under way, or a few, and none may wait for another's.
"""

KEEPALIVE_SECONDS: Final = 75.0
"""An idle connection is kept so long: past the usual scrape interval of 60 seconds."""

MAX_ERROR_BYTES: Final = 64 * 1024
"""Of the body of an answer other than 200; the rest is not read."""

_CLOSED: Final = re.compile("Server disconnected|peer (unexpectedly )?closed")
"""How the layers below begin to tell that an answer did not come to its end."""

_HEADERS: Final = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": f"batchops-exporter/{__version__}"}


class Transport:
    """Connections that live as long as the process, one pool for each way out. Use it as an async context manager."""

    def __init__(self) -> None:
        self._clients: dict[tuple[ConnectionSettings, bool], httpx.AsyncClient] = {}
        self._making: dict[tuple[ConnectionSettings, bool], asyncio.Lock] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def send(
        self,
        request: Request,
        connection: ConnectionSettings,
        *,
        max_bytes: int,
        direct: bool = False,
        onlooker: Onlooker | None = None,
    ) -> Response:
        """The answer to `request`, of at most `max_bytes` after decompression. Redirects are not followed.

        `onlooker` sees the body of a 200 come in. `direct`: past the proxies that the environment names, which a
        request to this machine never goes through.

        Raises TransportError and, for a body that is not what its headers say, MalformedResponse. The time is
        bounded by the caller (`asyncio.timeout_at`): a timeout per read would let a slow answer last for ever.
        """
        try:
            client = await self._client(connection, direct or is_loopback(request.host))
            content = request.body or None
            async with client.stream(
                request.method, request.url, headers=dict(request.headers), content=content
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                good = answer.status_code == httpx.codes.OK
                body = await (_read(answer, max_bytes, onlooker) if good else _read_error(answer))
                return Response(answer.status_code, headers, body)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _mapped(error, request.host) from error

    async def fetch(
        self, request: Request, *, max_bytes: int, seconds: float, direct: bool, proxy_url: str = ""
    ) -> Response:
        """The answer to a `request` for credentials, within so many `seconds`; see `Fetch` and `send`."""
        connection = ConnectionSettings() if direct else ConnectionSettings(proxy_url=proxy_url)
        try:
            async with asyncio.timeout(seconds):
                return await self.send(request, connection, max_bytes=max_bytes, direct=direct)
        except TimeoutError:
            raise TransportError(f"{request.host} did not answer within {seconds:g} s", reason="timeout") from None

    async def _client(self, connection: ConnectionSettings, direct: bool) -> httpx.AsyncClient:  # noqa: FBT001 - of the key
        key = (connection, direct)
        async with self._making.setdefault(key, asyncio.Lock()):
            if key not in self._clients:
                tls = await asyncio.to_thread(_tls, connection)  # reads files, and takes its time without any
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


def _tls(connection: ConnectionSettings) -> ssl.SSLContext:
    """Raises TransportError where the files cannot be read or hold no certificate."""
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
    if name:  # here, because httpx's own way to say it does not reach through a proxy
        wrap = context.wrap_bio
        context.wrap_bio = lambda *bios, **more: wrap(*bios, **more | {"server_hostname": name})  # type: ignore[method-assign]
    return context


async def _read(answer: httpx.Response, limit: int, onlooker: Onlooker | None = None, *, cut: bool = False) -> bytes:
    """The body, decoded, of at most `limit` bytes; a longer one is cut there or an error.

    It is decoded here and not by httpx, whose decoder would unpack a whole chunk of a bomb before anyone can count.
    """
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise MalformedResponse(f"the answer has the content encoding {encoding[:20]!r}, which was not asked for")
    gunzip = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    told = answer.headers.get("content-length", "")
    if not gunzip and not cut and told.isdecimal() and int(told) > limit:
        raise _too_large(limit)  # before any of it takes memory
    body = bytearray()
    async for chunk in answer.aiter_raw():
        try:
            body += gunzip.decompress(chunk, limit + 1 - len(body)) if gunzip else chunk
        except zlib.error as error:
            raise MalformedResponse("the answer's body is not the gzip that its header says") from error
        if gunzip and gunzip.unused_data:  # zlib would keep all that follows
            raise MalformedResponse("the answer goes on behind the end of its gzip body")
        if len(body) > limit:
            if cut:
                return bytes(body[:limit])
            body.clear()  # the error holds this frame for as long as it is kept
            raise _too_large(limit)
        if onlooker is not None and onlooker.see(body):
            onlooker = None
    if gunzip and body and not gunzip.eof:
        raise MalformedResponse("the answer's gzip body ends too early")
    return bytes(body)


def _too_large(limit: int) -> TransportError:
    return TransportError(f"the answer is longer than {limit} bytes", reason="too_large")


async def _read_error(answer: httpx.Response) -> bytes:
    """The begin of an error's body; empty where it cannot be decoded, as the status tells more than the body does."""
    try:
        return await _read(answer, MAX_ERROR_BYTES, cut=True)
    except MalformedResponse:
        return b""


def _mapped(error: Exception, host: str) -> TransportError:
    """What a failure below means to the person on call. Texts of lower layers may hold what was sent: left out."""
    cause = _tls_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message or "unknown reason"
        return TransportError(
            f"the TLS certificate of {host} is not trusted ({why}); check endpoint, tls.ca_file and tls.server_name",
            reason="tls",
        )
    if cause is not None:
        why = getattr(cause, "reason", None) or "handshake broken off"
        return TransportError(f"TLS with {host} failed: {why}", reason="tls", transient=True)
    if isinstance(error, httpx.TimeoutException):
        return TransportError(f"{host} did not answer in time", reason="timeout", transient=True)
    if isinstance(error, httpx.ProxyError):
        return TransportError(f"the proxy refused the way to {host}; check proxy_url", reason="connect", transient=True)
    if isinstance(error, httpx.ConnectError):
        return TransportError(f"no connection to {host}: {_errno(error)}", reason="connect", transient=True)
    if isinstance(error, httpx.RemoteProtocolError) and not _CLOSED.match(str(error)):
        return TransportError(f"{host} does not answer in HTTP; check endpoint", reason="connect", transient=True)
    ours = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
    if isinstance(error, (httpx.TransportError, OSError)) and not isinstance(error, ours):
        return TransportError(f"the connection to {host} broke off: {_errno(error)}", reason="connect", transient=True)
    return TransportError(f"no request can be made to {host}; check endpoint and proxy_url", reason="config")


def _tls_cause(error: BaseException) -> ssl.SSLError | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _errno(error: BaseException) -> str:
    """The system's words for what happened, found down the chain of causes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:  # asyncio's own is no word of the system, name servers' is
            return os.strerror(seen.errno) if seen.errno and seen.errno > 0 else seen.strerror
        seen = seen.__cause__ or seen.__context__
    return "closed by the other side"
