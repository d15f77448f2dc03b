"""The proxy of a request: `proxy_url` of its account, or the variables of the environment, by the rules of curl.

Source of the rules: https://everything.curl.dev/usingproxies/env.html
"""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.core.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKS_SCHEMES: Final = ("socks5", "socks5h")
"""With both of them the proxy looks up the host's name."""

_VARIABLES: Final = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
"""By the scheme of the request, in the order in which they are read.

HTTP_PROXY is not one of them: in a CGI program a client sets it, with a header `Proxy` (https://httpoxy.org).
"""

_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_PORTS: Final = {"http": 80, "https": 443}
_ENTRY: Final = re.compile(r"(?:\[(?P<inner>[^\]]+)\]|(?P<bare>[^:\[\]]+))(?P<bits>/[0-9]+)?(?::(?P<port>[0-9]{1,5}))?")
_NAME: Final = re.compile(r"[a-z0-9_.-]+")

log = logging.getLogger(__name__)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. `setting` names it for messages: `proxy_url`, or a variable of the environment."""

    url: str = field(repr=False)
    setting: str

    def __str__(self) -> str:
        return f"the proxy {urlsplit(self.url).netloc.rpartition('@')[2]}"  # without user and password

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS."""
        return urlsplit(self.url).scheme in SOCKS_SCHEMES

    @property
    def is_tls(self) -> bool:
        """Whether the connection to it is encrypted."""
        return urlsplit(self.url).scheme == "https"


def url_problem(url: str) -> str:
    """Why `url` cannot be used as the URL of a proxy, without repeating it, because it may contain a password.

    An empty string if it can.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https", *SOCKS_SCHEMES) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    else:
        usable = usable and parts.path in ("", "/") and not parts.query and not parts.fragment
    if not usable or not re.fullmatch(r"[!-~]+", url):
        return "must be http://, https:// or socks5:// with a host, such as http://proxy.example:3128"
    if parts.scheme in SOCKS_SCHEMES and importlib.util.find_spec("socksio") is None:
        return "is a SOCKS proxy, which requires an extra: pip install 'batchops-exporter[socks]'"
    return ""


class EnvironmentProxies:
    """The proxies that the variables of `environment` name. They are read once: a process keeps its environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._proxies = {scheme: _first(environment, names) for scheme, names in _VARIABLES.items()}
        self._exceptions: list[_Exception] = []
        exceptions = _first(environment, _EXCEPTIONS)
        if exceptions is None or not any(self._proxies.values()):
            return
        for number, text in enumerate(filter(None, re.split(r"[\s,]+", exceptions.url)), 1):
            entry = _exception(text)
            if entry is None:
                message = "%s in the environment: entry %d is no host name, address or network, and is ignored"
                log.warning(message, exceptions.setting, number)
            else:
                self._exceptions.append(entry)

    def find(self, scheme: str, host: str) -> Proxy | None:
        """The proxy for requests to `host`, with or without a port; None: they are sent directly.

        Raises TransportError if the variable cannot be used.
        """
        proxy = self._proxies[scheme]
        if proxy is None:
            return None
        parts = urlsplit(f"//{host}")
        name, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS[scheme]
        if any(entry.matches(name, port) for entry in self._exceptions):
            return None
        if problem := url_problem(proxy.url):
            raise TransportError(f"{proxy.setting} in the environment {problem}", reason="config")
        return proxy


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> Proxy | None:
    """The first of the variables that is set and not empty. A proxy without a scheme speaks HTTP."""
    for name in names:
        if value := environment.get(name, "").strip():
            return Proxy(value if "://" in value or name in _EXCEPTIONS else f"http://{value}", name)
    return None


@dataclass(frozen=True, slots=True)
class _Exception:
    """An entry of NO_PROXY: a network, or a name with all names below it; an empty name is every host."""

    name: str = ""
    network: _Network | None = None
    port: int | None = None
    """None: every port."""

    def matches(self, host: str, port: int) -> bool:
        """Whether requests to `host` (lower case, no brackets, no dot at its end) are sent directly."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            address = _address(host)
            return address is not None and address in self.network
        return not self.name or host == self.name or host.endswith(f".{self.name}")


def _exception(text: str) -> _Exception | None:
    """The entry `text` of NO_PROXY; None if it cannot be read."""
    if text == "*":
        return _Exception()
    if network := _network(text):  # also an IPv6 address without brackets
        return _Exception(network=network)
    match = _ENTRY.fullmatch(text)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if network := _network((match["inner"] or match["bare"]) + (match["bits"] or "")):
        return _Exception(network=network, port=port)
    name = (match["bare"] or "").lower().removeprefix("*").strip(".")
    return _Exception(name, port=port) if _NAME.fullmatch(name) and not match["bits"] else None


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
