"""The vendors' packages themselves, each in a process of its own: they read the environment when they are imported."""

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
def asking(tmp_path):
    """Starts the program that asks; each call of what it gives is one answer. Nothing of it may stand in its log."""

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
            ) as program,
        ):
            assert program.stdin
            assert program.stdout
            put, take = program.stdin, program.stdout

            def ask():
                put.write("\n")
                put.flush()
                line = take.readline()
                assert line, log.read_text()
                return json.loads(line)

            yield ask
            put.close()
        told = log.read_text()
        assert [secret for secret in ("hunter2", "secret-", "token-", TOKEN) if secret in told] == []
        assert "Traceback" not in told

    return start


@pytest.fixture
def ask(asking):
    """One answer of the program."""

    def once(provider, environment):
        with asking(provider, environment) as ask:
            return ask()

    return once


@pytest.fixture
def through_proxy(cloud_server):
    """Lets a cloud answer for every host that is asked for over plain HTTP; gives the environment for it."""
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
    """Lets a function answer; gives the base URL."""
    made, url = cloud_server

    def answer(function):
        cloud = Ecs()
        cloud.fault = function
        made.cloud = cloud
        return url

    return answer


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_alibaba_environment(ask):
    """Alibaba's package reads its variables; the keys do not expire; no other package is imported."""
    variables = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hunter2"}
    found = ask("oss", NO_ECS | variables)
    assert found == {"keys": ["i", "hunter2", None], "expires": None, "imported": ["alibabacloud_credentials"]}


def test_alibaba_profile(ask, tmp_path):
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
    found = ask("oss", NO_ECS | {"ALIBABA_CLOUD_PROFILE": "monitoring"})
    assert (found["keys"], found["expires"]) == (["i", "hunter2", "t"], None)


def test_alibaba_credentials_file(ask, tmp_path):
    """Alibaba's package reads its older file of credentials."""
    text = "[default]\ntype = access_key\naccess_key_id = i\naccess_key_secret = hunter2\n"
    write(tmp_path / ".alibabacloud/credentials.ini", text)
    assert ask("oss", NO_ECS)["keys"] == ["i", "hunter2", None]


def test_alibaba_role(asking, through_proxy):
    """Alibaba's package gets the keys of the ECS role, from what our own source is tested with, and tells their end."""
    ecs = Ecs()
    with asking("oss", through_proxy(ecs)) as ask:
        found, again = ask(), ask()
    assert found["keys"] == again["keys"] == ["id-1", "secret-1", "token-1"]
    assert found["expires"] == pytest.approx(time.time() + 3600, abs=30)
    assert ecs.issued == 1


def test_alibaba_uri(ask, live):
    """Alibaba's package gets keys from a URI, and tells their end."""
    end = time.time() + 3600
    parts = {"AccessKeyId": "i", "AccessKeySecret": "hunter2", "SecurityToken": "t", "Expiration": iso(end)}
    url = live(lambda _: JSONResponse({"Code": "Success", **parts}))
    found = ask("oss", NO_ECS | {"ALIBABA_CLOUD_CREDENTIALS_URI": f"{url}/keys"})
    assert (found["keys"], found["expires"]) == (["i", "hunter2", "t"], int(end))


