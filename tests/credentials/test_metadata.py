from __future__ import annotations

import time

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from exporter.client.transport import Transport
from exporter.core.errors import CredentialsError, TransportError
from exporter.core.http import Request
from exporter.core.secrets import Credentials, Secret
from exporter.credentials import cos, metadata, oss
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.refreshing import RefreshingCredentials
from tests.credentials.conftest import offline
from tests.credentials.issuers import Cvm, Ecs, iso
from tests.rawserver import raw_server

pytestmark = pytest.mark.anyio

BOTH = pytest.mark.parametrize("cloud", [Ecs, Cvm])


@pytest.fixture
def ecs():
    return Ecs()


def paths(cloud):
    return [(seen.method, seen.path) for seen in cloud.seen]


@BOTH
async def test_the_credentials(refreshing, fetch, cloud):
    """The credentials and their expiry are those that the metadata service returned."""
    source = refreshing(cloud())
    assert await source.get(fetch) == Credentials("id-1", Secret("secret-1"), Secret("token-1"), source.expires)
    assert source.expires == pytest.approx(time.time() + 3600, abs=5)


async def test_version_2_of_ecs(refreshing, fetch, ecs):
    """A token with the longest lifetime is requested first, and sent with each request."""
    await refreshing(ecs).get(fetch)
    assert paths(ecs) == [
        ("PUT", "/latest/api/token"),
        ("GET", "/latest/meta-data/ram/security-credentials/"),
        ("GET", "/latest/meta-data/ram/security-credentials/exporter-role"),
    ]
    put, *gets = ecs.seen
    assert put.headers["x-aliyun-ecs-metadata-token-ttl-seconds"] == "21600"
    assert {seen.headers["x-aliyun-ecs-metadata-token"] for seen in gets} == {ecs.token}


@pytest.mark.parametrize(
    "answer",
    [
        *(Response(status_code=status) for status in (400, 403, 404, 405, 500)),
        PlainTextResponse(""),
        PlainTextResponse("<html> no token\n"),
    ],
    ids=["400", "403", "404", "405", "500", "empty", "garbage"],
)
async def test_version_1_of_ecs(refreshing, fetch, ecs, answer):
    """Without a token the credentials are requested by version 1, as the vendor's package does."""
    ecs.fault = lambda seen: answer if seen.method == "PUT" else None
    assert (await refreshing(ecs).get(fetch)).key_id == "id-1"
    assert [seen.headers.get("x-aliyun-ecs-metadata-token") for seen in ecs.seen] == [None] * 3


async def test_version_1_can_be_forbidden(refreshing, fetch, ecs, environment):
    """With ALIBABA_CLOUD_IMDSV1_DISABLED, version 1 is not used."""
    environment["ALIBABA_CLOUD_IMDSV1_DISABLED"] = "true"
    source = refreshing(ecs)
    assert (await source.get(fetch)).key_id == "id-1"
    ecs.fault = lambda seen: Response(status_code=403) if seen.method == "PUT" else None
    ecs.seen.clear()
    with pytest.raises(CredentialsError) as caught:
        await source._issuer.issue(fetch, time.time())
    assert (
        str(caught.value)
        == "the metadata service returned 403: no token of version 2, and ALIBABA_CLOUD_IMDSV1_DISABLED is set"
    )
    assert paths(ecs) == [("PUT", "/latest/api/token")]


async def test_a_token_that_never_arrives(refreshing, fetch, ecs, monkeypatch):
    """If the response with the token is lost, as in some containers, version 1 is used."""
    monkeypatch.setattr(metadata, "METADATA_SECONDS", 0.3)
    ecs.delay = lambda seen: 5.0 if seen.method == "PUT" else 0.0
    assert (await refreshing(ecs).get(fetch)).key_id == "id-1"


async def test_the_role_may_be_named(refreshing, fetch, ecs, environment):
    """With ALIBABA_CLOUD_ECS_METADATA, the role's name is not requested."""
    environment["ALIBABA_CLOUD_ECS_METADATA"] = "exporter-role"
    await refreshing(ecs).get(fetch)
    assert paths(ecs)[1:] == [("GET", "/latest/meta-data/ram/security-credentials/exporter-role")]


async def test_a_named_role_that_is_not_attached(refreshing, fetch, ecs, environment):
    """A role that is named but not attached raises an error with its name."""
    environment["ALIBABA_CLOUD_ECS_METADATA"] = "other"
    with pytest.raises(CredentialsError) as caught:
        await refreshing(ecs).get(fetch)
    assert (str(caught.value), caught.value.reason) == ("the role other is not attached to this machine", "config")


@BOTH
async def test_a_machine_without_a_role(refreshing, fetch, cloud):
    """On a machine without a role the source is not configured."""
    made = cloud()
    made.fault = lambda seen: Response(status_code=404) if seen.path == cloud.folder else None
    with pytest.raises(NotConfigured) as caught:
        await refreshing(made).get(fetch)
    assert (str(caught.value), caught.value.reason) == ("no role is attached to this machine", "config")


@BOTH
async def test_a_role_whose_credentials_are_refused(refreshing, fetch, cloud):
    """If the credentials of a role are refused, the error does not repeat the name that the service returned."""
    made = cloud()
    made.fault = lambda seen: Response(status_code=403) if seen.path == cloud.folder + cloud.role else None
    with pytest.raises(CredentialsError) as caught:
        await refreshing(made).get(fetch)
    advice = "cannot read the credentials of the role that the metadata service names"
    assert str(caught.value) == f"the metadata service returned 403: {advice}"
    assert caught.value.reason == "auth"


