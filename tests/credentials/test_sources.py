from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from exporter import config
from exporter.core.secrets import Credentials, Secret
from exporter.credentials import ISSUERS, PACKAGES
from exporter.credentials.sdk import Identity
from exporter.credentials.sdk_tencent import TOKEN_VARIABLES
from exporter.providers import PROVIDERS
from tests.credentials.conftest import offline

EVERYWHERE = {"default", "environment", "static"}


@pytest.mark.parametrize("provider", [*PACKAGES, "other"])
def test_sources_by_name(read, provider):
    """`source` selects the source of the credentials; the default is `default`."""
    package = {"sdk"} if provider in PACKAGES else set()
    for word in {*EVERYWHERE, *ISSUERS.get(provider, ()), *package} - {"static"}:
        source, problems = read({"source": word}, provider=provider)
        assert (source.name, source.expires, problems) == (word, None, [])
    assert read({}, provider=provider)[0].name == "default"
    source, problems = read({"source": "static", "id": "i", "secret": "s"}, provider=provider)
    assert (source.name, source.expires, problems) == ("static", None, [])


@pytest.mark.parametrize(
    ("provider", "order"),
    [
        ("oss", ["environment", "oidc", "metadata", "sdk"]),
        ("cos", ["environment", "oidc", "metadata", "sdk"]),
        ("s3", ["environment", "sdk"]),
        ("other", ["environment"]),
    ],
)
def test_the_order_of_the_default(read, provider, order):
    """The default tries the built-in sources of the provider first, and the vendor's package last."""
    source, _ = read({}, provider=provider)
    assert [tried.name for tried in source._source._sources] == order


@pytest.mark.anyio
async def test_the_environment_of_a_provider_without_more(read):
    """For any provider, the default reads the environment."""
    source, _ = read({}, {"B_ID": "j", "B_SECRET": "u"}, provider="other")
    assert await source.get(offline) == Credentials("j", Secret("u"))
    assert source.name == "environment"


@pytest.mark.parametrize("word", ["default", "environment", "oidc", "metadata", "sdk"])
def test_keys_require_the_static_source(read, word):
    """A key that only the source `static` reads is a problem with any other source."""
    for key in ("id", "secret", "token", "id_file", "secret_file", "token_file"):
        assert read({"source": word, key: "hunter2"})[1] == [f"credentials.{key}: requires source: static"]


@pytest.mark.parametrize(
    ("provider", "word", "known"),
    [
        ("oss", "vault", "default, environment, metadata, oidc, sdk, static"),
        ("s3", "oidc", "default, environment, sdk, static"),
        ("other", "sdk", "default, environment, static"),
    ],
)
def test_an_unknown_source(read, provider, word, known):
    """An unknown source is the only problem reported, with the known sources."""
    mapping = {"source": word, "secret": "hunter2", "path": "kv/oss"}
    assert read(mapping, provider=provider)[1] == [f"credentials.source: must be one of {known}, not '{word}'"]


def test_a_secret_in_place_of_a_key(read):
    """An unknown key without a value may be a secret, and is not shown."""
    problems = read({"source": "static", "id": "i", "secret": "s", "hunter2": None})[1]
    assert len(problems) == 1
    assert problems[0].startswith("credentials: contains an unknown key")
    assert "hunter2" not in problems[0]


@pytest.mark.parametrize(("provider", "extra"), [("oss", "alibaba"), ("cos", "tencent"), ("s3", "aws")])
def test_a_package_that_is_not_installed(read, monkeypatch, provider, extra):
    """If the package of `source: sdk` is not installed, the problem names the extra."""
    monkeypatch.setattr(PACKAGES[provider], "module", "no_such_package")
    assert read({"source": "sdk"}, provider=provider)[1] == [
        f"credentials.source: requires the package no_such_package: pip install 'batchops-exporter[{extra}]'"
    ]
    assert read({}, provider=provider)[1] == []


@pytest.mark.anyio
@pytest.mark.parametrize("word", ["environment", "static"])
async def test_the_keys_of_a_named_source_are_logged_once(read, caplog, word):
    """Whatever the source, its name, the key id and the expiry are logged with the first keys, without a secret."""
    caplog.set_level("INFO", "exporter.credentials")
    literals = {"id": "i", "secret": "hunter2", "expires": "2026-12-01T00:00:00Z"} if word == "static" else {}
    source, _ = read({"source": word, **literals}, {"A_ID": "i", "A_SECRET": "hunter2"})
    for _ in range(3):
        await source.get(offline)
    [line] = [vars(record) for record in caplog.records]
    assert [line[field] for field in ("message", "account", "source", "key_id")] == [
        "credentials found",
        "oss/prod",
        word,
        "i",
    ]
    assert line.get("expires") == ("2026-12-01T00:00:00+00:00" if word == "static" else None)
    assert "hunter2" not in str(line)