def test_alibaba_without_keys(ask, live):
    """Where Alibaba's package finds nothing, each of its ways is told, and nothing of what was answered."""
    url = live(lambda _: JSONResponse({"Code": "Forbidden.X", "AccessKeySecret": "hunter2"}, 403))
    found = ask("oss", NO_ECS | {"ALIBABA_CLOUD_CREDENTIALS_URI": url, "ALIBABA_CLOUD_CLI_PROFILE_DISABLED": "true"})
    assert found == {
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
    """What a Python program prints."""
    environment = os.environ | variables
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_alibaba_has_no_other_ways():
    """The ways that are asked are those of the default chain of Alibaba's package, in its order."""
    program = (
        "from alibabacloud_credentials.provider import DefaultCredentialsProvider as Default\n"
        "from exporter.credentials.oss import AlibabaSdk\n"
        "chain = Default()._DefaultCredentialsProvider__providers_chain\n"
        "assert [type(one) for one in chain] == [type(one) for one in AlibabaSdk._providers()]\n"
        "print(len(chain))\n"
    )
    names = ("ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE", "CREDENTIALS_URI")
    assert run(program, **{f"ALIBABA_CLOUD_{name}": "x" for name in names}) == "6\n"


def test_alibaba_judges_our_cloud(cloud_server, token_file):
    """The cloud that RRSA is tested with gives keys to Alibaba's own client too."""
    made, url = cloud_server
    made.cloud = AlibabaSts()
    program = (
        "from alibabacloud_credentials.provider import OIDCRoleArnCredentialsProvider as Oidc\n"
        f"names = dict(role_arn='r', oidc_provider_arn='p', oidc_token_file_path={str(token_file)!r})\n"
        f"oidc = Oidc(**names, sts_endpoint={url!r})\n"
        "print(oidc.get_credentials().get_access_key_id())\n"
    )
    assert run(program) == "id-1\n"


def test_alibaba_fails_later(asking, live):
    """Where the way that gave keys fails later, that is a failure of it: no other way is asked in its place."""
    parts = {"AccessKeyId": "i", "AccessKeySecret": "hunter2", "SecurityToken": "t"}
    answers = [
        JSONResponse({"Code": "Success", **parts, "Expiration": iso(time.time() + 600)}),
        Response(status_code=500),
    ]
    uri = live(lambda _: answers.pop(0))
    with asking("oss", NO_ECS | {"ALIBABA_CLOUD_CREDENTIALS_URI": uri}) as ask:
        assert ask()["keys"] == ["i", "hunter2", "t"]
        found = ask()  # 10 minutes before the end, the package asks each time
    told = (
        "alibabacloud_credentials returned no credentials: credential_uri: error refreshing credentials from http 500"
    )
    assert found == {"error": told, "reason": "auth", "not configured": False}


def test_tencent_environment(ask):
    """Tencent's package reads its variables; no other package is imported."""
    found = ask("cos", {"TENCENTCLOUD_SECRET_ID": "i", "TENCENTCLOUD_SECRET_KEY": "hunter2"})
    assert found == {"keys": ["i", "hunter2", None], "expires": None, "imported": ["tencentcloud"]}


def test_tencent_profile(asking, tmp_path):
    """Tencent's package reads its profile, and reads it again."""
    file = tmp_path / ".tencentcloud/credentials"
    write(file, "[default]\nsecret_id=i\nsecret_key=hunter2\n")
    with asking("cos", {}) as ask:
        assert ask()["keys"] == ["i", "hunter2", None]
        write(file, "[default]\nsecret_id=j\nsecret_key=hunter3\n")
        assert ask()["keys"] == ["j", "hunter3", None]


def test_tencent_role(asking, through_proxy):
    """Tencent's package gets the keys of the CVM role, from what our own source is tested with."""
    cvm = Cvm()
    with asking("cos", through_proxy(cvm)) as ask:
        found, again = ask(), ask()
    assert found["keys"] == again["keys"] == ["id-1", "secret-1", "token-1"]
    assert cvm.issued == 1


def test_tencent_without_keys(ask, through_proxy):
    """Where Tencent's package finds nothing, that is said."""
    cvm = Cvm()
    cvm.fault = lambda _: Response(status_code=404)
    found = ask("cos", through_proxy(cvm))
    assert found == {"error": "tencentcloud found no credentials (OSError)", "reason": "config", "not configured": True}


def test_aws_environment(ask):
    """The package botocore reads its variables; no other package is imported."""
    variables = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_SESSION_TOKEN": "t"}
    found = ask("s3", NO_EC2 | variables)
    assert found == {"keys": ["i", "hunter2", "t"], "expires": None, "imported": ["botocore"]}


def test_aws_profile(asking, tmp_path):
    """The package botocore reads the profile that the environment names, and reads it again."""
    file = tmp_path / ".aws/credentials"
    text = (
        "[default]\naws_access_key_id=x\naws_secret_access_key=x\n[m]\naws_access_key_id={}\naws_secret_access_key=y\n"
    )
    write(file, text.format("i"))
    with asking("s3", NO_EC2 | {"AWS_PROFILE": "m"}) as ask:
        assert ask()["keys"] == ["i", "y", None]
        write(file, text.format("j"))
        assert ask()["keys"] == ["j", "y", None]


def sts(action, end, keys=("id-1", "secret-1", "token-1")):
    """The answer of AWS STS to `action`."""
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    parts = "".join(f"<{name}>{escape(part)}</{name}>" for name, part in zip(names, (*keys, iso(end)), strict=True))
    result = f"<{action}Result><Credentials>{parts}</Credentials></{action}Result>"
    xmlns = "https://sts.amazonaws.com/doc/2011-06-15/"
    return PlainTextResponse(f'<{action}Response xmlns="{xmlns}">{result}</{action}Response>', media_type="text/xml")


def test_aws_assumed_role(asking, tmp_path, live):
    """The package botocore assumes the role of a profile, keeps its keys, and tells their end."""
    end = int(time.time()) + 3600
    asked = []

    def answer(seen):
        asked.append(seen.body)
        return sts("AssumeRole", end)

    role = "role_arn=arn:aws:iam::1:role/r\nsource_profile=base\n"
    write(tmp_path / ".aws/config", f"[profile m]\n{role}[profile base]\n")
    write(tmp_path / ".aws/credentials", "[base]\naws_access_key_id=i\naws_secret_access_key=hunter2\n")
    environment = NO_EC2 | {"AWS_PROFILE": "m", "AWS_ENDPOINT_URL_STS": live(answer), "AWS_DEFAULT_REGION": "us-east-1"}
    with asking("s3", environment) as ask:
        found, again = ask(), ask()
    assert found == again, found
    assert (found["keys"], found["expires"]) == (["id-1", "secret-1", "token-1"], end)
    assert len(asked) == 1


@pytest.fixture
def irsa(token_file, live):
    """What EKS puts into a pod, with STS answered by a function."""

    def environment(answer):
        role = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file)}
        return NO_EC2 | role | {"AWS_ENDPOINT_URL_STS": live(answer), "AWS_DEFAULT_REGION": "us-east-1"}

    return environment


def test_aws_irsa(ask, irsa):
    """The package botocore gets the keys of a service account's role with its token, and tells their end."""
    end = int(time.time()) + 3600
    found = ask("s3", irsa(lambda _: sts("AssumeRoleWithWebIdentity", end)))
    assert (found["keys"], found["expires"]) == (["id-1", "secret-1", "token-1"], end)


def test_aws_refusal(ask, irsa):
    """Where AWS refuses, its code is told, and nothing else of the answer."""
    body = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>hunter2</Message></Error></ErrorResponse>"
    found = ask("s3", irsa(lambda _: PlainTextResponse(body, 400)))
    assert (found["reason"], found["not configured"]) == ("auth", False)
    assert re.fullmatch(r"botocore returned no credentials: \w+ \(InvalidIdentityToken\)", found["error"])


@pytest.mark.parametrize(
    ("environment", "message", "not_set_up"),
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
    ids=["nothing", "profile", "half", "blank"],
)
def test_aws_without_keys(ask, environment, message, not_set_up):
    """Where botocore finds no keys that can be used, that is said without any value."""
    found = ask("s3", NO_EC2 | environment)
    assert (found["error"], found["not configured"]) == (message, not_set_up)
