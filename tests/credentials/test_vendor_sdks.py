"""The vendors' packages themselves, each in its own process: they read the environment when they are imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from exporter.credentials.header_values import header_problem
from tests.credentials.issuers import TOKEN, AlibabaSts, Cvm, Ecs, iso

OURS = re.compile(r"(AWS|ALIBABA_CLOUD|TENCENTCLOUD|TKE)_.*|.*_proxy", re.IGNORECASE)
NO_ECS = {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}
NO_EC2 = {"AWS_EC2_METADATA_DISABLED": "true"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path):
    """Starts `print_credentials`; each call returns one of its lines. Its log must contain no secret."""

    @contextmanager
    def start(provider, environment):
        whole = {name: value for name, value in os.environ.items() if not OURS.fullmatch(name)}
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        whole |= {"HOME": str(tmp_path), "PYTHONPATH": paths, **environment}
        log = tmp_path / "log"
        with (
            log.open("w") as stderr,
            subprocess.Popen(
                [sys.executable, "-m", "tests.credentials.print_credentials", provider],
                env=whole,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as process,
        ):
            assert process.stdin
            assert process.stdout
            put, take = process.stdin, process.stdout

            def load(identity="", *, refused=False):
                put.write(f"{identity}{' refused' * refused}\n")
                put.flush()
                line = take.readline()
                assert line, log.read_text()
                return json.loads(line)

            yield load
            put.close()
        lines = log.read_text()
        assert [secret for secret in ("hunter2", "secret-", "token-", TOKEN) if secret in lines] == []
        assert "Traceback" not in lines

    return start


@pytest.fixture
def load(program):
    """Returns one line of the program."""

    def once(provider, environment, identity=""):
        with program(provider, environment) as load:
            return load(identity)

    return once


@pytest.fixture
def through_proxy(cloud_server):
    """Serves a cloud as the proxy for all plain HTTP; returns the environment that selects it."""
    made, url = cloud_server

    def live(cloud):
        async def proxy(scope, receive, send):
            path = re.sub("^https?://[^/]*", "", scope["path"])
            await cloud({**scope, "path": path, "raw_path": path.encode()}, receive, send)

        made.cloud = proxy
        return {"HTTP_PROXY": url, "http_proxy": url}

    return live


@pytest.fixture
def live(cloud_server):
    """Serves the responses of a function; returns the base URL."""
    made, url = cloud_server

    def respond(function):
        cloud = Ecs()
        cloud.fault = function
        made.cloud = cloud
        return url

    return respond


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_alibaba_environment(load):
    """Alibaba's package reads its variables, which do not expire; no other package is imported."""
    variables = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hunter2"}
    result = load("oss", NO_ECS | variables)
    assert result == {"keys": ["i", "hunter2", None], "expires": None, "imported": ["alibabacloud_credentials"]}


def test_alibaba_profile(load, tmp_path):
    """Alibaba's package reads the profile of its command line that the environment names."""
    profiles = [
        {"name": "default", "mode": "AK", "access_key_id": "other", "access_key_secret": "x"},
        {
            "name": "monitoring",
            "mode": "StsToken",
            "access_key_id": "i",
            "access_key_secret": "hunter2",
            "sts_token": "t",
        },
    ]
    write(tmp_path / ".aliyun/config.json", json.dumps({"current": "default", "profiles": profiles}))
    result = load("oss", NO_ECS | {"ALIBABA_CLOUD_PROFILE": "monitoring"})
    assert (result["keys"], result["expires"]) == (["i", "hunter2", "t"], None)


def test_alibaba_credentials_file(load, tmp_path):
    """Alibaba's package reads its older file of credentials."""
    text = "[default]\ntype = access_key\naccess_key_id = i\naccess_key_secret = hunter2\n"
    write(tmp_path / ".alibabacloud/credentials.ini", text)
    assert load("oss", NO_ECS)["keys"] == ["i", "hunter2", None]


def test_alibaba_keeps_to_its_provider(program, tmp_path):
    """After a refusal, the chosen provider reads its file again, even if an earlier one has credentials now."""
    file = tmp_path / ".alibabacloud/credentials.ini"
    text = "[default]\ntype = access_key\naccess_key_id = {}\naccess_key_secret = hunter2\n"
    write(file, text.format("i"))
    profile = {"name": "default", "mode": "AK", "access_key_id": "other", "access_key_secret": "hunter2"}
    with program("oss", NO_ECS) as load:
        assert load()["keys"][0] == "i"
        write(tmp_path / ".aliyun/config.json", json.dumps({"current": "default", "profiles": [profile]}))
        write(file, text.format("j"))
        assert load(refused=True)["keys"][0] == "j"


def test_alibaba_role(program, through_proxy):
    """Alibaba's package accepts the ECS metadata service of these tests, and returns the expiry."""
    ecs = Ecs()
    with program("oss", through_proxy(ecs)) as load:
        result, again = load(), load()
    assert result["keys"] == again["keys"] == ["id-1", "secret-1", "token-1"]
    assert result["expires"] == pytest.approx(time.time() + 3600, abs=30)
    assert ecs.issued == 1


