from __future__ import annotations

import asyncio
import base64
import ssl
from functools import partial

import pytest
import trustme

from exporter.client.transport import Transport
from exporter.core.errors import TransportError
from exporter.core.http import ConnectionSettings, Request
from tests.rawserver import EMPTY_PAGE, Peer, free_port, raw_server

pytestmark = pytest.mark.anyio

HOST = "oss.invalid"
"""It cannot be resolved, so it can only be reached through a proxy."""


@pytest.fixture
def ca(tmp_path):
    """A certificate authority; its certificate is `tmp_path / "ca.pem"`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return authority


@pytest.fixture
def https(ca):
    """Serves an empty page over TLS as `name` and records the heads of its requests in `seen`."""

    def serving(seen, name=HOST):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(name).configure_cert(context)
        return recording(seen, tls=context)

    return serving


@pytest.fixture
def requests():
    """The heads that reached the service."""
    return []


@pytest.fixture
def tunnels():
    """The heads that reached the proxy."""
    return []


@pytest.fixture
def wrong():
    """The heads that reached a server that must not get any."""
    return []


def recording(seen, **options):
    """A server, or a proxy for plain HTTP, that records the heads of its requests in `seen`."""

    async def handle(peer):
        seen.append(peer.head)
        await peer.answer()

    return raw_server(handle, **options)


def proxy(seen, backend, status="200 Connection established", **options):
    """A proxy that connects every CONNECT to `backend` and records their heads in `seen`."""

    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def handle(peer):
        seen.append(peer.head)
        await peer.send(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if status.startswith("200"):
            reader, writer = await asyncio.open_connection(*backend.split(":"))
            await asyncio.gather(copy(peer.reader, writer), copy(reader, peer.writer))

    return raw_server(handle, **options)


async def test_proxy_url_is_used(https, send, tmp_path, tunnels, requests):
    """With `proxy_url`, the service is reached through a tunnel; the proxy sees neither request nor keys."""
    async with https(requests) as backend, proxy(tunnels, backend) as way:
        response = await send(HOST, scheme="https", ca_file=str(tmp_path / "ca.pem"), proxy_url=f"http://{way}")
    assert response.body == EMPTY_PAGE
    assert [head.split(b"\r\n")[0] for head in tunnels] == [b"CONNECT oss.invalid:443 HTTP/1.1"]
    assert b"canary" not in tunnels[0].lower()
    assert b"\r\nhost: oss.invalid\r\n" in requests[0].lower()


async def test_server_name_applies_behind_a_proxy(https, send, tmp_path, tunnels, requests):
    """`tls.server_name` also names the certificate expected at the end of the tunnel."""
    async with https(requests, "store.example") as backend, proxy(tunnels, backend) as way:
        connection = {"ca_file": str(tmp_path / "ca.pem"), "proxy_url": f"http://{way}"}
        response = await send(HOST, scheme="https", server_name="store.example", **connection)
        with pytest.raises(TransportError) as caught:
            await send(HOST, scheme="https", **connection)
    assert response.body == EMPTY_PAGE
    assert caught.value.reason == "tls"
    assert len(requests) == 1


async def test_a_proxys_password_is_for_the_proxy_only(https, send, tmp_path, tunnels, requests):
    """User and password of `proxy_url` are sent to the proxy, but not to the service."""
    async with https(requests) as backend, proxy(tunnels, backend) as way:
        url = f"http://user:CANARY@{way}"
        await send(HOST, scheme="https", ca_file=str(tmp_path / "ca.pem"), proxy_url=url)
    proof = base64.b64encode(b"user:CANARY").lower()
    assert b"\r\nproxy-authorization: basic " + proof in tunnels[0].lower()
    assert b"proxy-authorization" not in requests[0].lower()


REFUSALS = {
    "407 Proxy Authentication Required": ("it requires credentials; check the user and password in proxy_url", False),
    "403 CANARY": ("it does not allow the host; check the rules of the proxy, proxy_url and NO_PROXY", False),
    "429 Slow down": ("it does not allow the host; check the rules of the proxy, proxy_url and NO_PROXY", True),
    "502 Bad Gateway": ("it cannot reach the host; check endpoint, and the name server and network of the proxy", True),
}
"""A proxy's status for CONNECT → the advice, and whether another attempt may help."""


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_proxy_that_refuses_is_named(status, send):
    """A proxy that opens no tunnel gives `connect` with its address and status, without its password."""
    async with proxy([], "", status) as way:
        with pytest.raises(TransportError) as caught:
            await send(HOST, scheme="https", proxy_url=f"http://user:CANARY@{way}")
    advice, transient = REFUSALS[status]
    assert (caught.value.reason, caught.value.transient) == ("connect", transient)
    assert str(caught.value) == f"the proxy {way} returned {status[:3]} to CONNECT oss.invalid: {advice}"


