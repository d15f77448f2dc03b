from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.client.tls import has_files, make_context
from exporter.core.errors import TransportError
from exporter.core.http import ConnectionSettings
from tests import needs
from tests.rawserver import EMPTY_PAGE, Peer, raw_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def https(authority):
    """Serves an empty page with a certificate for `identities`, and requires one of clients if `mutual`."""

    def serving(*identities, mutual=False, handle=Peer.answer, **certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*identities, **certificate).configure_cert(context)
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(context)
        return raw_server(handle, tls=context)

    return serving


async def refused(send, host, **connection):
    """The error that a request over TLS ends with."""
    with pytest.raises(TransportError) as caught:
        await send(host, scheme="https", **connection)
    assert host in str(caught.value)
    return caught.value


async def test_a_ca_file_makes_a_certificate_trusted(https, ca_file, send):
    """With `tls.ca_file`, a certificate signed by that authority is trusted."""
    async with https("127.0.0.1") as host:
        assert (await send(host, scheme="https", ca_file=ca_file)).body == EMPTY_PAGE


async def test_an_unknown_authority_is_refused(https, send):
    """Without `tls.ca_file`, a private authority is not trusted, and the error is permanent."""
    async with https("127.0.0.1") as host:
        error = await refused(send, host)
    assert (error.reason, error.transient) == ("tls", False)
    assert "unable to get local issuer certificate" in str(error)
    assert "tls.ca_file" in str(error)


async def test_an_expired_certificate_is_refused(https, ca_file, send):
    """An expired certificate is reported as expired."""
    day = timedelta(days=1)
    now = datetime.now(UTC)
    async with https("127.0.0.1", not_before=now - 2 * day, not_after=now - day) as host:
        error = await refused(send, host, ca_file=ca_file)
    assert (error.reason, error.transient) == ("tls", False)
    assert "certificate has expired" in str(error)


async def test_a_certificate_for_another_host_is_refused(https, ca_file, send):
    """A certificate for another name is refused, and the message names the setting."""
    async with https("store.example") as host:
        error = await refused(send, host, ca_file=ca_file)
    assert (error.reason, error.transient) == ("tls", False)
    assert "not valid for '127.0.0.1'" in str(error)
    assert "tls.server_name" in str(error)


async def test_server_name_is_the_name_in_the_certificate(https, ca_file, send):
    """With `tls.server_name`, the certificate must have that name; the Host header does not change."""
    heads = []

    async def record(peer):
        heads.append(peer.head)
        await peer.answer()

    async with https("store.example", handle=record) as host:
        response = await send(host, scheme="https", ca_file=ca_file, server_name="store.example")
        error = await refused(send, host, ca_file=ca_file, server_name="other.example")
    assert response.body == EMPTY_PAGE
    assert f"host: {host}\r\n".encode() in heads[0].lower()
    assert (error.reason, "other.example" in str(error)) == ("tls", True)


async def test_insecure_skip_verify_accepts_any_certificate(https, send):
    """With `tls.insecure_skip_verify`, authority, name and date are not checked."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with https("other.example", not_before=past, not_after=past + timedelta(days=1)) as host:
        assert (await send(host, scheme="https", insecure_skip_verify=True)).body == EMPTY_PAGE


@pytest.mark.parametrize("in_one_file", [False, True])
async def test_a_client_certificate_is_presented(in_one_file, https, authority, ca_file, tmp_path, send):
    """`tls.cert_file` and `tls.key_file` authenticate the client, also if one file holds both."""
    client = authority.issue_cert("client@example.org")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    client.cert_chain_pems[0].write_to_path(certificate)
    client.private_key_pem.write_to_path(key)
    if in_one_file:
        client.private_key_and_cert_chain_pem.write_to_path(certificate)
        key = certificate
    async with https("127.0.0.1", mutual=True) as host:
        response = await send(host, scheme="https", ca_file=ca_file, cert_file=str(certificate), key_file=str(key))
    assert response.body == EMPTY_PAGE


async def test_a_missing_client_certificate_is_refused(authority, ca_file, send):
    """A missing client certificate is reported as a TLS error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def reject(listener):
        """Reject the client; asyncio's TLS would close before sending its alert, a blocking socket does not."""
        connection, _ = listener.accept()
        with connection.dup() as open_still:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)
            open_still.settimeout(5)
            while open_still.recv(1024):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        rejected = asyncio.create_task(asyncio.to_thread(reject, listener))
        error = await refused(send, f"127.0.0.1:{listener.getsockname()[1]}", ca_file=ca_file)
        await rejected
    assert error.reason == "tls"
    assert "CERTIFICATE_REQUIRED" in str(error)


