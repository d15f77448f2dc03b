from __future__ import annotations

import subprocess
import sys

import pytest

from exporter.core.secrets import Credentials, Secret
from exporter.credentials import ISSUERS, cos, oss, s3
from tests.credentials.conftest import offline

EVERYWHERE = {"default", "environment", "static"}


@pytest.mark.parametrize("provider", [*ISSUERS, "other"])
def test_sources_by_name(read, provider):
    """The word in the configuration decides where keys come from; without one it is the default."""
    for word in {*EVERYWHERE, *ISSUERS.get(provider, ())} - {"static"}:
        source, problems = read({"source": word}, provider=provider)
        assert (source.name, source.expires, problems) == (word, None, [])
    assert read({}, provider=provider)[0].name == "default"
    source, problems = read({"source": "static", "id": "i", "secret": "s"}, provider=provider)
    assert (source.name, source.expires, problems) == ("static", None, [])


@pytest.mark.parametrize(
    ("provider", "order"),
    [
        ("oss", ["sdk", "environment", "oidc", "metadata"]),
        ("cos", ["sdk", "environment", "oidc", "metadata"]),
        ("s3", ["sdk", "environment"]),
        ("other", ["environment"]),
    ],
)
def test_the_order_of_the_default(read, provider, order):
    """The default asks the vendor's package first, then what is built in; for a provider, what there is for it."""
    source, _ = read({}, provider=provider)
    assert [one.name for one in source._sources] == order


@pytest.mark.anyio
async def test_the_environment_of_a_provider_without_more(read):
    """For any provider, the default finds the keys of the environment."""
    found, _ = read({}, {"B_ID": "j", "B_SECRET": "u"}, provider="other")
    assert await found.get(offline) == Credentials("j", Secret("u"))
    assert found.name == "environment"


@pytest.mark.parametrize("word", ["default", "environment", "oidc", "metadata", "sdk"])
def test_keys_need_the_static_source(read, word):
    """A key that another source would not read is told, with the source that reads it."""
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
    """A source that there is not for a provider is told with those that there are, and no more is asked of it."""
    mapping = {"source": word, "secret": "hunter2", "path": "kv/oss"}
    assert read(mapping, provider=provider)[1] == [f"credentials.source: must be one of {known}, not '{word}'"]


def test_a_secret_that_lost_its_key(read):
    """A word that stands where a key should, without a value, is not shown."""
    problems = read({"source": "static", "id": "i", "secret": "s", "hunter2": None})[1]
    assert len(problems) == 1
    assert problems[0].startswith("credentials: holds a key that is not known")
    assert "hunter2" not in problems[0]


@pytest.mark.parametrize(
    ("provider", "package", "extra"),
    [("oss", oss.AlibabaSdk, "alibaba"), ("cos", cos.TencentSdk, "tencent"), ("s3", s3.AwsSdk, "aws")],
)
def test_a_package_that_is_not_installed(read, monkeypatch, provider, package, extra):
    """Where the vendor's package is asked for but not installed, the configuration is wrong, and the extra is named."""
    monkeypatch.setattr(package, "module", "no_such_package")
    assert read({"source": "sdk"}, provider=provider)[1] == [
        f"credentials.source: requires the package no_such_package: pip install 'batchops-exporter[{extra}]'"
    ]
    assert read({}, provider=provider)[1] == []


def test_no_package_is_imported_unasked():
    """The program imports no vendor's package before one is asked for keys; a source over one does not either."""
    program = """if True:
        import sys
        import exporter.cli
        from exporter import config
        text = "accounts: [{provider: oss, account: a, regions: [r], credentials: {source: sdk}}]"
        assert config.parse(text.encode(), file="", environment={}).targets
        print([name for name in ("alibabacloud_credentials", "tencentcloud", "botocore") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