async def test_an_unreachable_proxy_is_named(send, monkeypatch):
    """A proxy that cannot be reached gives `connect` with its address and variable, without its password."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:CANARY@{address}")
    with pytest.raises(TransportError) as caught:
        await send(HOST, scheme="https")
    assert (caught.value.reason, caught.value.transient) == ("connect", True)
    assert str(caught.value) == f"no connection to the proxy {address}: Connection refused; check HTTPS_PROXY"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "the connection to the proxy {} ended early: the other side closed it"),
        (b"SSH-2.0\r\n\r\n", "the proxy {} sent an invalid HTTP response; check proxy_url"),
    ],
)
async def test_a_proxy_that_breaks_off_is_named(answer, text, send):
    """A proxy that closes the connection or speaks another protocol is blamed, and not the service."""
    async with raw_server(lambda peer: peer.send(answer)) as way:
        with pytest.raises(TransportError) as caught:
            await send(HOST, scheme="https", proxy_url=f"http://{way}")
    assert str(caught.value) == text.format(way)


async def test_a_service_that_breaks_off_behind_a_proxy_is_named(ca, send, tmp_path):
    """At the end of a tunnel, the service is blamed for an early end, and not the proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(HOST).configure_cert(context)
    async with raw_server(lambda peer: peer.send(b""), tls=context) as backend, proxy([], backend) as way:
        with pytest.raises(TransportError, match=r"the connection to oss\.invalid ended early"):
            await send(HOST, scheme="https", ca_file=str(tmp_path / "ca.pem"), proxy_url=f"http://{way}")


async def test_a_proxy_with_an_own_authority(https, ca, send, tmp_path, requests, tunnels):
    """`tls.ca_file` also names who vouches for an https:// proxy; a failed handshake names the right one of both."""
    other = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    other.issue_cert("127.0.0.1").configure_cert(context)
    other.cert_pem.write_to_path(tmp_path / "proxy.pem")
    other.cert_pem.write_to_path(tmp_path / "both.pem")
    ca.cert_pem.write_to_path(tmp_path / "both.pem", append=True)
    async with https(requests) as backend, proxy(tunnels, backend, tls=context) as way:

        async def message(file):
            with pytest.raises(TransportError) as caught:
                await send(HOST, scheme="https", ca_file=str(tmp_path / file), proxy_url=f"https://{way}")
            assert (caught.value.reason, caught.value.transient) == ("tls", False)
            return str(caught.value)

        assert (await message("ca.pem")).startswith(f"the TLS certificate of the proxy {way} is not trusted (")
        assert (await message("ca.pem")).endswith("check tls.ca_file and proxy_url")
        assert (await message("proxy.pem")).startswith("the TLS certificate of oss.invalid is not trusted (")
        settings = {"ca_file": str(tmp_path / "both.pem"), "proxy_url": f"https://{way}"}
        assert (await send(HOST, scheme="https", **settings)).body == EMPTY_PAGE
    assert len(requests) == 1


