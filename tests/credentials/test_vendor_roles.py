"""A role for each account of one process, with the vendors' packages and an STS on loopback."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme
from starlette.responses import PlainTextResponse

from tests.credentials.issuers import Cvm, iso
from tests.credentials.test_vendor_sdks import NO_EC2, NO_ECS, live, load, program, sts, through_proxy, write

__all__ = ["live", "load", "program", "through_proxy"]

TEAMS = [f"team-{number}" for number in range(1, 11)]


class StsProxy(BaseHTTPRequestHandler):
    """A proxy that is the vendor's STS itself: it ends the tunnel's TLS, and answers what comes through."""

    protocol_version = "HTTP/1.1"
    context: ssl.SSLContext
    hosts: list[str]
    calls: list[dict[str, str]]

    def do_CONNECT(self):
        self.hosts.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_GET(self):
        call = dict(parse_qsl(urlsplit(self.path).query))
        self.calls.append(call)
        names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
        self._answer({"Credentials": {**keys(names, call), "Expiration": iso(self.end)}})

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["content-length"])))
        secret_id = self.headers["authorization"].partition("Credential=")[2].partition("/")[0]
        call |= {"AccessKeyId": secret_id, "Token": self.headers["x-tc-token"], "Action": self.headers["x-tc-action"]}
        self.calls.append(call)
        names = ("TmpSecretId", "TmpSecretKey", "Token")
        self._answer({"Response": {"Credentials": keys(names, call), "ExpiredTime": self.end, "RequestId": "r"}})

    def finish(self):
        super().finish()
        self.connection.close()  # the server closes the socket below it

    @property
    def end(self):
        """An hour from now, in whole Unix seconds."""
        return int(time.time()) + 3600

    def _answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Print nothing."""


def keys(names, call):
    """New keys, made of the name of the session and the external id."""
    team = f"{call['RoleSessionName']}/{call.get('ExternalId', '')}"
    return dict(zip(names, (f"id:{team}", f"secret-{team}", f"token-{team}"), strict=True))


@pytest.fixture
def sts_proxy(tmp_path):
    """The handler class of a running StsProxy, and the environment that selects it."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("sts.aliyuncs.com", "sts.tencentcloudapi.com").configure_cert(context)
    handler = type("Handler", (StsProxy,), {"context": context, "hosts": [], "calls": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    proxy = f"http://127.0.0.1:{server.server_address[1]}"
    with contextlib.ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        yield handler, {"HTTPS_PROXY": proxy, "TEST_CA": str(tmp_path / "ca.pem")}


def identity(arn, team, **more):
    """The identity of a team as JSON."""
    return json.dumps({"role_arn": arn.format(team), "external_id": f"for-{team}", "session_name": team, **more})


def check_teams(load, arn):
    """Loads the credentials of each team twice in one process; they must be those of its role."""
    for _ in range(2):
        for team in TEAMS:
            result = load(identity(arn, team))
            assert result["keys"] == [f"id:{team}/for-{team}", f"secret-{team}/for-{team}", f"token-{team}/for-{team}"]
            assert result["expires"] == pytest.approx(time.time() + 3600, abs=60)


def test_alibaba_roles(program, sts_proxy):
    """With Alibaba's package, ten accounts have a role each, assumed with the keys in the environment."""
    sts, proxy = sts_proxy
    own = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hunter2"}
    arn = "acs:ram::1:role/{}"
    with program("oss", NO_ECS | own | proxy) as load:
        check_teams(load, arn)
    assert {host.partition(":")[0] for host in sts.hosts} == {"sts.aliyuncs.com"}
    assert [call["RoleArn"] for call in sts.calls] == [arn.format(team) for team in TEAMS]
    assert {(call["Action"], call["AccessKeyId"]) for call in sts.calls} == {("AssumeRole", "i")}


def test_alibaba_profile_and_role(program, sts_proxy, tmp_path):
    """With Alibaba's package, a role is assumed with the keys of the account's own profile; a refusal renews them."""
    sts, proxy = sts_proxy
    profiles = [
        {"name": name, "mode": "AK", "access_key_id": f"id-of-{name}", "access_key_secret": "hunter2"}
        for name in ("default", "a", "b")
    ]
    write(tmp_path / ".aliyun/config.json", json.dumps({"current": "default", "profiles": profiles}))
    with program("oss", NO_ECS | proxy) as load:
        assert load(json.dumps({"profile": "a"}))["keys"] == ["id-of-a", "hunter2", None]
        for name in ("a", "b"):
            assert load(identity("acs:ram::1:role/r", "me", profile=name))["keys"][0] == "id:me/for-me"
        load(identity("acs:ram::1:role/r", "me", profile="b"), refused=True)
    assert [call["AccessKeyId"] for call in sts.calls] == ["id-of-a", "id-of-b", "id-of-b"]


