from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from exporter.core.errors import TransportError
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
    """Serves an empty page behind a certificate for `identities`, for which clients must show one if `mutual`."""

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
    """With `tls.ca_file`, a server whose certificate is signed by that authority is asked."""
    async with https("127.0.0.1") as host:
        assert (await send(host, scheme="https", ca_file=ca_file)).body == EMPTY_PAGE


async def test_an_unknown_authority_is_refused(https, send):
    """Without `tls.ca_file`, a private authority is not trusted; that is told and is not worth another try."""
    async with https("127.0.0.1") as host:
        error = await refused(send, host)
    assert (error.reason, error.transient) == ("tls", False)
    assert "unable to get local issuer certificate" in str(error)
    assert "tls.ca_file" in str(error)


async def test_an_expired_certificate_is_refused(https, ca_file, send):
    """An expired certificate says so."""
    day = timedelta(days=1)
    now = datetime.now(UTC)
    async with https("127.0.0.1", not_before=now - 2 * day, not_after=now - day) as host:
        error = await refused(send, host, ca_file=ca_file)
    assert (error.reason, error.transient) == ("tls", False)
    assert "certificate has expired" in str(error)


async def test_a_certificate_for_another_host_is_refused(https, ca_file, send):
    """A certificate for another name is not taken, and the message points at what can be set."""
    async with https("store.example") as host:
        error = await refused(send, host, ca_file=ca_file)
    assert (error.reason, error.transient) == ("tls", False)
    assert "not valid for '127.0.0.1'" in str(error)
    assert "tls.server_name" in str(error)


async def test_server_name_is_the_name_in_the_certificate(https, ca_file, send):
    """With `tls.server_name`, that name is asked for and must be in the certificate; the Host header stays."""
    heads = []

    async def noting(peer):
        heads.append(peer.head)
        await peer.answer()

    async with https("store.example", handle=noting) as host:
        answer = await send(host, scheme="https", ca_file=ca_file, server_name="store.example")
        error = await refused(send, host, ca_file=ca_file, server_name="other.example")
    assert answer.body == EMPTY_PAGE
    assert f"host: {host}\r\n".encode() in heads[0].lower()
    assert (error.reason, "other.example" in str(error)) == ("tls", True)


async def test_insecure_skip_verify_takes_any_certificate(https, send):
    """With `tls.insecure_skip_verify`, neither authority, name nor date matter."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with https("other.example", not_before=past, not_after=past + timedelta(days=1)) as host:
        assert (await send(host, scheme="https", insecure_skip_verify=True)).body == EMPTY_PAGE


@pytest.mark.parametrize("in_one_file", [False, True])
async def test_a_client_certificate_is_shown(in_one_file, https, authority, ca_file, tmp_path, send):
    """`tls.cert_file` and `tls.key_file` prove who asks, also where one file holds both."""
    client = authority.issue_cert("client@example.org")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    client.cert_chain_pems[0].write_to_path(certificate)
    client.private_key_pem.write_to_path(key)
    if in_one_file:
        client.private_key_and_cert_chain_pem.write_to_path(certificate)
        key = certificate
    async with https("127.0.0.1", mutual=True) as host:
        answer = await send(host, scheme="https", ca_file=ca_file, cert_file=str(certificate), key_file=str(key))
    assert answer.body == EMPTY_PAGE


async def test_a_missing_client_certificate_is_refused(authority, ca_file, send):
    """A server that asks for a client certificate and gets none says so; that is told as a TLS fault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def turn_away(listener):
        """Hang up politely: asyncio's TLS cuts the connection before it has told why; a blocking socket does tell."""
        connection, _ = listener.accept()
        with connection.dup() as open_still:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)
            open_still.settimeout(5)
            while open_still.recv(1024):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        turned = asyncio.create_task(asyncio.to_thread(turn_away, listener))
        error = await refused(send, f"127.0.0.1:{listener.getsockname()[1]}", ca_file=ca_file)
        await turned
    assert error.reason == "tls"
    assert "CERTIFICATE_REQUIRED" in str(error)


async def test_plain_http_on_an_https_url(send):
    """A server that answers without TLS is told as a TLS fault."""
    async with raw_server(Peer.answer, end=b"\x16") as host:
        error = await refused(send, host)
    assert (error.reason, error.transient) == ("tls", True)


async def test_a_handshake_that_is_broken_off(send):
    """A connection closed in the middle of the handshake is told, and worth another try."""

    async def leave(_peer):
        """Hang up as soon as the handshake has begun."""

    async with raw_server(leave, end=b"\x16") as host:
        error = await refused(send, host)
    assert (error.reason, error.transient) == ("tls", True)


@pytest.mark.parametrize("part", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("fault", ["missing", "no certificate"])
async def test_tls_files_that_cannot_be_used_are_a_fault_of_the_configuration(part, fault, authority, tmp_path, send):
    """A file that is missing or holds no certificate gives `config` at once, as no second try would help."""
    client = authority.issue_cert("client@example.org")
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    client.private_key_and_cert_chain_pem.write_to_path(good)
    if fault == "no certificate":
        bad.write_text("-----BEGIN CANARY-----\n")
    files = {"ca_file": str(good), "cert_file": str(good), "key_file": str(good), part: str(bad)}
    with pytest.raises(TransportError) as caught:
        await send("127.0.0.1:1", scheme="https", **files)
    assert (caught.value.reason, caught.value.transient) == ("config", False)
    told = "No such file or directory" if fault == "missing" else "no valid certificate and key"
    assert str(caught.value).endswith(f" cannot be used: {told}")
    assert f"tls.{part} {bad}" in str(caught.value)