async def test_requests_for_keys_go_the_same_way(https, tmp_path, requests, tunnels):
    """A request for keys uses the account's proxy and authorities; `tls.server_name` is only for the service."""
    transport = Transport()
    async with https(requests, "sts.invalid") as backend, proxy(tunnels, backend) as way:
        connection = ConnectionSettings(f"http://{way}", str(tmp_path / "ca.pem"), server_name="store.example")
        request = Request("AssumeRole", "https", "sts.invalid", "/")
        fetch = partial(transport.fetch, request, max_bytes=1000, seconds=10.0, connection=connection)
        assert (await fetch(direct=False)).body == EMPTY_PAGE
        with pytest.raises(TransportError, match=r"no connection to sts\.invalid"):
            await fetch(direct=True)
    await transport.close()
    assert (len(requests), len(tunnels)) == (1, 1)


async def test_plain_http_goes_through_a_proxy_too(send, requests):
    """A plain HTTP request is sent to the proxy with the whole URL, byte for byte."""
    async with recording(requests) as way:
        await send(HOST, query="batchJob&continuation-token=%2B%3A%2F", proxy_url=f"http://{way}")
    assert requests[0].startswith(b"GET http://oss.invalid/?batchJob&continuation-token=%2B%3A%2F HTTP/1.1\r\n")


async def test_the_environments_proxy_is_used(https, send, tmp_path, monkeypatch, tunnels, requests):
    """Without `proxy_url`, HTTPS_PROXY is used."""
    async with https(requests) as backend, proxy(tunnels, backend) as way:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{way}")
        response = await send(HOST, scheme="https", ca_file=str(tmp_path / "ca.pem"))
    assert (response.status, len(tunnels), len(requests)) == (200, 1, 1)


async def test_no_proxy_excludes_hosts(send, monkeypatch, tunnels):
    """A host that NO_PROXY names is not reached through HTTPS_PROXY."""
    async with proxy(tunnels, "") as way:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{way}")
        monkeypatch.setenv("NO_PROXY", "oss.invalid")
        with pytest.raises(TransportError, match=r"no connection to oss\.invalid") as caught:
            await send(HOST, scheme="https")
    assert (caught.value.reason, tunnels) == ("connect", [])


async def test_proxy_url_overrides_the_environment(https, send, tmp_path, monkeypatch, tunnels, wrong, requests):
    """If both are set, `proxy_url` is used, even for a host in NO_PROXY."""
    async with https(requests) as backend, proxy(tunnels, backend) as way, proxy(wrong, backend) as other:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{other}")
        monkeypatch.setenv("NO_PROXY", HOST)
        await send(HOST, scheme="https", ca_file=str(tmp_path / "ca.pem"), proxy_url=f"http://{way}")
    assert (len(tunnels), len(wrong), len(requests)) == (1, 0, 1)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_loopback_never_goes_through_the_environments_proxy(name, monkeypatch, send, requests, wrong):
    """Loopback addresses are reached directly, whatever the environment says."""
    async with recording(requests) as host, recording(wrong) as way:
        for variable in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://{way}")
        await send(host.replace("127.0.0.1", name))
    assert (len(requests), wrong) == (1, [])


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed(status, send, requests):
    """A redirect is returned as it is: no request, and so no key, reaches the host that it names."""
    async with recording(requests) as other:

        async def redirect(peer):
            await peer.answer(b"", status, f"Location: http://{other}/?stolen")

        async with raw_server(redirect) as host:
            response = await send(host)
    assert (response.status, requests) == (int(status[:3]), [])


async def test_connections_are_separate_for_each_setting(https, send, tmp_path, requests):
    """A connection without verification is not reused by a target that verifies certificates."""
    async with https(requests, "127.0.0.1") as host:
        await send(host, scheme="https", insecure_skip_verify=True)
        with pytest.raises(TransportError) as caught:
            await send(host, scheme="https")
        await send(host, scheme="https", ca_file=str(tmp_path / "ca.pem"))
    assert caught.value.reason == "tls"
    assert len(requests) == 2


async def test_concurrent_requests_use_separate_connections(send):
    """Twenty concurrent requests use twenty connections."""
    together = asyncio.Barrier(20)

    async def meet(peer: Peer):
        await together.wait()
        await peer.answer()

    async with raw_server(meet) as host, asyncio.timeout(10):
        responses = await asyncio.gather(*(send(host) for _ in range(20)))
    assert [response.status for response in responses] == [200] * 20
