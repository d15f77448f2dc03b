"""The sockets on which the server listens."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from exporter.core.errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

BACKLOG: Final = 128
"""Connections that the system keeps while they wait to be accepted."""

FIRST_PASSED_FILE: Final = 3
"""The first file descriptor that systemd passes. Source: sd_listen_fds(3)."""

_TCP: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")
_UNIX: Final = "unix:"
_LARGEST_PORT: Final = 65535


class AddressError(ExporterError):
    """A listen address is invalid, or cannot be bound."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Host and port; an empty host means every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


Address: TypeAlias = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """The address in `host:port`, `:port`, `[address]:port` or `unix:/path`. Raises AddressError."""
    path = text.removeprefix(_UNIX)
    if text.startswith(f"{_UNIX}/") and "\0" not in path:
        return UnixAddress(Path(path))
    match = _TCP.fullmatch(text)
    if not match or int(match["port"]) > _LARGEST_PORT:
        raise AddressError(
            f"{text!r} is not a listen address; write host:port, :port or unix:/path, as in 127.0.0.1:10083"
        )
    return TcpAddress(match["host"].strip("[]"), int(match["port"]))


@contextlib.contextmanager
def listening(addresses: Sequence[Address]) -> Iterator[list[socket.socket]]:
    """Sockets on all `addresses`, which are closed at the end. Raises AddressError, and then leaves none open."""
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        for address in addresses:
            sockets += [opened.enter_context(bound) for bound in _bind(address)]
            if isinstance(address, UnixAddress):
                opened.callback(address.path.unlink, missing_ok=True)
        yield sockets


def _bind(address: Address) -> list[socket.socket]:
    """Listening sockets on `address`. Raises AddressError, and then leaves none open."""
    try:
        return _bind_unix(address.path) if isinstance(address, UnixAddress) else _bind_tcp(address.host, address.port)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while ")[0]  # socket adds the address, in its own form
        if error.errno == errno.EADDRINUSE:
            why += "; is another exporter running? Choose a free one with --web.listen-address"
        raise AddressError(f"cannot listen on {address}: {why}") from error


def _bind_tcp(host: str, port: int) -> list[socket.socket]:
    if not host and socket.has_dualstack_ipv6():
        return [socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)]
    found = []
    with contextlib.ExitStack() as opened:
        infos = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in infos:
            bound = socket.create_server(address[:2], family=family, backlog=BACKLOG)
            found.append(opened.enter_context(bound))
        opened.pop_all()
    return found


def _bind_unix(path: Path) -> list[socket.socket]:
    _remove_unused(path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return [bound]


def _remove_unused(path: Path) -> None:
    """Remove the socket at `path` if no process listens on it: one that was killed has left it."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
        with socket.socket(socket.AF_UNIX) as trial:
            if trial.connect_ex(str(path)) == errno.ECONNREFUSED:
                path.unlink()


@contextlib.contextmanager
def passed_by_systemd(environment: MutableMapping[str, str]) -> Iterator[list[socket.socket]]:
    """The sockets that systemd has opened for this process, by LISTEN_PID and LISTEN_FDS in `environment`.

    Both are removed from it. Raises AddressError if there are none.
    """
    process, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    if process != str(os.getpid()) or not (count.isascii() and count.isdecimal() and int(count) > 0):
        raise AddressError(
            "--web.systemd-socket: systemd has passed no socket to this process; start it by a unit of type .socket"
        )
    with contextlib.ExitStack() as opened:
        sockets = []
        for number in range(FIRST_PASSED_FILE, FIRST_PASSED_FILE + int(count)):
            try:
                sockets.append(opened.enter_context(socket.socket(fileno=number)))
            except OSError as error:
                raise AddressError(f"--web.systemd-socket: file {number} is no socket: {error.strerror}") from error
        yield sockets


def url(bound: socket.socket, scheme: str = "http") -> str:
    """Where `bound` can be reached: a URL without a path, or `unix:/path`."""
    name = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"{_UNIX}{name}"
    return f"{scheme}://{TcpAddress(*name[:2])}"
