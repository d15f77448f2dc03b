"""Web configurations with real certificates, clients of each kind, and how a server that reads them responds."""

from __future__ import annotations

import socket
import ssl
import subprocess
import textwrap
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bcrypt
import httpx
import trustme

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE = 20.0
"""Seconds that a server may take to start, or to refuse its configuration."""
PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@dataclass(frozen=True)
class Case:
    """A web configuration, and whether a server of the Prometheus projects starts with it."""

    name: str
    text: str
    starts: bool = True
    known_to_debian: bool = True
    """Whether the version of the format that Debian's exporters know has these keys."""


TLS = """
tls_server_config:
  cert_file: server.pem
  key_file: server.key
"""
MUTUAL = TLS + "  client_ca_file: ca.pem\n  client_auth_type: "
LOGIN = f"\nbasic_auth_users:\n  alice: {HASH}\n"

CASES = (
    Case("empty", "# nothing\n"),
    Case("tls", TLS),
    Case("tls 1.3 only", TLS + "  min_version: TLS13\n"),
    Case("tls 1.2 only", TLS + "  max_version: TLS12\n"),
    Case("ciphers", TLS + "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"),
    Case("one curve", TLS + "  curve_preferences: [CurveP384]\n"),
    Case("login", LOGIN),
    Case("tls and login", TLS + LOGIN),
    Case("client certificate", MUTUAL + "RequireAndVerifyClientCert\n"),
    Case("client certificate if given", MUTUAL + "VerifyClientCertIfGiven\n"),
    Case("client certificate requested", MUTUAL + "RequestClientCert\n"),
    Case("client certificate and login", MUTUAL + "RequireAndVerifyClientCert\n" + LOGIN),
    Case("headers", "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: '1'\n"),
    Case("no http2", TLS + "http_server_config:\n  http2: false\n"),
    Case(
        "allowed name",
        MUTUAL + "RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus.example]\n",
        known_to_debian=False,
    ),
    Case(
        "another name",
        MUTUAL + "RequireAndVerifyClientCert\n  client_allowed_sans: [somebody.example]\n",
        known_to_debian=False,
    ),
    Case("only a minimum version", "tls_server_config:\n  min_version: TLS13\n"),
    Case("unknown key", "tls_server: {}\n", starts=False),
    Case("unknown key of tls", TLS + "  ca_file: ca.pem\n", starts=False),
    Case("no key", "tls_server_config:\n  cert_file: server.pem\n", starts=False),
    Case("no certificate", "tls_server_config:\n  key_file: server.key\n", starts=False),
    Case("missing file", "tls_server_config:\n  cert_file: nowhere.pem\n  key_file: server.key\n", starts=False),
    Case("key of another", "tls_server_config:\n  cert_file: server.pem\n  key_file: client.key\n", starts=False),
    Case("not a certificate", "tls_server_config:\n  cert_file: web.yml\n  key_file: server.key\n", starts=False),
    Case("client CA without a policy", TLS + "  client_ca_file: ca.pem\n", starts=False),
    Case("unknown policy", TLS + "  client_auth_type: Always\n", starts=False),
    Case("unknown version", TLS + "  min_version: TLS14\n", starts=False),
    Case("unknown cipher", TLS + "  cipher_suites: [NONE]\n", starts=False),
    Case("unknown curve", TLS + "  curve_preferences: [P256]\n", starts=False),
    Case("plain password", "basic_auth_users:\n  alice: secret\n", starts=False),
    Case("unknown header", "http_server_config:\n  headers:\n    X-Mine: a\n", starts=False),
    Case("bad header", "http_server_config:\n  headers:\n    X-Frame-Options: maybe\n", starts=False),
)

CLIENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("http", {}),
    ("tls 1.3", {"minimum": ssl.TLSVersion.TLSv1_3}),
    ("tls 1.2", {"maximum": ssl.TLSVersion.TLSv1_2}),
    ("certificate", {"certificate": "client"}),
    ("unknown certificate", {"certificate": "stranger"}),
    ("login", {"login": ("alice", PASSWORD)}),
    ("login over http", {"login": ("alice", PASSWORD), "scheme": "http"}),
    ("wrong password", {"login": ("alice", "wrong"), "certificate": "client"}),
    ("wrong password over http", {"login": ("alice", "wrong"), "scheme": "http"}),
    ("unknown user", {"login": ("bob", PASSWORD), "certificate": "client"}),
    ("certificate and login", {"login": ("alice", PASSWORD), "certificate": "client"}),
)


def write_files(directory: Path) -> None:
    """Write server.pem, server.key, client.*, ca.pem, and stranger.* of another authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    write_certificate(directory, "server", authority, "127.0.0.1")
    write_certificate(directory, "client", authority, "prometheus.example")
    write_certificate(directory, "stranger", trustme.CA(), "prometheus.example")


def write_certificate(directory: Path, name: str, authority: trustme.CA, identity: str) -> None:
    """Write a new certificate of `authority` and its key."""
    issued = authority.issue_cert(identity)
    issued.private_key_pem.write_to_path(directory / f"{name}.key")
    (directory / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))


def request(
    port: int,
    directory: Path,
    *,
    scheme: str = "https",
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    certificate: str = "",
    login: tuple[str, str] | None = None,
) -> httpx.Response | None:
    """The response to a request of `/`; None if there is no HTTP response."""
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.minimum_version, context.maximum_version = minimum, maximum
    if certificate:
        context.load_cert_chain(directory / f"{certificate}.pem", directory / f"{certificate}.key")
    with httpx.Client(verify=context, trust_env=False, timeout=10, auth=login) as client:
        try:
            return client.get(f"{scheme}://127.0.0.1:{port}/")
        except httpx.TransportError:
            return None


def status(port: int, directory: Path, **options: Any) -> int | None:
    """The status of the response to `request`; None if there is none."""
    response = request(port, directory, **options)
    return None if response is None else response.status_code


def outcome(port: int, directory: Path) -> dict[str, int | None]:
    """The status of the response to each of CLIENTS; None: no response, or the 400 of a TLS server to plain HTTP."""
    statuses = {}
    for name, options in CLIENTS:
        plain = {"scheme": "http"} if name == "http" else {}
        found = status(port, directory, **options | plain)
        statuses[name] = None if found == 400 else found
    return statuses


def started(command: Sequence[str], directory: Path) -> tuple[subprocess.Popen[bytes], int] | None:
    """The process of `command`, with its port for `{port}`; None if it exits with an error instead of listening."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [word.format(port=port) for word in command],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            assert process.returncode != 0
            return None
        with socket.socket() as connection:
            connection.settimeout(1)
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError(textwrap.shorten(f"{command} neither listens nor exits", 200))