def test_no_package_is_imported_early():
    """Reading a configuration with `source: sdk` imports no vendor's package."""
    program = """if True:
        import sys
        import exporter.cli
        from exporter import config
        text = "accounts: [{provider: oss, account: a, regions: [r], credentials: {source: sdk}}]"
        assert config.parse(text.encode(), file="", environment={}).targets
        print([name for name in ("alibabacloud_credentials", "tencentcloud", "botocore") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


ROLES = {
    "oss": "acs:ram::113511544585:role/exporter",
    "cos": "qcs::cam::uin/100000000001:roleName/exporter",
    "s3": "arn:aws:iam::111122223333:role/exporter",
}


@pytest.mark.parametrize("provider", PACKAGES)
def test_an_identity_for_each_account(read, provider):
    """With `source: sdk`, an account can have a role, its external id and the name of the session."""
    role = {"role_arn": ROLES[provider], "external_id": "Team-7", "session_name": "Batch@team-7"}
    source, problems = read({"source": "sdk", **role}, provider=provider)
    assert not problems
    assert source._source._issuer._package._identity == Identity(**role)
    assert read({"source": "sdk", "role_arn": ROLES[provider]}, provider=provider)[1] == []


@pytest.mark.parametrize("provider", ["oss", "s3"])
def test_a_profile_for_each_account(read, provider):
    """With `source: sdk`, an account can have its own profile."""
    source, problems = read({"source": "sdk", "profile": "team-7"}, provider=provider)
    assert not problems
    assert source._source._issuer._package._identity == Identity(profile="team-7")


@pytest.mark.parametrize(
    ("provider", "mapping", "problem"),
    [
        (
            "cos",
            {"profile": "team-7"},
            "profile: cannot be used: the package tencentcloud reads only the profile default; remove it",
        ),
        ("s3", {"external_id": "team-7"}, "external_id: requires role_arn"),
        ("oss", {"session_name": "team-7"}, "session_name: requires role_arn"),
        ("s3", {"profile": ""}, "profile: must not be empty"),
        (
            "s3",
            {"role_arn": ROLES["oss"]},
            "role_arn: must be a role such as arn:aws:iam::111122223333:role/batchops-exporter",
        ),
        (
            "oss",
            {"role_arn": ROLES["s3"]},
            "role_arn: must be a role such as acs:ram::113511544585:role/batchops-exporter",
        ),
        (
            "cos",
            {"role_arn": "exporter"},
            "role_arn: must be a role such as qcs::cam::uin/100000000001:roleName/batchops-exporter",
        ),
        (
            "s3",
            {"role_arn": ROLES["s3"], "external_id": "a b"},
            "external_id: must be 2 to 1224 letters, digits and +=,.@:/_-",
        ),
        (
            "s3",
            {"role_arn": ROLES["s3"], "session_name": "a/b"},
            "session_name: must be 2 to 64 letters, digits and . @ _ -",
        ),
    ],
)
def test_an_identity_that_cannot_be_used(read, provider, mapping, problem):
    """A key of the identity that the package cannot use, or that is not valid, is a problem with its path."""
    assert read({"source": "sdk", **mapping}, provider=provider)[1] == [f"credentials.{problem}"]


@pytest.mark.parametrize("word", ["default", "environment", "oidc", "metadata", "static"])
def test_an_identity_requires_the_package(read, word):
    """The keys of an identity are problems with any other source than `sdk`."""
    literals = {"id": "i", "secret": "s"} if word == "static" else {}
    for key in ("profile", "role_arn", "external_id", "session_name"):
        assert read({"source": word, key: "x", **literals})[1] == [f"credentials.{key}: requires source: sdk"]


def test_the_names_of_tencents_token():
    """The package [tencent] gets the token from the same variables as the source `environment`."""
    assert PROVIDERS["cos"].credential_names.environment[0][2:] == TOKEN_VARIABLES


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keys", "names", "profile"),
    [
        (
            "provider: oss",
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
            (".alibabacloud/credentials.ini", "type = access_key\naccess_key_id = x\naccess_key_secret = x"),
        ),
        (
            "provider: cos, uin: '1', appid: '2'",
            ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN"),
            (".tencentcloud/credentials", "secret_id = x\nsecret_key = x"),
        ),
        (
            "provider: s3, account_id: '111122223333'",
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
            (".aws/credentials", "aws_access_key_id = x\naws_secret_access_key = x"),
        ),
    ],
    ids=["oss", "cos", "s3"],
)
async def test_an_installed_package_changes_nothing(tmp_path, monkeypatch, keys, names, profile):
    """With its package installed and a profile of it, `default` still uses the environment, with the token."""
    environment = dict(zip(names, ("i", "s", "t"), strict=True))
    for name, part in {"HOME": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, part)
    file, content = profile
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(f"[default]\n{content}\n")
    [target] = config.parse(
        f"accounts: [{{{keys}, account: a, regions: [r]}}]".encode(), file="", environment=os.environ
    ).targets
    assert find_spec(PACKAGES[target.provider_name].module)
    assert await target.credentials.get(offline) == Credentials("i", Secret("s"), Secret("t"))
    assert target.credentials.name == "environment"
