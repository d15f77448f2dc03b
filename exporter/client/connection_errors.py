"""Failed connections: which server failed, the proxy or the service, and a message for the person on call.

The messages contain no text of lower layers, which may contain what was sent.
"""

from __future__ import annotations

import os
import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx

from exporter.core.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpcore

    from exporter.client.proxies import Proxy

_TO_PROXY: Final = ("connection.connect_tcp.started", "socks.connect_tcp.started")
_THROUGH_PROXY: Final = ("proxy.start_tls.started", "socks.setup_socks5_connection.complete")
_OPENED: Final = ("connection.connect_tcp.complete", "socks.connect_tcp.complete")
"""Events of httpcore: https://www.encode.io/httpcore/extensions/#trace"""

_CLOSED: Final = re.compile("Server disconnected|peer (unexpectedly )?closed")
"""How httpx and h11 begin a message about a response that ended early."""

_TRANSIENT: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

_SOCKS_REFUSAL: Final = re.compile(r"Proxy Server could not connect: ([A-Za-z ]+)\.")
"""How httpcore reports the reply of a SOCKS proxy, in the words of RFC 1928, section 6."""


class Hop:
    """The server that a request has reached: the proxy, or the service at `host`. It is httpcore's trace function."""

    def __init__(self, host: str, proxy: Proxy | None, *, tunnel: bool) -> None:
        self.host = host
        self.proxy = proxy
        self._at_proxy = proxy is not None and not tunnel  # until the end: it forwards plain HTTP
        self._opened: httpcore.AsyncNetworkStream | None = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow a request from one event to the next."""
        if event in _TO_PROXY:
            self._at_proxy = self.proxy is not None
        elif event in _THROUGH_PROXY:
            self._at_proxy = False
        elif event in _OPENED:
            self._opened = info["return_value"]

    async def abandon(self) -> None:
        """Close the connection that the request opened: httpcore leaves it open if a handshake on it fails."""
        if self._opened is not None:
            await self._opened.aclose()

    @property
    def failed_proxy(self) -> Proxy | None:
        """The proxy, if the request has not come further."""
        return self.proxy if self._at_proxy else None

    def __str__(self) -> str:
        return str(self.failed_proxy or self.host)


def is_known(error: BaseException, hop: Hop) -> bool:
    """Whether `error` is about the connection; otherwise it is a bug, or no error."""
    proxy = hop.failed_proxy
    if (
        proxy is not None and proxy.is_socks and isinstance(error, Exception)
    ):  # socksio has errors of its own, and httpcore asserts what it sends
        return True
    return isinstance(error, (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError))


def mapped(error: BaseException, hop: Hop) -> TransportError:
    """The error for the person on call, for one that is known."""
    proxy = hop.failed_proxy
    ours = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
    if cause := next((link for link in _chain(error) if isinstance(link, ssl.SSLError)), None):
        return _tls(cause, hop)
    if isinstance(error, httpx.ProxyError) and hop.proxy is not None:
        return _refused_by(hop.proxy, str(error), hop.host)
    if isinstance(error, httpx.TimeoutException):
        return _connect(f"{hop} did not respond in time", reason="timeout")
    if isinstance(error, httpx.ConnectError):
        return _connect(
            f"no connection to {hop}: {_system_message(error)}{f'; check {proxy.setting}' if proxy else ''}"
        )
    if isinstance(error, httpx.RemoteProtocolError) and not _CLOSED.match(str(error)):
        return _connect(f"{hop} sent an invalid HTTP response; check {proxy.setting if proxy else 'endpoint'}")
    if isinstance(error, (httpx.TransportError, OSError)) and not isinstance(error, ours):
        return _connect(f"the connection to {hop} ended early: {_system_message(error)}")
    if isinstance(error, (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, ValueError)):
        return TransportError(f"no request can be made to {hop}; check endpoint and proxy_url", reason="config")
    return _connect(f"{hop} sent an invalid SOCKS reply; check {proxy.setting if proxy else 'proxy_url'}")


def _connect(message: str, *, reason: Literal["connect", "timeout"] = "connect") -> TransportError:
    return TransportError(message, reason=reason, transient=True)


def _tls(cause: ssl.SSLError, hop: Hop) -> TransportError:
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message or "unknown reason"
        proxy = hop.failed_proxy
        check = f"tls.ca_file and {proxy.setting}" if proxy else "endpoint, tls.ca_file and tls.server_name"
        return TransportError(f"the TLS certificate of {hop} is not trusted ({why}); check {check}", reason="tls")
    why = getattr(cause, "reason", None) or "the handshake was interrupted"
    return TransportError(f"TLS with {hop} failed: {why}", reason="tls", transient=True)


def _refused_by(proxy: Proxy, text: str, host: str) -> TransportError:
    """The error for a proxy that opens no way to `host`; `text` is the status and its reason, or SOCKS's reply."""
    found = re.match(r"[1-5][0-9]{2}\b", text)
    if found is None:
        return _refused_by_socks(proxy, text, host)
    status = int(found[0])
    fact = f"{proxy} returned {status} to CONNECT {host}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        advice = f"it requires credentials; check the user and password in {proxy.setting}"
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        advice = "it cannot reach the host; check endpoint, and the name server and network of the proxy"
    else:
        advice = f"it does not allow the host; check the rules of the proxy, {proxy.setting} and NO_PROXY"
    transient = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRANSIENT
    return TransportError(f"{fact}: {advice}", reason="connect", transient=transient)


def _refused_by_socks(proxy: Proxy, text: str, host: str) -> TransportError:
    reply = _SOCKS_REFUSAL.fullmatch(text)
    if reply is None:
        message = f"{proxy} does not accept the credentials; check the user and password in {proxy.setting}"
        return TransportError(message, reason="connect")
    message = (
        f"{proxy} has no connection to {host} ({reply[1]}); check endpoint, and the rules and network of the proxy"
    )
    return TransportError(message, reason="connect", transient="ruleset" not in reply[1])


def _system_message(error: BaseException) -> str:
    """The system's message, from the chain of causes."""
    for link in _chain(error):
        if isinstance(link, OSError) and link.strerror:  # asyncio's own is no message of the system
            return os.strerror(link.errno) if link.errno and link.errno > 0 else link.strerror
    return "the other side closed it"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and its causes."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