async def test_plain_http_on_an_https_url_is_a_tls_error(send):
    """A server that responds without TLS is reported as a TLS error."""
    async with raw_server(Peer.answer, end=b"\x16") as host:
        error = await refused(send, host)
    assert (error.reason, error.transient) == ("tls", True)


async def test_an_aborted_handshake_is_transient(send):
    """A connection closed during the handshake is a transient TLS error."""

    async def leave(_peer):
        """Close the connection as soon as the handshake has started."""

    async with raw_server(leave, end=b"\x16") as host:
        error = await refused(send, host)
    assert (error.reason, error.transient) == ("tls", True)


@pytest.mark.parametrize("part", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("fault", ["missing", "no certificate"])
async def test_unusable_tls_files_are_a_configuration_error(part, fault, authority, tmp_path, send):
    """A missing file, or one without a certificate, gives a permanent `config` error."""
    client = authority.issue_cert("client@example.org")
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    client.private_key_and_cert_chain_pem.write_to_path(good)
    if fault == "no certificate":
        bad.write_text("-----BEGIN CANARY-----\n")
    files = {"ca_file": str(good), "cert_file": str(good), "key_file": str(good), part: str(bad)}
    with pytest.raises(TransportError) as caught:
        await send("127.0.0.1:1", scheme="https", **files)
    assert (caught.value.reason, caught.value.transient) == ("config", False)
    invalid = "no valid certificate" if part == "ca_file" else "no valid certificate and key"
    text = "No such file or directory" if fault == "missing" else invalid
    assert str(caught.value).endswith(f" cannot be used: {text}")
    assert f"tls.{part} {bad}" in str(caught.value)


async def test_the_system_decides_whom_to_trust(https, authority, tmp_path, send, monkeypatch):
    """Without `tls.ca_file`, OpenSSL's own store is used: both its file and its directory of hashed names."""
    openssl = needs.program("openssl", package="openssl")
    folder = tmp_path / "certs"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "company.pem")
    await asyncio.to_thread(subprocess.run, [openssl, "rehash", folder], check=True, timeout=60)
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    async with https("127.0.0.1") as host:
        assert (await send(host, scheme="https")).body == EMPTY_PAGE


def test_the_store_of_the_system_comes_before_that_of_certifi():
    """The context without `tls.ca_file` has the certificates of the system, and no others if there are any."""
    paths = ssl.get_default_verify_paths()
    ours = make_context(ConnectionSettings()).cert_store_stats()
    if has_files(paths.cafile, paths.capath):
        assert ours == ssl.create_default_context().cert_store_stats()
    else:
        assert ours["x509_ca"] > 100


def test_a_system_without_certificates_is_recognised(tmp_path):
    """A store is a file, or a directory that is not empty."""
    assert not has_files(None, None)
    assert not has_files(None, str(tmp_path))
    (tmp_path / "ca.pem").touch()
    assert has_files(None, str(tmp_path))
    assert has_files(str(tmp_path / "ca.pem"), None)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_a_variable_that_names_nothing_is_named(variable, tmp_path, send, monkeypatch, ca_file):
    """If SSL_CERT_FILE or SSL_CERT_DIR names nothing, the error says so; with `tls.ca_file` it does not matter."""
    missing = tmp_path / "missing"
    monkeypatch.setenv(variable, str(missing))
    with pytest.raises(TransportError) as caught:
        await send("127.0.0.1:1", scheme="https")
    why = "No such file or directory" if variable == "SSL_CERT_FILE" else "Not a directory"
    assert str(caught.value) == f"{variable} in the environment is {missing}, which cannot be used: {why}"
    assert (caught.value.reason, caught.value.transient) == ("config", False)
    with pytest.raises(TransportError, match="Connection refused"):
        await send("127.0.0.1:1", scheme="https", ca_file=ca_file)


async def test_an_encrypted_client_key_never_asks_for_its_password(authority, https, ca_file, send, tmp_path):
    """A client key with a password is an error at once; nothing waits for somebody at a terminal."""
    issued = authority.issue_cert("client.example")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "key.pem").write_bytes(encrypted)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = {"ca_file": ca_file, "cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    async with https("127.0.0.1") as host:
        with pytest.raises(TransportError) as caught:
            await send(host, scheme="https", **files)
    assert caught.value.reason == "config"
    assert "key.pem" in str(caught.value)