def test_tencent_roles(program, sts_proxy):
    """With Tencent's package, ten accounts have a role each, also if the keys in the environment have a token."""
    sts, proxy = sts_proxy
    own = {"TENCENTCLOUD_SECRET_ID": "i", "TENCENTCLOUD_SECRET_KEY": "hunter2", "TENCENTCLOUD_TOKEN": "t"}
    arn = "qcs::cam::uin/1:roleName/{}"
    with program("cos", own | proxy) as load:
        check_teams(load, arn)
    assert {host.partition(":")[0] for host in sts.hosts} == {"sts.tencentcloudapi.com"}
    assert [call["RoleArn"] for call in sts.calls] == [arn.format(team) for team in TEAMS] * 2
    assert {(call["Action"], call["AccessKeyId"], call["Token"]) for call in sts.calls} == {("AssumeRole", "i", "t")}


def test_tencent_role_of_an_instances_role(program, sts_proxy, through_proxy):
    """With Tencent's package, a role can be assumed with the temporary keys of an instance's role."""
    sts, proxy = sts_proxy
    with program("cos", through_proxy(Cvm()) | proxy) as load:
        assert load(identity("qcs::cam::uin/1:roleName/r", "me"))["keys"][0] == "id:me/for-me"
    assert [(call["AccessKeyId"], call["Token"]) for call in sts.calls] == [("id-1", "token-1")]


@pytest.mark.parametrize(("partition", "region"), [("aws", "us-east-1"), ("aws-cn", "cn-north-1")])
def test_aws_roles(program, live, partition, region):
    """With botocore, ten accounts of one process have a role each, assumed in a region of the role's partition."""
    calls = []
    arn = f"arn:{partition}:iam::1:role/{{}}"

    def answer(seen):
        call = dict(parse_qsl(seen.body.decode()))
        calls.append((call["RoleArn"], seen.headers["authorization"]))
        return sts("AssumeRole", int(time.time()) + 3600, keys(("id", "secret", "token"), call).values())

    own = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_ENDPOINT_URL_STS": live(answer)}
    with program("s3", NO_EC2 | own) as load:
        check_teams(load, arn)
    assert [role for role, _ in calls] == [arn.format(team) for team in TEAMS]
    assert all("Credential=i/" in sent and f"/{region}/sts/" in sent for _, sent in calls)


def test_aws_profile_and_role(program, live, tmp_path):
    """With botocore, each account has its own profile, from which a role is assumed; a refusal assumes it again."""
    calls = []

    def answer(seen):
        call = dict(parse_qsl(seen.body.decode()))
        calls.append(seen.headers["authorization"].partition("Credential=")[2].partition("/")[0])
        return sts("AssumeRole", int(time.time()) + 3600, keys(("id", "secret", "token"), call).values())

    text = "".join(f"[{name}]\naws_access_key_id=id-{name}\naws_secret_access_key=hunter2\n" for name in ("a", "b"))
    write(tmp_path / ".aws/credentials", text)
    with program("s3", NO_EC2 | {"AWS_ENDPOINT_URL_STS": live(answer)}) as load:
        assert load(json.dumps({"profile": "a"}))["keys"] == ["id-a", "hunter2", None]
        role = identity("arn:aws:iam::1:role/r", "me", profile="a")
        assert load(role)["keys"] == load(role)["keys"] == ["id:me/for-me", "secret-me/for-me", "token-me/for-me"]
        load(identity("arn:aws:iam::1:role/r", "me", profile="b"))
        load(role, refused=True)
    assert calls == ["id-a", "id-b", "id-a"]


def test_a_role_that_aws_refuses(load, live):
    """If STS refuses a role, the error contains its code and no other text of the response."""
    body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>hunter2</Message></Error></ErrorResponse>"
    own = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    url = live(lambda _: PlainTextResponse(body, 403))
    with_role = identity("arn:aws:iam::1:role/r", "me")
    result = load("s3", NO_EC2 | own | {"AWS_ENDPOINT_URL_STS": url}, with_role)
    assert result["error"] == "botocore returned no credentials: ClientError (AccessDenied)"
    assert result["reason"] == "auth"
