from __future__ import annotations

import pytest

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.environment import EnvironmentCredentials
from exporter.providers import PROVIDERS
from exporter.providers.s3 import S3
from tests.credentials.conftest import offline

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(read):
    """The source `environment` over a mapping."""
    return lambda environment: read({"source": "environment"}, environment)[0]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"A_ID": "i", "A_SECRET": "s"}, Credentials("i", Secret("s"))),
        ({"A_ID": "i", "A_SECRET": "s", "A_TOKEN": "t"}, Credentials("i", Secret("s"), Secret("t"))),
        ({"A_ID": "i", "A_SECRET": "s", "B_ID": "j", "B_SECRET": "u"}, Credentials("i", Secret("s"))),
        ({"B_ID": "j", "B_SECRET": "u", "B_TOKEN": "w"}, Credentials("j", Secret("u"), Secret("w"))),
        ({"A_ID": "", "A_TOKEN": "", "B_ID": "j", "B_SECRET": "u", "B_TOKEN": ""}, Credentials("j", Secret("u"))),
    ],
    ids=["first", "with a token", "first of two", "second", "empty counts as not set"],
)
async def test_the_first_group_that_is_set(source, environment, expected):
    """The first group with a variable that is set is used; an empty variable counts as not set."""
    assert await source(environment).get(offline) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"A_ID": "hunter2"}, "A_ID set in the environment without A_SECRET: set all or none"),
        ({"A_SECRET": "hunter2"}, "A_SECRET set in the environment without A_ID: set all or none"),
        ({"A_TOKEN": "hunter2"}, "A_TOKEN set in the environment without A_ID, A_SECRET: set all or none"),
        (
            {"A_ID": "hunter2", "B_ID": "j", "B_SECRET": "u"},
            "A_ID set in the environment without A_SECRET: set all or none",
        ),
        ({"B_SECRET": "hunter2"}, "B_SECRET set in the environment without B_ID: set all or none"),
        ({}, "no credentials in the environment: set A_ID and A_SECRET, or B_ID and B_SECRET"),
    ],
    ids=["no secret", "no id", "only a token", "incomplete before complete", "second incomplete", "none"],
)
async def test_what_is_missing_is_named(source, environment, message):
    """An incomplete group, or none, raises an error that names the missing variables."""
    with pytest.raises(CredentialsError) as caught:
        await source(environment).get(offline)
    assert (str(caught.value), caught.value.reason) == (message, "config")


@pytest.mark.parametrize("name", ["A_ID", "A_SECRET", "A_TOKEN"])
@pytest.mark.parametrize("end", ["\nx", " ", "\r\n ", "é", "\x00", "\x7f", "\udcff"], ids=ascii)
async def test_a_key_that_cannot_be_sent(source, name, end):
    """A character that no HTTP header allows raises an error that names the variable and not its value."""
    environment = {"A_ID": "i", "A_SECRET": "s", "A_TOKEN": "t", name: f"hunter2{end}"}
    with pytest.raises(CredentialsError, match=f"^{name} in the environment contains a character") as caught:
        await source(environment).get(offline)
    assert "hunter2" not in str(caught.value)
    assert caught.value.reason == "config"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"], ids=repr)
async def test_line_ends_are_ignored(source, end):
    """A variable may end with line breaks, as shells and secret stores add them."""
    environment = {"A_ID": f"i{end}", "A_SECRET": f"hunter2{end}", "A_TOKEN": f"t{end}"}
    assert await source(environment).get(offline) == Credentials("i", Secret("hunter2"), Secret("t"))


@pytest.mark.parametrize(
    ("provider", "names"),
    [
        ("oss", ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN")),
        (
            "oss",
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
        ),
        ("cos", ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN")),
        ("cos", ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SECURITY_TOKEN")),
        ("cos", ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SESSION_TOKEN")),
        ("cos", ("COS_SECRET_ID", "COS_SECRET_KEY", "COS_TOKEN")),
        ("s3", ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")),
        ("s3", ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN")),
    ],
    ids=lambda part: part[-1] if isinstance(part, tuple) else part,
)
async def test_each_spelling_of_the_token(provider, names):
    """The token is used in each spelling of the vendors' tools."""
    environment = dict(zip(names, ("i", "s", "t"), strict=True))
    source = EnvironmentCredentials(PROVIDERS[provider].credential_names, environment)
    assert await source.get(offline) == Credentials("i", Secret("s"), Secret("t"))


async def test_the_first_name_of_the_token_counts():
    """If the token is set under two names, the first of them is used."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
    source = EnvironmentCredentials(S3.credential_names, dict(zip(names, ("i", "s", "old", "new"), strict=True)))
    assert (await source.get(offline)).token == Secret("new")


@pytest.mark.parametrize(
    ("text", "expires"),
    [("2026-12-01T00:00:00Z", 1796083200.0), ("2026-12-01T01:00:00+01:00\n", 1796083200.0), ("", None)],
)
async def test_the_expiry_of_exported_keys(text, expires):
    """AWS_CREDENTIAL_EXPIRATION, which `aws configure export-credentials` writes, is the expiry of the keys."""
    environment = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CREDENTIAL_EXPIRATION": text}
    source = EnvironmentCredentials(S3.credential_names, environment)
    assert (await source.get(offline)).expires == source.expires == expires


@pytest.mark.parametrize("text", ["soon", "2026-12-01", "2026-12-01T00:00:00", "1796083200"])
async def test_an_expiry_that_is_no_time(text):
    """Another text in AWS_CREDENTIAL_EXPIRATION raises an error that names the variable."""
    environment = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CREDENTIAL_EXPIRATION": text}
    with pytest.raises(
        CredentialsError, match=r"^AWS_CREDENTIAL_EXPIRATION in the environment is not a time"
    ) as caught:
        await EnvironmentCredentials(S3.credential_names, environment).get(offline)
    assert caught.value.reason == "config"


async def test_the_environment_is_read_at_each_use(source):
    """Changed variables are used at the next call."""
    environment = {"A_ID": "i", "A_SECRET": "old"}
    credentials = source(environment)
    assert (await credentials.get(offline)).secret == Secret("old")
    environment["A_SECRET"] = "new"
    assert (await credentials.get(offline)).secret == Secret("new")


async def test_the_representation_contains_no_secret(source):
    """Neither `str` nor `repr` of the source contains a variable's value."""
    credentials = source({"A_ID": "i", "A_SECRET": "hunter2"})
    assert "hunter2" not in f"{credentials} {credentials!r}"