@BOTH
@pytest.mark.parametrize("body", ["", "../../user-data", "<html>login</html>", "a\nb", "x" * 129, "rölle"], ids=ascii)
async def test_an_invalid_role_name(refreshing, fetch, cloud, body):
    """An invalid name of a role raises an error, and never becomes part of a path."""
    made = cloud()
    made.fault = lambda seen: PlainTextResponse(body) if seen.path == cloud.folder else None
    with pytest.raises(CredentialsError, match="the role of this machine has an invalid name") as caught:
        await refreshing(made).get(fetch)
    assert caught.value.reason == "malformed"
    assert made.seen[-1].path == cloud.folder


@BOTH
async def test_an_error_code_with_status_200(refreshing, fetch, cloud):
    """If the field Code is not Success, the error contains it."""
    made = cloud()
    made.change = lambda fields: fields.update(Code="AssumeRole.Failed")
    with pytest.raises(CredentialsError) as caught:
        await refreshing(made).get(fetch)
    assert str(caught.value) == "the metadata service returned 200 AssumeRole.Failed: its Code is not Success"
    assert caught.value.reason == "auth"


async def test_metadata_can_be_disabled(environment):
    """With ALIBABA_CLOUD_ECS_METADATA_DISABLED no request is sent."""
    issuer = oss.EcsRoleIssuer({**environment, "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "True"})
    with pytest.raises(NotConfigured, match="disabled by ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
        await issuer.issue(offline, time.time())


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        (oss.EcsRoleIssuer({}), "http://100.100.100.200/latest/api/token"),
        (
            cos.CvmRoleIssuer(),
            "http://metadata.tencentyun.com/latest/meta-data/cam/security-credentials/",
        ),
    ],
    ids=["ecs", "cvm"],
)
async def test_the_address_of_the_service(issuer, url):
    """The vendors' addresses are requested without a proxy; if none responds, the source is not configured."""
    requests = []

    async def note(request, **bounds):
        requests.append((request.url, bounds["direct"]))
        raise TransportError("no route", reason="connect")

    with pytest.raises(NotConfigured, match="no metadata service: no route"):
        await issuer.issue(note, time.time())
    assert requests[0] == (url, True)
    assert all(direct for _, direct in requests)


async def test_the_credentials_uri(refreshing, fetch, ecs, environment):
    """With ALIBABA_CLOUD_CREDENTIALS_URI, only that URI is requested, with its query."""

    def answer(seen):
        if (seen.path, seen.query) != ("/keys", "who=exporter"):
            return Response(status_code=404)
        return JSONResponse({"Code": "Success", **ecs.keys(ecs.names), "Expiration": iso(ecs.expires())})

    ecs.fault = answer
    source = refreshing(ecs)
    environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = f"{source._issuer._endpoint}/keys?who=exporter"
    assert (await source.get(fetch)).key_id == "id-1"
    assert paths(ecs) == [("GET", "/keys")]
    environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = f"{source._issuer._endpoint}/hunter2"
    with pytest.raises(CredentialsError) as caught:
        await source._issuer.issue(fetch, time.time())
    assert str(caught.value) == "the credentials URI returned 404: check ALIBABA_CLOUD_CREDENTIALS_URI"


async def test_the_credentials_uri_may_use_a_proxy():
    """The credentials URI, which may name any host, is requested as the account's settings say."""
    requests = []

    async def note(request, **bounds):
        requests.append((request.url, bounds["direct"]))
        raise TransportError("no route", reason="connect")

    with pytest.raises(TransportError):
        await oss.EcsRoleIssuer({"ALIBABA_CLOUD_CREDENTIALS_URI": "http://keys.invalid"}).issue(note, time.time())
    assert requests == [("http://keys.invalid/", False)]


@pytest.mark.parametrize(
    "uri", ["ftp://h/x", "h/x", "http://", "http://u:p@h/", "http://h/a b", "http://[h/", "https://h/\nx"], ids=ascii
)
async def test_an_invalid_credentials_uri(uri):
    """An invalid URI raises an error, and no request is sent."""
    with pytest.raises(CredentialsError) as caught:
        await oss.EcsRoleIssuer({"ALIBABA_CLOUD_CREDENTIALS_URI": uri}).issue(offline, time.time())
    assert str(caught.value) == "ALIBABA_CLOUD_CREDENTIALS_URI must be http:// or https:// with a host"
    assert caught.value.reason == "config"


@pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY", "http_proxy"])
@BOTH
async def test_no_proxy_is_used(environment, refreshing, cloud, name):
    """Requests for the machine's credentials never use the proxy of the environment; other requests do."""
    heads = []

    async def proxy(peer):
        heads.append(peer.line)
        await peer.answer(status="407 Proxy Authentication Required")

    made = cloud()
    port = refreshing(made)._issuer._endpoint.rpartition(":")[2]
    outside = f"http://0.0.0.0:{port}"  # this machine too, but not by its name
    async with raw_server(proxy) as address:
        transport = Transport({name: f"http://{address}"})
        source = RefreshingCredentials("metadata", made.issuer(outside, environment))
        assert (await source.get(transport.fetch)).key_id == "id-1"
        assert heads == []
        other = await proxied(transport.fetch, outside)
        assert (other.status, len(heads)) == (407, 1)
        await transport.close()


async def proxied(fetch, url):
    """The response to a request that may use a proxy."""
    scheme, _, host = url.partition("://")
    return await fetch(Request("any", scheme, host, "/"), max_bytes=1000, seconds=5.0, direct=False)
