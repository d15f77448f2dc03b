"""HTTP out: one request, one whole answer within its size limit. The only place that knows httpx."""

from __future__ import annotations

import ssl
import zlib
from typing import TYPE_CHECKING, Final

import httpx

from exporter import __version__
from exporter.endpoint import is_loopback
from exporter.errors import MalformedResponse, TransportError
from exporter.jobapi import ConnectionSettings, Request, Response

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

MAX_CONNECTIONS: Final = 100
"""Connections open at once, for each way out (proxy and TLS settings)."""

KEEPALIVE_SECONDS: Final = 75.0
"""An idle connection is kept so long: past the usual scrape interval of 60 seconds."""

MAX_ERROR_BYTES: Final = 64 * 1024
"""Of the body of an answer other than 200; the rest is not read."""

_HEADERS: Final = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": f"batchops-exporter/{__version__}"}


class Transport:
    """Connections that live as long as the process, one pool for each way out. Use it as an async context manager."""

    def __init__(self) -> None:
        self._clients: dict[tuple[ConnectionSettings, bool], httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def send(self, request: Request, connection: ConnectionSettings, *, max_bytes: int) -> Response:
        """The answer to `request`, of at most `max_bytes` after decompression. Redirects are not followed.

        Raises TransportError and, for a body that is not what its headers say, MalformedResponse. The time is
        bounded by the caller (`asyncio.timeout_at`): a timeout per read would let a slow answer last for ever.
        """
        try:
            client = self._client(connection, is_loopback(request.host))
            extensions = {"sni_hostname": connection.server_name} if connection.server_name else {}
            async with client.stream(
                request.method, request.url, headers=dict(request.headers), extensions=extensions
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                if answer.status_code == httpx.codes.OK:
                    body = await _read(answer, max_bytes)
                else:
                    body = await _read(answer, MAX_ERROR_BYTES, cut=True)
                return Response(answer.status_code, headers, body)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _mapped(error, request.host) from error

    def _client(self, connection: ConnectionSettings, loopback: bool) -> httpx.AsyncClient:  # noqa: FBT001 - part of the key
        key = (connection, loopback)
        if key not in self._clients:
            self._clients[key] = httpx.AsyncClient(
                headers=_HEADERS,
                verify=_tls(connection),
                proxy=connection.proxy_url or None,
                trust_env=not loopback and not connection.proxy_url,  # HTTPS_PROXY and NO_PROXY
                timeout=None,  # noqa: S113 - see send()
                limits=httpx.Limits(
                    max_connections=MAX_CONNECTIONS,
                    max_keepalive_connections=MAX_CONNECTIONS,
                    keepalive_expiry=KEEPALIVE_SECONDS,
                ),
            )
        return self._clients[key]


def _tls(connection: ConnectionSettings) -> ssl.SSLContext:
    context = (
        ssl.create_default_context(cafile=connection.ca_file) if connection.ca_file else httpx.create_ssl_context()
    )
    if connection.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connection.cert_file:
        context.load_cert_chain(connection.cert_file, connection.key_file or None)
    return context


async def _read(answer: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    """The body, decoded, of at most `limit` bytes; a longer one is cut there or an error.

    It is decoded here and not by httpx, whose decoder would unpack a whole chunk of a bomb before anyone can count.
    """
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise MalformedResponse(f"the answer has the content encoding {encoding[:20]!r}, which was not asked for")
    gunzip = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in answer.aiter_raw():
        try:
            body += gunzip.decompress(chunk, limit + 1 - len(body)) if gunzip else chunk
        except zlib.error as error:
            raise MalformedResponse("the answer's body is not the gzip that its header says") from error
        if len(body) > limit:
            if cut:
                return bytes(body[:limit])
            raise TransportError(f"the answer is longer than {limit} bytes", reason="too_large")
    if gunzip and body and not gunzip.eof:
        raise MalformedResponse("the answer's gzip body ends too early")
    return bytes(body)


def _mapped(error: Exception, host: str) -> TransportError:
    """What a failure below means to the person on call. Texts of lower layers that could hold a URL are left out."""
    cause = _tls_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message or "unknown reason"
        return TransportError(
            f"the TLS certificate of {host} is not trusted ({why}); check endpoint, tls.ca_file and tls.server_name",
            reason="tls",
        )
    if cause is not None:
        return TransportError(
            f"TLS with {host} failed: {cause.reason or 'handshake broken off'}", reason="tls", transient=True
        )
    if isinstance(error, httpx.TimeoutException):
        return TransportError(f"{host} did not answer in time", reason="timeout", transient=True)
    if isinstance(error, httpx.ProxyError):
        return TransportError(f"the proxy refused the way to {host}; check proxy_url", reason="connect", transient=True)
    if isinstance(error, httpx.ConnectError):
        return TransportError(f"no connection to {host}: {_errno(error)}", reason="connect", transient=True)
    if isinstance(error, httpx.TransportError):
        return TransportError(f"the connection to {host} broke off: {_errno(error)}", reason="connect", transient=True)
    if isinstance(error, OSError):
        return TransportError(
            f"the TLS files cannot be read: {error.strerror or 'no valid certificate'}", reason="config"
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
    """The system's words for what happened, found down the chain of causes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return str(error) or "closed by the other side"