def test_alibaba_uri(load, live):
    """Alibaba's package requests a credentials URI, and returns the expiry."""
    end = time.time() + 3600
    parts = {"AccessKeyId": "i", "AccessKeySecret": "hunter2", "SecurityToken": "t", "Expiration": iso(end)}
    url = live(lambda _: JSONResponse({"Code": "Success", **parts}))
    result = load("oss", NO_ECS | {"ALIBABA_CLOUD_CREDENTIALS_URI": f"{url}/keys"})
    assert (result["keys"], result["expires"]) == (["i", "hunter2", "t"], int(end))


def test_alibaba_without_credentials(load, live):
    """If Alibaba's package finds nothing, the error names each of its providers, and contains no response."""
    url = live(lambda _: JSONResponse({"Code": "Forbidden.X", "AccessKeySecret": "hunter2"}, 403))
    result = load("oss", NO_ECS | {"ALIBABA_CLOUD_CREDENTIALS_URI": url, "ALIBABA_CLOUD_CLI_PROFILE_DISABLED": "true"})
    assert result == {
        "error": (
            "alibabacloud_credentials found no credentials: env: Environment variable accessKeyId cannot be empty, "
            "cli_profile: cli credentials file is disabled, "
            "profile: failed to get credential from credentials file, "
            "credential_uri: error refreshing credentials from http 403 Forbidden.X"
        ),
        "reason": "config",
        "not configured": True,
    }


def run(program, **variables):
    """Returns the output of a Python program."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_alibaba_default_chain():
    """The providers are those of the default chain of Alibaba's package, in its order."""
    program = (
        "from alibabacloud_credentials.provider import DefaultCredentialsProvider as Default\n"
        "from exporter.credentials.sdk import Identity\n"
        "from exporter.credentials.sdk_alibaba import AlibabaSdk\n"
        "chain = Default()._DefaultCredentialsProvider__providers_chain\n"
        "assert list(map(type, chain)) == list(map(type, AlibabaSdk(Identity())._chain()))\n"
        "print(len(chain))\n"
    )
    names = ("ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE", "CREDENTIALS_URI")
    assert run(program, **{f"ALIBABA_CLOUD_{name}": "x" for name in names}) == "6\n"


def test_alibaba_accepts_our_sts(cloud_server, token_file):
    """Alibaba's own client accepts the STS of these tests."""
    made, url = cloud_server
    made.cloud = AlibabaSts()
    program = (
        "from alibabacloud_credentials.provider import OIDCRoleArnCredentialsProvider as Oidc\n"
        f"names = dict(role_arn='r', oidc_provider_arn='p', oidc_token_file_path={str(token_file)!r})\n"
        f"oidc = Oidc(**names, sts_endpoint={url!r})\n"
        "print(oidc.get_credentials().get_access_key_id())\n"
    )
    assert run(program) == "id-1\n"


def test_alibaba_fails_later(program, live):
    """If the chosen provider of Alibaba's package fails later, no other one is used instead."""
    parts = {"AccessKeyId": "i", "AccessKeySecret": "hunter2", "SecurityToken": "t"}
    answers = [
        JSONResponse({"Code": "Success", **parts, "Expiration": iso(time.time() + 600)}),
        Response(status_code=500),
    ]
    uri = live(lambda _: answers.pop(0))
    with program("oss", NO_ECS | {"ALIBABA_CLOUD_CREDENTIALS_URI": uri}) as load:
        assert load()["keys"] == ["i", "hunter2", "t"]
        result = load()  # 10 minutes before the expiry, the package sends a request each time
    error = (
        "alibabacloud_credentials returned no credentials: credential_uri: error refreshing credentials from http 500"
    )
    assert result == {"error": error, "reason": "auth", "not configured": False}


def test_tencent_environment(load):
    """Tencent's package reads its variables; no other package is imported."""
    result = load("cos", {"TENCENTCLOUD_SECRET_ID": "i", "TENCENTCLOUD_SECRET_KEY": "hunter2"})
    assert result == {"keys": ["i", "hunter2", None], "expires": None, "imported": ["tencentcloud"]}


def test_tencent_profile(program, tmp_path):
    """Tencent's package reads its profile, and reads it again."""
    file = tmp_path / ".tencentcloud/credentials"
    write(file, "[default]\nsecret_id=i\nsecret_key=hunter2\n")
    with program("cos", {}) as load:
        assert load()["keys"] == ["i", "hunter2", None]
        write(file, "[default]\nsecret_id=j\nsecret_key=hunter3\n")
        assert load()["keys"] == ["j", "hunter3", None]


