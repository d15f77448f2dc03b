"""TLS: the authorities that a connection trusts, and its own certificate. Their files may be replaced meanwhile."""

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

from exporter.client.file_states import file_states
from exporter.core.errors import TransportError
from exporter.core.files import Readings, require_regular

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from exporter.client.file_states import FileStates
    from exporter.core.http import ConnectionSettings

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
        self._readings = Readings()

    def keep_only(self, kept: AbstractSet[ConnectionSettings]) -> None:
        """Forget the contexts of all settings but `kept`."""
        for settings in self._made.keys() - kept:
            del self._made[settings]
        for settings in self._locks.keys() - kept:
            if not self._locks[settings].locked():
                del self._locks[settings]

    async def get(self, settings: ConnectionSettings) -> ssl.SSLContext:
        """The context of `settings`, from the present content of their files.

        If it cannot be made again, because a file is half written, the last one is returned, and the next call tries
        again. Raises TransportError if there is none.
        """
        settings = replace(settings, proxy_url="")
        async with self._locks.setdefault(settings, asyncio.Lock()):
            last = self._made.get(settings)
            files = _named_files(settings)
            if last is not None and not files:
                return last.context
            states = await self._readings.run(("states", *files), file_states, files)
            if last is not None and last.states == states:
                return last.context
            try:
                made = await self._readings.run(settings, _make, settings, files)
            except TransportError as error:
                if last is None:
                    raise
                if last.problem != error.message:
                    last.problem = error.message
                    log.warning("%s; the last valid files are used until they can be", error)
                return last.context
            self._made[settings] = made
            return made.context


def _named_files(settings: ConnectionSettings) -> list[str]:
    """The files that `settings` names."""
    return [file for file in (settings.ca_file, settings.cert_file, settings.key_file) if file]


def _make(settings: ConnectionSettings, files: list[str]) -> _Made:
    states = file_states(files)  # before they are read
    return _Made(make_context(settings), states)


def make_context(settings: ConnectionSettings) -> ssl.SSLContext:
    """The TLS context of `settings`. It reads files, and takes 30 ms even without any.

    Raises TransportError if a file cannot be read or has no certificate.
    """
    context = _trusting(settings.ca_file, _Context if settings.server_name else ssl.SSLContext)
    if settings.cert_file:
        files = f"tls.cert_file {settings.cert_file} and tls.key_file {settings.key_file}"
        try:
            require_regular(Path(settings.cert_file))
            require_regular(Path(settings.key_file))
            # Never ask for the password of an encrypted key on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except OSError as error:
            raise _unusable(files, error, "no valid certificate and key") from error
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if isinstance(context, _Context):
        context.server_name = settings.server_name
    return context


class _Context(ssl.SSLContext):
    """Expects the certificate of `server_name`; the setting of httpx has no effect through a proxy."""

    server_name: str

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - its base's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """A connection with these settings."""
        del server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def _trusting(ca_file: str, kind: type[ssl.SSLContext]) -> ssl.SSLContext:
    """A context that trusts the authorities in `ca_file`; those of the system if it is empty."""
    named = [name for name in _TRUST_VARIABLES if not ca_file and os.environ.get(name)]
    for name in named:
        _check_variable(name, os.environ[name])
    try:
        context = kind(ssl.PROTOCOL_TLS_CLIENT)
        if ca_file:
            require_regular(Path(ca_file))
            context.load_verify_locations(ca_file)
        else:
            context.load_default_certs()
        if not ca_file and not named and not _system_has_authorities():
            context.load_verify_locations(certifi.where())
    except OSError as error:
        raise _unusable(f"tls.ca_file {ca_file}" if ca_file else "the system's trust store", error) from error
    return context


def _check_variable(name: str, value: str) -> None:
    """Raises TransportError if the variable `name` names nothing that can be used, which OpenSSL would ignore."""
    try:
        if name == "SSL_CERT_FILE":
            require_regular(Path(value))
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
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        why = "the key is not that of the certificate"
    return TransportError(f"{files} cannot be used: {why}", reason="config")
