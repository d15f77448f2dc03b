from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from exporter import credentials
from exporter.client.transport import Transport
from exporter.core.interfaces import CredentialNames
from exporter.core.section import Section
from exporter.credentials.refreshing import RefreshingCredentials
from tests.credentials.issuers import TOKEN
from tests.serving import serve

if TYPE_CHECKING:
    from starlette.types import ASGIApp

NAMES = CredentialNames(
    key_id="id",
    secret="secret",
    token="token",
    environment=(("A_ID", "A_SECRET", "A_TOKEN"), ("B_ID", "B_SECRET", "B_TOKEN")),
)


@pytest.fixture
def read():
    """Reads a mapping; returns its source, and its problems as strings."""

    def from_mapping(mapping, environment=None, *, directory="", provider="oss"):
        section = Section(mapping, "credentials", [], directory=directory)
        source = credentials.from_section(section, NAMES, environment or {}, provider=provider, account="oss/prod")
        return source, [str(problem) for problem in section.problems]

    return from_mapping


async def offline(request, **bounds):
    """The fetch of a source that must send no request."""
    raise AssertionError(f"{request.url} was requested: {bounds}")


@pytest.fixture
async def fetch():
    """The fetch of the exporter's own transport."""
    transport = Transport()
    yield transport.fetch
    await transport.close()


@pytest.fixture
def token_file(tmp_path):
    """The token of the service account."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
def environment(token_file):
    """The variables that the clouds' webhooks add to a pod."""
    return {
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::113511544585:role/exporter",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::113511544585:oidc-provider/ack-rrsa-c1",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(token_file),
        "TKE_REGION": "ap-guangzhou",
        "TKE_PROVIDER_ID": "cls-1",
        "TKE_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "TKE_ROLE_ARN": "qcs::cam::uin/798950673:roleName/exporter",
    }


class Clock:
    """`offset`: seconds that have passed; `skew`: by how much the machine's clock is wrong."""

    offset = 0.0
    skew = 0.0

    def now(self):
        return time.time() + self.offset + self.skew

    def since_boot(self):
        return time.monotonic() + self.offset


@pytest.fixture
def clock():
    """The clocks that sources see."""
    return Clock()


class CloudServer:
    """An ASGI application for the whole run, which passes requests to the cloud of the current test."""

    cloud: ASGIApp

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await self.cloud(scope, receive, send)


@pytest.fixture(scope="session")
def cloud_server():
    """The server of the clouds, and its base URL."""
    made = CloudServer()
    with serve(made) as url:
        yield made, url


@pytest.fixture
def refreshing(cloud_server, environment, clock):
    """Serves a cloud; returns the source whose issuer it is."""
    made, url = cloud_server

    def make(cloud):
        made.cloud = cloud
        issuer = cloud.issuer(url, environment)
        return RefreshingCredentials("testing", issuer, account="oss/prod", now=clock.now, since_boot=clock.since_boot)

    return make