def test_tencent_role(program, through_proxy):
    """Tencent's package accepts the CVM metadata service of these tests."""
    cvm = Cvm()
    with program("cos", through_proxy(cvm)) as load:
        result, again = load(), load()
    assert result["keys"] == again["keys"] == ["id-1", "secret-1", "token-1"]
    assert cvm.issued == 1


def test_tencent_without_credentials(load, through_proxy):
    """If Tencent's package finds nothing, it is not configured."""
    cvm = Cvm()
    cvm.fault = lambda _: Response(status_code=404)
    result = load("cos", through_proxy(cvm))
    assert result == {
        "error": "tencentcloud found no credentials (OSError)",
        "reason": "config",
        "not configured": True,
    }


def test_aws_environment(load):
    """The package botocore reads its variables; no other package is imported."""
    variables = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_SESSION_TOKEN": "t"}
    result = load("s3", NO_EC2 | variables)
    assert result == {"keys": ["i", "hunter2", "t"], "expires": None, "imported": ["botocore"]}


def test_aws_profile(program, tmp_path):
    """The package botocore reads the profile that the environment names, and reads it again."""
    file = tmp_path / ".aws/credentials"
    text = (
        "[default]\naws_access_key_id=x\naws_secret_access_key=x\n[m]\naws_access_key_id={}\naws_secret_access_key=y\n"
    )
    write(file, text.format("i"))
    with program("s3", NO_EC2 | {"AWS_PROFILE": "m"}) as load:
        assert load()["keys"] == ["i", "y", None]
        write(file, text.format("j"))
        assert load()["keys"] == ["j", "y", None]


def sts(action, end, keys=("id-1", "secret-1", "token-1")):
    """The response of AWS STS to `action`."""
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    parts = "".join(f"<{name}>{escape(part)}</{name}>" for name, part in zip(names, (*keys, iso(end)), strict=True))
    result = f"<{action}Result><Credentials>{parts}</Credentials></{action}Result>"
    xmlns = "https://sts.amazonaws.com/doc/2011-06-15/"
    return PlainTextResponse(f'<{action}Response xmlns="{xmlns}">{result}</{action}Response>', media_type="text/xml")


def test_aws_assumed_role(program, tmp_path, live):
    """The package botocore assumes the role of a profile once, and returns the expiry."""
    end = int(time.time()) + 3600
    requests = []

    def answer(seen):
        requests.append(seen.body)
        return sts("AssumeRole", end)

    role = "role_arn=arn:aws:iam::1:role/r\nsource_profile=base\n"
    write(tmp_path / ".aws/config", f"[profile m]\n{role}[profile base]\n")
    write(tmp_path / ".aws/credentials", "[base]\naws_access_key_id=i\naws_secret_access_key=hunter2\n")
    environment = NO_EC2 | {"AWS_PROFILE": "m", "AWS_ENDPOINT_URL_STS": live(answer), "AWS_DEFAULT_REGION": "us-east-1"}
    with program("s3", environment) as load:
        result, again = load(), load()
    assert result == again, result
    assert (result["keys"], result["expires"]) == (["id-1", "secret-1", "token-1"], end)
    assert len(requests) == 1


@pytest.fixture
def irsa(token_file, live):
    """The variables that EKS adds to a pod; STS is a function."""

    def environment(answer):
        role = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file)}
        return NO_EC2 | role | {"AWS_ENDPOINT_URL_STS": live(answer), "AWS_DEFAULT_REGION": "us-east-1"}

    return environment


def test_aws_irsa(load, irsa):
    """The package botocore exchanges a service account's token, and returns the expiry."""
    end = int(time.time()) + 3600
    result = load("s3", irsa(lambda _: sts("AssumeRoleWithWebIdentity", end)))
    assert (result["keys"], result["expires"]) == (["id-1", "secret-1", "token-1"], end)


def test_aws_refusal(load, irsa):
    """If AWS refuses, the error contains its code, and nothing else of the response."""
    body = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>hunter2</Message></Error></ErrorResponse>"
    result = load("s3", irsa(lambda _: PlainTextResponse(body, 400)))
    assert (result["reason"], result["not configured"]) == ("auth", False)
    assert re.fullmatch(r"botocore returned no credentials: \w+ \(InvalidIdentityToken\)", result["error"])


@pytest.mark.parametrize(
    ("environment", "message", "not_configured"),
    [
        ({}, "botocore found no credentials", True),
        ({"AWS_PROFILE": "hunter2"}, "botocore returned no credentials: ProfileNotFound", False),
        ({"AWS_ACCESS_KEY_ID": "hunter2"}, "botocore returned no credentials: PartialCredentialsError", False),
        (
            {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "hunter2 "},
            f"botocore returned a key that {header_problem(' ')}",
            False,
        ),
    ],
    ids=["nothing", "profile", "incomplete", "space"],
)
def test_aws_without_credentials(load, environment, message, not_configured):
    """If botocore finds no usable credentials, the error contains no value."""
    result = load("s3", NO_EC2 | environment)
    assert (result["error"], result["not configured"]) == (message, not_configured)
