"""TLS: whom a connection trusts and who it is, read from files that may be replaced while the process runs."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import certifi

from exporter.core.errors import TransportError

if TYPE_CHECKING:
    from exporter.core.http import ConnectionSettings

FileStates = tuple[tuple[str, int, int, int], ...]
"""Of each file: its path without links, inode, size in bytes, and time of change in nanoseconds."""

_TRUST_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""OpenSSL reads them in place of its own paths: https://docs.openssl.org/master/man7/openssl-env/"""


log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Made:
    """A context made from files in these states."""

    context: ssl.SSLContext
    states: FileStates
    problem: str = ""
    """Why it could not be made again from the present files; empty if it was."""


class TlsContexts:
    """The TLS contexts of all connections, made again when their files change."""

    def __init__(self) -> None:
        self._made: dict[ConnectionSettings, _Made] = {}
        self._locks: dict[ConnectionSettings, asyncio.Lock] = {}

    async def get(self, settings: ConnectionSettings) -> ssl.SSLContext:
        """The context of `settings`, from the present content of their files.

        If it cannot be made again, because a file is half written, the last one is returned, and the next call tries
        again. Raises TransportError if there is none.
        """
        settings = replace(settings, proxy_url="")
        async with self._locks.setdefault(settings, asyncio.Lock()):
            last = self._made.get(settings)
            if last is not None and not (settings.ca_file or settings.cert_file):
                return last.context
            states = await asyncio.to_thread(_file_states, settings)  # before the files are read
            if last is not None and last.states == states:
                return last.context
            try:
                context = await asyncio.to_thread(make_context, settings)
            except TransportError as error:
                if last is None:
                    raise
                if last.problem != error.message:
                    last.problem = error.message
                    log.warning("%s; the last valid files are used until they can be", error)
                return last.context
            self._made[settings] = _Made(context, states)
            return context


def _file_states(settings: ConnectionSettings) -> FileStates:
    """The states of the files that `settings` names: they differ if a file was written or replaced."""
    files = (settings.ca_file, settings.cert_file, settings.key_file)
    return tuple(_state(file) for file in files if file)


def _state(file: str) -> tuple[str, int, int, int]:
    try:
        path = Path(file).resolve()
        found = path.stat()
    except (OSError, RuntimeError):  # a circle of links
        return file, 0, 0, 0
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns


def make_context(settings: ConnectionSettings) -> ssl.SSLContext:
    """The TLS context of `settings`. It reads files, and takes 30 ms even without any.

    Raises TransportError if a file cannot be read or has no certificate.
    """
    context = _trusting(settings.ca_file)
    if settings.cert_file:
        files = f"tls.cert_file {settings.cert_file} and tls.key_file {settings.key_file}"
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
        except OSError as error:
            raise _unusable(files, error, "no valid certificate and key") from error
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if name := settings.server_name:  # here, because the setting of httpx has no effect through a proxy
        wrap = context.wrap_bio
        context.wrap_bio = lambda *bios, **more: wrap(*bios, **more | {"server_hostname": name})  # type: ignore[method-assign]
    return context


def _trusting(ca_file: str) -> ssl.SSLContext:
    """A context that trusts the authorities in `ca_file`; those of the system if it is empty."""
    named = [name for name in _TRUST_VARIABLES if not ca_file and os.environ.get(name)]
    for name in named:
        _check_variable(name, os.environ[name])
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        if not ca_file and not named and not _system_has_authorities():
            context.load_verify_locations(certifi.where())
    except OSError as error:
        raise _unusable(f"tls.ca_file {ca_file}" if ca_file else "the system's trust store", error) from error
    return context


def _check_variable(name: str, value: str) -> None:
    """Raises TransportError if the variable `name` names nothing that can be used, which OpenSSL would ignore."""
    try:
        if name == "SSL_CERT_FILE":
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
        elif not any(Path(folder).is_dir() for folder in value.split(os.pathsep)):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise _unusable(f"{name} in the environment is {value}, which", error) from error


def _system_has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    return has_files(paths.cafile, paths.capath)


def has_files(file: str | None, folder: str | None) -> bool:
    """Whether there is a `file`, or one in `folder`. None: the system has none."""
    return bool(file or (folder and any(Path(folder).iterdir())))


def _unusable(files: str, error: OSError, invalid: str = "no valid certificate") -> TransportError:
    why = invalid if isinstance(error, ssl.SSLError) else error.strerror
    return TransportError(f"{files} cannot be used: {why}", reason="config")
