"""Clients that connect and send nothing, or half a request, or what is no request."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import threading
import time
from functools import partial

import httpx
import pytest
import trustme
from starlette.responses import PlainTextResponse

from exporter.simulator import Fault
from exporter.web import connection, router, server
from tests.rig import target_at
from tests.serving import serve
from tests.waiting import until


@pytest.fixture
def connect(client):
    """Opens connections to the exporter, which are closed at the end."""
    address = client.base_url.host, client.base_url.port
    with contextlib.ExitStack() as opened:

        def connecting(data=b""):
            peer = opened.enter_context(socket.create_connection(address, 20))
            peer.sendall(data)
            return peer

        yield connecting


def is_closed(peer):
    """Whether the exporter has closed the connection; nothing is left to read then."""
    peer.settimeout(0.01)
    try:
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


HALVES = {
    "nothing": b"",
    "half a line": b"GET /metr",
    "half a head": b"GET /metrics HTTP/1.1\r\nHost: a\r\n",
    "half a body": b"GET /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
    "blank lines": b"\r\n\r\n",
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_a_request_that_does_not_become_whole_ends(half, connect, monkeypatch):
    """A connection is closed if its request is not whole after REQUEST_SECONDS, however little of it came."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.3)
    peer = connect(half)
    with contextlib.suppress(ConnectionError):
        while peer.recv(4096):
            pass


def test_bytes_one_by_one_do_not_extend_the_limit(connect, monkeypatch):
    """A client that sends a byte now and then is closed just as well."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.3)
    peer = connect()

    def closed():
        with contextlib.suppress(ConnectionError):
            peer.sendall(b"G")
        return is_closed(peer)

    until(closed, pause=0.05)


def test_a_second_request_has_its_own_limit(connect, monkeypatch):
    """After a response the connection stays open without a request, but not with half of one."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.3)
    idle, half = (connect(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(2))
    for peer in (idle, half):
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")
    half.sendall(b"GET /-/hea")
    until(lambda: is_closed(half))
    assert not is_closed(idle)


def test_an_idle_connection_is_closed(exported, served, monkeypatch):
    """A connection without a request is kept for IDLE_SECONDS after its last response."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.2)
    client = exported(target_at(served[1]))
    with socket.create_connection((client.base_url.host, client.base_url.port), 20) as peer:
        peer.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")
        until(lambda: is_closed(peer))


def test_the_newest_connections_are_answered(client, connect, monkeypatch):
    """At most MAX_CONNECTIONS are open: one more takes the place of the one that is quiet for longest."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 5)
    peers = [connect() for _ in range(12)]
    until(lambda: sum(map(is_closed, peers)) >= 7)
    assert [is_closed(peer) for peer in peers] == [True] * 7 + [False] * 5
    assert httpx.get(client.base_url.join("/metrics"), timeout=20).status_code == 200


def test_requests_in_progress_do_not_give_way(store, connect, monkeypatch):
    """If all connections have a request in progress, it is the new one that is closed."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    store.faults.add(Fault("delay", seconds=1, times=1))
    busy = [connect(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(2)]
    until(lambda: store.requests)
    until(lambda: is_closed(connect()), seconds=5)
    for peer in busy:
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")


def test_the_limit_of_files_limits_connections(monkeypatch):
    """Of few files that may be open only a part are connections of clients; of many, MAX_CONNECTIONS."""
    limits = {64: 16, 3: 1, 1_000_000: server.MAX_CONNECTIONS, resource.RLIM_INFINITY: server.MAX_CONNECTIONS}
    for files, expected in limits.items():
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert server.max_connections() == expected


BAD = {
    b"NONSENSE\r\n\r\n": 400,
    b"GET /\xff HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"a" * router.MAX_HEAD_BYTES: 431,
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * router.MAX_HEAD_BYTES + b"\r\n\r\n": 431,
    b"GET /?" + b"a" * router.MAX_LINE_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n": 414,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (router.MAX_BODY_BYTES + 1): 413,
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n": 411,
}


@pytest.mark.parametrize(("data", "status"), BAD.items(), ids=range(len(BAD)))
def test_what_cannot_be_read_is_refused(data, status, connect, store):
    """What is no request, or too large a one, gets its own status with the security headers, and is disconnected."""
    peer = connect(data)
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := peer.recv(65536):
            pieces.append(piece)
    head = b"".join(pieces).partition(b"\r\n\r\n")[0].decode()
    assert head.startswith(f"HTTP/1.1 {status} ")
    for name, value in router.HEADERS.items():
        assert f"\r\n{name}: {value}" in head
    assert "\r\nconnection: close" in head
    assert not store.requests


def test_nonsense_after_a_head_ends_only_that_connection(client, connect, caplog):
    """A body that cannot be read disconnects its client, without a traceback, and others are answered."""
    peer = connect(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nNONSENSE\r\n")
    until(lambda: is_closed(peer))
    assert client.get("/-/healthy").status_code == 200
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("line", [b"OPTIONS / HTTP/1.0", b"GET /-/healthy HTTP/1.0", b"GET /sd HTTP/1.0"])
def test_the_checks_of_a_proxy(line, connect):
    """HAProxy's check, HTTP/1.0 without a host, is answered with a status of success, and the connection is closed."""
    peer = connect(line + b"\r\n\r\n")
    assert peer.recv(4096).startswith((b"HTTP/1.1 204 ", b"HTTP/1.1 200 "))
    until(lambda: is_closed(peer) or peer.recv(4096) == b"")


def test_an_upgrade_is_ignored(client, caplog):
    """A request with the header Upgrade is answered as any other, and nothing advises to install packages."""
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    assert client.get("/-/healthy", headers=headers).status_code == 200
    assert "pip install" not in caplog.text
    assert "pgrade" not in caplog.text


@pytest.mark.parametrize("headers", [b"", b"Connection: close\r\n"])
def test_the_end_of_a_response_that_is_not_read(headers, monkeypatch):
    """A client that does not read the end of its response is disconnected, whether its connection is kept or closed."""
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)
    size = 16 << 20  # more than the sockets hold
    ended = threading.Event()

    async def app(scope, receive, send):
        del receive
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
            await send({"type": "http.response.body", "body": bytes(size)})
            ended.set()

    with serve(app) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 20) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n")
        assert ended.wait(20)
        time.sleep(1)
        total = 0
        with contextlib.suppress(ConnectionError):
            while piece := peer.recv(1 << 20):
                total += len(piece)
    assert 0 < total < size


def test_a_second_request_that_is_not_read_ends(connect, client, monkeypatch):
    """A client that sends further requests and reads nothing is disconnected, whatever it requests."""
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.5)
    for path in ("/docs", "/config", "/metrics"):
        peer = connect(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 2000)
        until(lambda: client.get("/-/healthy").status_code == 200)
        until(partial(is_reset, peer))


def is_reset(peer):
    """Whether the exporter has cut the connection, although nothing was read from it."""
    try:
        peer.send(b"x")
    except ConnectionError:
        return True
    return False


def test_silent_clients_do_not_keep_others_from_tls(tmp_path, monkeypatch):
    """If silent connections fill the bound, a client that really begins the handshake of TLS is answered."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 5)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    with (
        serve(PlainTextResponse("the page"), certfile=tmp_path / "cert.pem", keyfile=tmp_path / "key.pem") as url,
        contextlib.ExitStack() as opened,
    ):
        address = "127.0.0.1", int(url.rpartition(":")[2])
        for _ in range(20):
            opened.enter_context(socket.create_connection(address, 20))
        for _ in range(3):
            assert httpx.get(url, verify=trust, timeout=20, trust_env=False).text == "the page"
