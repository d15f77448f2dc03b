from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials import cos, oss
from tests.credentials.conftest import offline
from tests.credentials.issuers import REQUEST_ID, TOKEN, AlibabaSts, TencentSts

pytestmark = pytest.mark.anyio

BOTH = pytest.mark.parametrize("cloud", [AlibabaSts, TencentSts])


async def test_the_request_of_rrsa(refreshing, fetch, environment):
    """RRSA sends an unsigned form for one hour, with the token in the body, where no log of URLs shows it."""
    cloud = AlibabaSts()
    await refreshing(cloud).get(fetch)
    [seen] = cloud.seen
    assert (seen.method, seen.path, seen.headers["content-type"]) == ("POST", "/", "application/x-www-form-urlencoded")
    query = dict(parse_qsl(seen.query, strict_parsing=True))
    moment = datetime.strptime(query.pop("Timestamp"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert moment.timestamp() == pytest.approx(time.time(), abs=5)
    assert query == {"Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "Format": "JSON"}
    assert dict(parse_qsl(seen.body.decode(), strict_parsing=True)) == {
        "RoleArn": environment["ALIBABA_CLOUD_ROLE_ARN"],
        "OIDCProviderArn": environment["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"],
        "OIDCToken": TOKEN,
        "RoleSessionName": "batchops-exporter",
        "DurationSeconds": "3600",
    }
    assert "authorization" not in seen.headers


async def test_the_session_name(refreshing, fetch, environment):
    """ALIBABA_CLOUD_ROLE_SESSION_NAME is the name of the session."""
    environment["ALIBABA_CLOUD_ROLE_SESSION_NAME"] = "cluster-7"
    cloud = AlibabaSts()
    await refreshing(cloud).get(fetch)
    assert b"RoleSessionName=cluster-7" in cloud.seen[0].body


@pytest.mark.parametrize(
    ("more", "host"),
    [
        ({}, "sts.aliyuncs.com"),
        ({"ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true"}, "sts.aliyuncs.com"),
        ({"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou"}, "sts.cn-hangzhou.aliyuncs.com"),
        (
            {"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "false"},
            "sts.cn-hangzhou.aliyuncs.com",
        ),
        (
            {"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "True"},
            "sts-vpc.cn-hangzhou.aliyuncs.com",
        ),
    ],
    ids=["no region", "VPC without region", "region", "no VPC", "VPC"],
)
async def test_the_endpoint_of_rrsa(environment, more, host):
    """The endpoint uses https and is that of the region and the network in the environment."""
    sent = await request_of(oss.RrsaIssuer({**environment, **more}))
    assert (sent["url"].partition("?")[0], sent["direct"]) == (f"https://{host}/", False)


async def test_the_endpoint_of_tke(environment):
    """The endpoint of TKE uses https, and a proxy may be used."""
    sent = await request_of(cos.TkeIssuer(environment))
    assert (sent["url"], sent["direct"]) == ("https://sts.tencentcloudapi.com/", False)


async def request_of(issuer):
    """Returns the URL and the bounds of the first request, without sending it."""
    sent: dict[str, object] = {}

    async def note(request, **bounds):
        sent.update(bounds, url=request.url)
        raise CredentialsError("noted", reason="config")

    with pytest.raises(CredentialsError, match="noted"):
        await issuer.issue(note, time.time())
    return sent


async def test_the_request_of_tke(refreshing, fetch, environment):
    """TKE sends an unsigned JSON document for two hours, with the headers of the API."""
    cloud = TencentSts()
    await refreshing(cloud).get(fetch)
    [seen] = cloud.seen
    headers = {name: value for name, value in seen.headers.items() if name.startswith("x-tc-")}
    assert int(headers.pop("x-tc-timestamp")) == pytest.approx(time.time(), abs=5)
    assert headers == {
        "x-tc-action": "AssumeRoleWithWebIdentity",
        "x-tc-version": "2018-08-13",
        "x-tc-region": "ap-guangzhou",
    }
    assert (seen.headers["authorization"], seen.headers["content-type"]) == ("SKIP", "application/json")
    assert json.loads(seen.body) == {
        "ProviderId": "cls-1",
        "WebIdentityToken": TOKEN,
        "RoleArn": environment["TKE_ROLE_ARN"],
        "RoleSessionName": "batchops-exporter",
        "DurationSeconds": 7200,
    }


@BOTH
async def test_the_credentials(refreshing, fetch, cloud):
    """The credentials and their expiry are those that STS returned."""
    source = refreshing(cloud())
    assert await source.get(fetch) == Credentials("id-1", Secret("secret-1"), Secret("token-1"), source.expires)
    assert source.expires == pytest.approx(time.time() + 3600, abs=5)


@BOTH
async def test_the_token_is_read_again(refreshing, fetch, clock, token_file, cloud):
    """Each renewal sends the current content of the token file, which the kubelet replaces."""
    made = cloud()
    source = refreshing(made)
    await source.get(fetch)
    token_file.write_text("eyJ0b2tlbi5uZXc")
    clock.offset = 4000
    with pytest.raises(CredentialsError):  # the cloud accepts only the first token
        await source.get(fetch)
    assert [b"eyJ0b2tlbi5uZXc" in seen.body for seen in made.seen] == [False, True]


@BOTH
async def test_a_refusal(refreshing, fetch, token_file, cloud):
    """If STS refuses, the error contains its code and request id, and nothing that was sent."""
    token_file.write_text("hunter2")
    with pytest.raises(CredentialsError) as caught:
        await refreshing(cloud()).get(fetch)
    code = {
        AlibabaSts: "AssumeRoleWithOIDC returned 400 AuthenticationFail.NoPermission",
        TencentSts: "AssumeRoleWithWebIdentity returned 200 InvalidParameter.WebIdentityTokenError",
    }[cloud]
    advice = "check the role, its trust policy (OIDC provider, service account) and the token"
    assert str(caught.value) == f"{code}: {advice} (request id {REQUEST_ID})"
    assert caught.value.reason == "auth"


@pytest.mark.parametrize(
    ("cloud", "body", "missing"),
    [
        (AlibabaSts, {"RequestId": "x"}, "Credentials"),
        (AlibabaSts, {"Credentials": []}, "Credentials"),
        (TencentSts, {"RequestId": "x"}, "Response"),
        (TencentSts, {"Response": {"Credentials": None}}, "Credentials"),
    ],
    ids=["oss", "oss, a list", "cos", "cos, nothing"],
)
async def test_a_response_without_its_objects(refreshing, fetch, cloud, body, missing):
    """A response without the object that contains the credentials is malformed."""
    made = cloud()
    made.fault = lambda _: JSONResponse(body)
    with pytest.raises(CredentialsError, match=f"returned no {missing}$") as caught:
        await refreshing(made).get(fetch)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        *((oss.RrsaIssuer, f"ALIBABA_CLOUD_{name}") for name in ("ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE")),
        *((cos.TkeIssuer, f"TKE_{name}") for name in ("REGION", "PROVIDER_ID", "WEB_IDENTITY_TOKEN_FILE", "ROLE_ARN")),
    ],
)
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
async def test_a_variable_that_is_missing(environment, issuer, name, value):
    """A variable that is not set raises an error that names it, and no request is sent."""
    environment.pop(name)
    if value is not None:
        environment[name] = value
    with pytest.raises(CredentialsError) as caught:
        await issuer(environment).issue(offline, time.time())
    assert (str(caught.value), caught.value.reason) == (f"not set in the environment: {name}", "config")


@pytest.mark.parametrize("issuer", [oss.RrsaIssuer, cos.TkeIssuer], ids=["oss", "cos"])
@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file or directory"), (b"", "is empty"), (b"a b", "contains a character")],
    ids=["missing", "empty", "blank"],
)
async def test_an_invalid_token_file(environment, token_file, issuer, content, message):
    """A missing or invalid token file raises an error that names it, and no request is sent."""
    token_file.unlink()
    if content is not None:
        token_file.write_bytes(content)
    with pytest.raises(CredentialsError) as caught:
        await issuer(environment).issue(offline, time.time())
    assert str(caught.value).startswith(f"{token_file} {message}")
    assert caught.value.reason == "config"


@pytest.mark.parametrize(
    ("issuer", "name"), [(oss.RrsaIssuer, "ALIBABA_CLOUD_STS_REGION"), (cos.TkeIssuer, "TKE_REGION")]
)
@pytest.mark.parametrize("region", ["cn.evil.example/", "cn\r\nx: y", "CN", "ü"], ids=ascii)
async def test_an_invalid_region(environment, issuer, name, region):
    """An invalid region never becomes part of a host or a header."""
    with pytest.raises(CredentialsError) as caught:
        await issuer({**environment, name: region}).issue(offline, time.time())
    assert (str(caught.value), caught.value.reason) == (f"{name} in the environment is not a valid region", "config")


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (
            {"via": "1.1 proxy"},
            "a proxy answered, not the service; check the rules of the proxy, proxy_url and NO_PROXY",
        ),
        ({}, "something other than the service answered; check endpoint, and whether a firewall or a proxy intervenes"),
    ],
)
@BOTH
async def test_an_answer_of_a_proxy(refreshing, fetch, cloud, headers, text):
    """An error page that the Security Token Service did not send says who did, and not to check the role."""
    made = cloud()
    made.fault = lambda _: PlainTextResponse("<html>Blocked</html>", 403, headers)
    with pytest.raises(CredentialsError) as caught:
        await refreshing(made).get(fetch)
    assert str(caught.value).endswith(f" returned 403: {text}")
    assert caught.value.reason == "http_4xx"
