"""Temporary keys of Alibaba Cloud: the role of a Kubernetes service account (RRSA), and the role of an ECS instance.

The variables, their order and the fall back to the metadata service's first version are those of the vendor's own
package alibabacloud-credentials 1.0.12.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from exporter.core.errors import CredentialsError, ScrapeError
from exporter.core.http import Request
from exporter.credentials import issuer_response, key_files, metadata
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.environment import required
from exporter.credentials.header_values import header_problem
from exporter.credentials.sdk import import_quietly, make_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.http import Response
    from exporter.core.interfaces import Fetch
    from exporter.core.secrets import Credentials
    from exporter.credentials.issuer_response import Issued

STS_SECONDS: Final = 5.0
"""For the whole answer of the Security Token Service; less than a scrape has, so that it can tell what it waits for."""

KEYS_SECONDS: Final = 3600
"""What is asked for, and the longest time that every role allows."""

METADATA: Final = "http://100.100.100.200"
"""Source: https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata"""

METADATA_TOKEN_SECONDS: Final = 21600
"""The longest that the metadata service takes."""

_NAMES: Final = issuer_response.FieldNames("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")
_FORM: Final = "application/x-www-form-urlencoded"


class RrsaIssuer:
    """RRSA: the service account's token buys keys of a role. The token's file is read again each time.

    `endpoint` is the base URL of STS; where it is empty, the one of the region that the environment names.
    Source: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc
    """

    def __init__(self, environment: Mapping[str, str], *, endpoint: str = "") -> None:
        self._environment = environment
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """New keys of the role. Raises ScrapeError."""
        names = ("ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE")
        role, provider, file = required(self._environment, *names)
        scheme, _, host = (self._endpoint or self._regional()).partition("://")
        who = "AssumeRoleWithOIDC"
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"Action": who, "Version": "2015-04-01", "Format": "JSON", "Timestamp": moment}
        # The token goes into the body, as a URL may be written into a log on its way.
        form = {
            "RoleArn": role,
            "OIDCProviderArn": provider,
            "OIDCToken": await asyncio.to_thread(key_files.read_key, Path(file)),
            "RoleSessionName": self._environment.get("ALIBABA_CLOUD_ROLE_SESSION_NAME") or "batchops-exporter",
            "DurationSeconds": str(KEYS_SECONDS),
        }
        request = Request(
            who,
            scheme,
            host,
            "/",
            urlencode(query),
            method="POST",
            headers={"content-type": _FORM},
            body=urlencode(form).encode(),
        )
        response = await fetch(request, max_bytes=issuer_response.MAX_BYTES, seconds=STS_SECONDS, direct=False)
        if response.status != HTTPStatus.OK:
            raise _refused(who, response)
        found = issuer_response.parse_object(response, who).get("Credentials")
        if not isinstance(found, dict):
            raise CredentialsError(f"{who} answered without Credentials", reason="malformed")
        return issuer_response.parse_credentials(found, _NAMES, response, who=who, now=now)

    def _regional(self) -> str:
        region = self._environment.get("ALIBABA_CLOUD_STS_REGION", "")
        if not region:
            return "https://sts.aliyuncs.com"
        if not re.fullmatch(r"[a-z0-9-]+", region):
            raise CredentialsError("ALIBABA_CLOUD_STS_REGION in the environment is no region", reason="config")
        inside = _is_true(self._environment, "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED")
        return f"https://sts{'-vpc' if inside else ''}.{region}.aliyuncs.com"


def _refused(who: str, response: Response) -> CredentialsError:
    try:
        told = issuer_response.parse_object(response, who)
    except CredentialsError:
        told = {}
    advice = "check the role, whom it trusts (the OIDC provider, the service account), and the token"
    return issuer_response.issuer_error(
        who, response.status, advice, code=told.get("Code"), request_id=told.get("RequestId")
    )


class EcsRoleIssuer:
    """The RAM role of the ECS instance; or, where ALIBABA_CLOUD_CREDENTIALS_URI is set, the keys that stand there."""

    def __init__(self, environment: Mapping[str, str], *, endpoint: str = METADATA) -> None:
        self._environment = environment
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """The keys of the role. Raises ScrapeError."""
        uri = self._environment.get("ALIBABA_CLOUD_CREDENTIALS_URI")
        if uri:
            return await _from_uri(uri, fetch, now)
        if _is_true(self._environment, "ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
            raise NotConfigured("switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED", reason="config")
        token = await self._token(fetch)
        headers = {"x-aliyun-ecs-metadata-token": token} if token else {}
        return await metadata.role_keys(
            lambda path: metadata.ask(fetch, self._endpoint, path, headers=headers),
            "/latest/meta-data/ram/security-credentials/",
            _NAMES,
            now=now,
            role=self._environment.get("ALIBABA_CLOUD_ECS_METADATA", ""),
        )

    async def _token(self, fetch: Fetch) -> str:
        """What version 2 asks to see with each request; empty where version 1 will do.

        Whatever goes wrong means version 1, unless the environment forbids that: it may be that only the answer to
        this one request cannot reach a container.
        """
        try:
            response = await metadata.ask(
                fetch,
                self._endpoint,
                "/latest/api/token",
                method="PUT",
                headers={"x-aliyun-ecs-metadata-token-ttl-seconds": str(METADATA_TOKEN_SECONDS)},
            )
            token = response.body.decode("latin-1")
            if response.status != HTTPStatus.OK or header_problem(token):
                raise issuer_response.issuer_error(metadata.WHO, response.status, "it gives no token of version 2")
        except ScrapeError:
            if _is_true(self._environment, "ALIBABA_CLOUD_IMDSV1_DISABLED"):
                raise
            return ""
        return token


async def _from_uri(uri: str, fetch: Fetch, now: float) -> Issued:
    who = "the credentials URI"
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or header_problem(uri):
        raise CredentialsError("ALIBABA_CLOUD_CREDENTIALS_URI must be http:// or https:// with a host", reason="config")
    request = Request("CredentialsUri", parts.scheme, parts.netloc, parts.path or "/", parts.query)
    response = await fetch(request, max_bytes=issuer_response.MAX_BYTES, seconds=metadata.SECONDS, direct=True)
    if response.status != HTTPStatus.OK:
        raise issuer_response.issuer_error(who, response.status, "it gives no keys")
    return metadata.successful(response, _NAMES, who=who, now=now)


def _is_true(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() == "true"


class AlibabaSdk:
    """alibabacloud-credentials: the providers of its default chain, each asked in its order.

    Not its `DefaultCredentialsProvider` itself: that one does not hand on when keys expire, and starts a thread that
    looks for the ECS metadata service each minute. The variables are read once, when the package is imported.
    """

    extra = "alibaba"
    module = "alibabacloud_credentials"

    def __init__(self) -> None:
        self._chain: list[Any] = []

    def keys(self) -> Credentials:
        """The keys of the first provider that has some; from then on of that one."""
        lacking = []
        for provider in self._chain or self._providers():
            try:
                found = provider.get_credentials()
            except Exception as error:  # noqa: BLE001 - as its own chain does
                lacking.append(f"{provider.get_provider_name()}: {_told(error)}")
                continue
            self._chain = [provider]
            expires = found.get_expiration()
            return make_credentials(
                found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token(), expires
            )
        if self._chain:
            raise CredentialsError(f"{self.module} gave no keys: {', '.join(lacking)}", reason="auth")
        raise NotConfigured(f"{self.module} found no keys: {', '.join(lacking)}", reason="config")

    @staticmethod
    def _providers() -> list[Any]:
        loggers = ("credentials", "alibabacloud-tea", "apscheduler", "urllib3")
        known = import_quietly("alibabacloud_credentials.provider", *loggers)
        told = import_quietly("alibabacloud_credentials.utils.auth_util")
        chain = [known.EnvironmentVariableCredentialsProvider()]
        if told.enable_oidc_credential:
            chain.append(known.OIDCRoleArnCredentialsProvider())
        chain += [known.CLIProfileCredentialsProvider(), known.ProfileCredentialsProvider()]
        if told.environment_ecs_metadata_disabled.lower() != "true":
            chain.append(known.EcsRamRoleCredentialsProvider(async_update_enabled=False))
        if told.environment_credentials_uri:
            chain.append(known.URLCredentialsProvider())
        return chain


def _told(error: Exception) -> str:
    """What a provider of Alibaba's package raised: the first words, the status and the code.

    The rest of a message may hold an answer, or what was sent.
    """
    name, text = type(error).__name__, str(error)
    words = re.split(r"[^\w ]", text)[0].strip() if name in ("CredentialException", "ValueError") else name
    codes = re.findall(r"http_code[:=] ?(\d{3})\b|\"Code\": ?\"([A-Za-z0-9_.-]{1,128})\"", text)
    return " ".join([words, *(status or code for status, code in codes)])
