"""Values of HTTP: a request, a response, and how a host is reached."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: the bytes that are signed are the bytes that are sent."""

    operation: str
    """The API's name of the call, as in the label `operation`."""
    scheme: str
    host: str
    """As in the header Host: with the port unless it is the scheme's default."""
    path: str
    query: str = ""
    """Already percent-encoded."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def url(self) -> str:
        """The request's URL, as it is sent."""
        return f"{self.scheme}://{self.host}{self.path}{'?' + self.query if self.query else ''}"


@dataclass(frozen=True, slots=True)
class Response:
    """One whole response. `headers` have lower-case names; `body` is decoded (no gzip) and within its size limit."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How a target's host is reached. Empty strings: not set."""

    proxy_url: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False


def is_loopback(host: str) -> bool:
    """Whether `host`, with or without a port, can only be this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


_PROXY_HEADERS: Final = ("proxy-authenticate", "proxy-status", "via", "x-squid-error")
"""RFC 9110, 7.6.3 and 11.7.1; RFC 9209; squid."""


def who_answered(response: Response) -> str:
    """Who sent `response`, which has no sign of the requested service, and what to check."""
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "a proxy requires credentials; check the user and password in proxy_url or HTTPS_PROXY"
    if any(name in response.headers for name in _PROXY_HEADERS):
        return "a proxy answered, not the service; check the rules of the proxy, proxy_url and NO_PROXY"
    return "something other than the service answered; check endpoint, and whether a firewall or a proxy intervenes"
