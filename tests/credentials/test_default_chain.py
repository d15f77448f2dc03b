from __future__ import annotations

import asyncio
import logging
import re
import time
from datetime import datetime

import pytest
from starlette.responses import Response

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials import oss
from exporter.credentials.announced import AnnouncedCredentials
from exporter.credentials.default_chain import DefaultChain
from exporter.credentials.environment import EnvironmentCredentials
from exporter.credentials.refreshing import RefreshingCredentials
from exporter.credentials.sdk import Identity, SdkIssuer
from exporter.credentials.sdk_aws import AwsSdk
from tests.credentials.conftest import NAMES
from tests.credentials.issuers import AlibabaSts, Ecs

pytestmark = pytest.mark.anyio


class Steady(AwsSdk):
    """A package that is installed and has credentials."""

    extra = "steady"
    module = "json"

    def load(self, *, fresh=False):  # noqa: ARG002 - it keeps nothing
        return Credentials("package", Secret("s"), None, 4102444800.0)


class Absent(Steady):
    """A package that is not installed."""

    extra = "absent"
    module = "no_such_package"


@pytest.fixture
def default(cloud_server, environment):
    """The default source of OSS from a package, environment variables and clouds on loopback."""
    made, url = cloud_server
    sts, ecs = AlibabaSts(), Ecs()

    async def both(scope, receive, send):
        await (sts if scope["path"] == "/" else ecs)(scope, receive, send)

    made.cloud = both

    def compose(package, variables, *, pod=False):
        whole = {**variables, **(environment if pod else {})}
        return DefaultChain(
            (
                EnvironmentCredentials(NAMES, whole),
                RefreshingCredentials("oidc", oss.RrsaIssuer(whole, endpoint=url)),
                RefreshingCredentials("metadata", oss.EcsRoleIssuer(whole, endpoint=url)),
                RefreshingCredentials("sdk", SdkIssuer(package)),
            ),
        )

    return compose, sts, ecs


@pytest.mark.parametrize("package", [Steady, Absent], ids=["SDK installed", "no SDK"])
@pytest.mark.parametrize(
    ("variables", "pod", "name", "key_id"),
    [
        ({"A_ID": "i", "A_SECRET": "s"}, True, "environment", "i"),
        ({}, True, "oidc", "id-1"),
        ({}, False, "metadata", "id-1"),
    ],
    ids=["environment", "oidc", "metadata"],
)
async def test_the_first_configured_source_is_used(default, fetch, package, variables, pod, name, key_id):
    """The first configured source is used, whether or not the vendor's package is installed."""
    compose, *_ = default
    source = compose(package(Identity()), variables, pod=pod)
    assert (source.name, source.expires) == ("default", None)
    keys = await source.get(fetch)
    assert (source.name, keys.key_id, source.expires) == (name, key_id, keys.expires)


async def test_the_package_is_the_last_source(default, fetch):
    """If nothing else is configured, the credentials of the vendor's package are used."""
    compose, _, ecs = default
    ecs.fault = lambda _: Response(status_code=404)
    source = compose(Steady(Identity()), {})
    assert (await source.get(fetch)).key_id == "package"
    assert source.name == "sdk"


async def test_the_choice_is_logged_once(default, fetch, caplog):
    """The chosen source, key id and expiry are logged once, without a secret; the expiry only if there is one."""
    caplog.set_level(logging.INFO, "exporter.credentials")
    compose, _, ecs = default
    ecs.delay = lambda _: 0.05
    for variables in ({}, {"A_ID": "i", "A_SECRET": "hunter2"}):
        source = AnnouncedCredentials(compose(Absent(Identity()), variables), account="oss/prod")
        await asyncio.gather(*(source.get(fetch) for _ in range(5)))
    metadata, environment = [vars(record) for record in caplog.records if record.message == "credentials found"]
    assert [metadata[field] for field in ("levelname", "account", "source", "key_id")] == [
        "INFO",
        "oss/prod",
        "metadata",
        "id-1",
    ]
    assert datetime.fromisoformat(metadata["expires"]).timestamp() == pytest.approx(time.time() + 3600, abs=30)
    assert (environment["source"], environment["key_id"]) == ("environment", "i")
    assert "expires" not in environment
    assert not re.search("hunter2|secret-1|token-1", f"{metadata} {environment}")


async def test_the_choice_stays(default, fetch):
    """The chosen source stays chosen, whatever is configured later, and its failure is reported."""
    compose, _, ecs = default
    variables: dict[str, str] = {}
    source = compose(Absent(Identity()), variables)
    await source.get(fetch)
    source._sources[0]._environment.update(A_ID="i", A_SECRET="s")
    assert (await source.get(fetch)).key_id == "id-1"
    ecs.fault = lambda _: Response(status_code=500)
    source._chosen._current = None
    with pytest.raises(CredentialsError, match="the metadata service returned 500"):
        await source.get(fetch)
    assert source.name == "metadata"


@pytest.mark.parametrize(
    ("variables", "pod", "message", "reason"),
    [
        ({"A_ID": "i"}, True, "environment: A_ID set in the environment without A_SECRET: set all or none", "config"),
        ({}, True, "oidc: AssumeRoleWithOIDC returned 500: server error; will be retried", "http_5xx"),
    ],
    ids=["environment", "oidc"],
)
async def test_a_failure_ends_the_search(default, fetch, variables, pod, message, reason):
    """If a source is configured but fails, its error is raised, and the role of the machine is not used instead."""
    compose, sts, ecs = default
    sts.fault = lambda _: Response(status_code=500)
    source = compose(Absent(Identity()), variables, pod=pod)
    with pytest.raises(CredentialsError) as caught:
        await source.get(fetch)
    assert (str(caught.value), caught.value.reason) == (message, reason)
    assert (source.name, ecs.seen) == ("default", [])


async def test_nothing_is_configured(default, fetch):
    """If nothing is configured, the error names what each source lacks."""
    compose, _, ecs = default
    ecs.fault = lambda _: Response(status_code=404)
    with pytest.raises(CredentialsError) as caught:
        await compose(Absent(Identity()), {}).get(fetch)
    assert caught.value.reason == "config"
    assert str(caught.value).split("; ") == [
        "no credentials are configured",
        "environment: no credentials in the environment: set A_ID and A_SECRET, or B_ID and B_SECRET",
        (
            "oidc: not set in the environment: ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, "
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
        ),
        "metadata: no role is attached to this machine",
        "sdk: requires the package no_such_package: pip install 'batchops-exporter[absent]'",
    ]


async def test_concurrent_scrapes_share_one_request(default, fetch):
    """Concurrent calls cause one request to the issuer."""
    compose, _, ecs = default
    ecs.delay = lambda _: 0.05
    source = compose(Absent(Identity()), {})
    results = await asyncio.gather(*(source.get(fetch) for _ in range(50)))
    assert ecs.issued == 1
    assert len(set(results)) == 1
