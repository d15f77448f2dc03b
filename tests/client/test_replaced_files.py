from __future__ import annotations

import asyncio
import os
import ssl
import threading

import pytest
import trustme

from exporter.client.tls import TlsContexts
from exporter.core.errors import TransportError
from exporter.core.http import ConnectionSettings
from exporter.core.workers import WaitingThreads
from tests.hanging import hanging
from tests.rawserver import EMPTY_PAGE, Peer, raw_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def server():
    """The TLS settings of the server, which a test changes."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def new_authority(server, *files):
    """A new authority for the certificate of the server, written to `files`."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    for file in files:
        file.write_bytes(authority.cert_pem.bytes())
    return authority


async def kept_alive(peer: Peer):
    """Answer every request of a connection."""
    while True:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(EMPTY_PAGE), EMPTY_PAGE))
        await peer.reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("how", ["written", "replaced", "link"])
async def test_a_new_ca_file_is_read(how, server, tmp_path, send):
    """A `tls.ca_file` that is written again, renamed over, or a link to another folder, is used at the next request."""
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "ca.pem"
    new_authority(server, old, *([] if how == "link" else [file]))
    if how == "link":
        (tmp_path / "data").symlink_to(old)
        file.symlink_to("data")  # as Kubernetes mounts a Secret
    async with raw_server(Peer.answer, tls=server) as host:
        assert (await send(host, scheme="https", ca_file=str(file))).body == EMPTY_PAGE
        new_authority(server, new)
        with pytest.raises(TransportError, match="not trusted"):
            await send(host, scheme="https", ca_file=str(file))
        if how == "written":
            file.write_bytes(new.read_bytes())
        elif how == "replaced":
            new.replace(file)
        else:
            (tmp_path / "next").symlink_to(new)
            (tmp_path / "next").replace(tmp_path / "data")
        assert (await send(host, scheme="https", ca_file=str(file))).body == EMPTY_PAGE


async def test_new_files_mean_new_connections(server, tmp_path, send):
    """Connections made with the old files are not used again; without a change they are."""
    file = tmp_path / "ca.pem"
    authority = new_authority(server, file)
    peers = []

    async def counted(peer):
        peers.append(peer)
        await kept_alive(peer)

    async with raw_server(counted, tls=server) as host:
        for _ in range(2):
            await send(host, scheme="https", ca_file=str(file))
        assert len(peers) == 1
        file.write_bytes(authority.cert_pem.bytes() * 2)
        for _ in range(2):
            await send(host, scheme="https", ca_file=str(file))
        assert len(peers) == 2


async def test_a_half_written_pair_is_read_again(server, tmp_path, send, caplog):
    """While a new certificate and key do not match, the old pair is used, with one warning; then the new pair is."""
    ca_file, certificate, key = tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key"
    authority = new_authority(server, ca_file)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    names = []

    async def named(peer):
        names.append(peer.writer.get_extra_info("peercert")["subject"][-1][0][1])
        await peer.answer()

    def issue(name, *parts):
        made = authority.issue_cert(f"{name}@example.org", common_name=name)
        if "certificate" in parts:
            made.cert_chain_pems[0].write_to_path(certificate)
        if "key" in parts:
            made.private_key_pem.write_to_path(key)
        return made

    settings = {"ca_file": str(ca_file), "cert_file": str(certificate), "key_file": str(key)}
    issue("old", "certificate", "key")
    async with raw_server(named, tls=server) as host:
        await send(host, scheme="https", **settings)
        new = issue("new", "certificate")
        for _ in range(2):
            await send(host, scheme="https", **settings)
        new.private_key_pem.write_to_path(key)
        await send(host, scheme="https", **settings)
    assert names == ["old", "old", "old", "new"]
    [record] = caplog.records
    assert record.getMessage() == (
        f"tls.cert_file {certificate} and tls.key_file {key} cannot be used: the key is not that of the certificate;"
        " the last valid files are used until they can be"
    )


async def test_a_request_in_flight_keeps_its_connection(server, tmp_path, send):
    """A file that is replaced while a request waits does not end that request."""
    file = tmp_path / "ca.pem"
    authority = new_authority(server, file)
    arrived, released = asyncio.Event(), asyncio.Event()

    async def slow(peer):
        if not arrived.is_set():
            arrived.set()
            await released.wait()
        await peer.answer()

    async with raw_server(slow, tls=server) as host:
        waiting = asyncio.create_task(send(host, scheme="https", ca_file=str(file)))
        await arrived.wait()
        file.write_bytes(authority.cert_pem.bytes() * 2)
        assert (await send(host, scheme="https", ca_file=str(file))).body == EMPTY_PAGE
        released.set()
        assert (await waiting).body == EMPTY_PAGE


@pytest.mark.parametrize("part", ["ca_file", "cert_file", "key_file"])
async def test_a_named_pipe_is_refused(part, tmp_path, send):
    """A named pipe as a TLS file, which would hang until something writes to it, is an error at once."""
    good, pipe = tmp_path / "good.pem", tmp_path / "pipe"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(good)
    os.mkfifo(pipe)
    files = {"ca_file": str(good), "cert_file": str(good), "key_file": str(good), part: str(pipe)}
    with pytest.raises(TransportError, match=rf"tls\.{part} {pipe}.* cannot be used: not a regular file") as caught:
        await send("127.0.0.1:9", scheme="https", seconds=5.0, **files)
    assert caught.value.reason == "config"


async def test_a_file_that_hangs_costs_one_thread(server, tmp_path, send):
    """However many requests time out over a TLS file that hangs, one thread waits for it; then it is used."""
    file = tmp_path / "ca.pem"
    new_authority(server, file)
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    async with raw_server(Peer.answer, tls=server) as host:
        before = threading.active_count()
        with hanging(file):
            for _ in range(5):
                with pytest.raises(TransportError, match="did not respond"):
                    await send(host, scheme="https", seconds=0.1, ca_file=str(file))
            assert threading.active_count() <= before + 1
        assert (await send(host, scheme="https", ca_file=str(file))).body == EMPTY_PAGE


async def test_a_file_replaced_while_another_one_hangs(tmp_path):
    """A request that joins a reading of older files may use what it read, but the next one reads the new files."""
    old, new = trustme.CA(), trustme.CA()
    ca, pair = tmp_path / "ca.pem", tmp_path / "pair.pem"
    old.cert_pem.write_to_path(ca)
    new.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pair)
    settings = ConnectionSettings(ca_file=str(ca), cert_file=str(pair), key_file=str(pair))
    contexts = TlsContexts()
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    with hanging(pair):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(contexts.get(settings), 0.3)
        new.cert_pem.write_to_path(ca)
        joined = asyncio.create_task(contexts.get(settings))
        await asyncio.sleep(0.1)
    await joined
    trusted = (await contexts.get(settings)).get_ca_certs(binary_form=True)
    assert trusted == [ssl.PEM_cert_to_DER_cert(new.cert_pem.bytes().decode())]
