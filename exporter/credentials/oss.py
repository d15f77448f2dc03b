"""Credentials of Alibaba Cloud: RRSA (the role of a Kubernetes service account) and the role of an ECS instance.

The variables, their order and the fallback to version 1 of the metadata service are those of the vendor's package
alibabacloud-credentials 1.0.12.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from exporter.core.errors import CredentialsError, ScrapeError
from exporter.core.http import Request
from exporter.credentials import issuer_response, metadata, oidc
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.environment import required, variable
from exporter.credentials.header_values import header_problem
from exporter.credentials.key_files import read_key
from exporter.credentials.refreshing import Issuer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.http import Response
    from exporter.core.interfaces import Fetch
    from exporter.credentials.issuer_response import Issued

ROLE_SECONDS: Final = 3600
"""The requested lifetime: the longest that every role allows."""

METADATA_URL: Final = "http://100.100.100.200"
"""Source: https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata"""

METADATA_TOKEN_SECONDS: Final = 21600
"""The longest lifetime that the metadata service accepts."""

_NAMES: Final = issuer_response.FieldNames("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")
_FORM: Final = "application/x-www-form-urlencoded"


class RrsaIssuer(Issuer):
    """Exchanges the service account's token, read from its file each time, for credentials of a role.

    `endpoint` is the base URL of STS; if it is empty, that of the region in the environment.
    Source: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc
    """

    def __init__(self, environment: Mapping[str, str], *, endpoint: str = "") -> None:
        self._environment = environment
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """Returns new credentials of the role. Raises ScrapeError."""
        names = ("ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE")
        role, provider, file = required(self._environment, *names)
        scheme, _, host = (self._endpoint or self._regional_endpoint()).partition("://")
        action = "AssumeRoleWithOIDC"
        timestamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"Action": action, "Version": "2015-04-01", "Format": "JSON", "Timestamp": timestamp}
        # The token is sent in the body, because proxies may log URLs.
        form = {
            "RoleArn": role,
            "OIDCProviderArn": provider,
            "OIDCToken": await read_key(file),
            "RoleSessionName": variable(self._environment, "ALIBABA_CLOUD_ROLE_SESSION_NAME") or oidc.SESSION_NAME,
            "DurationSeconds": str(ROLE_SECONDS),
        }
        request = Request(
            action,
            scheme,
            host,
            "/",
            urlencode(query),
            method="POST",
            headers={"content-type": _FORM},
            body=urlencode(form).encode(),
        )
        response = await oidc.request_sts(fetch, request)
        if response.status != HTTPStatus.OK:
            raise _sts_error(action, response)
        fields = issuer_response.parse_object(response, action).get("Credentials")
        if not isinstance(fields, dict):
            raise CredentialsError(f"{action} returned no Credentials", reason="malformed")
        return issuer_response.parse_credentials(fields, _NAMES, response, issuer=action, now=now)

    def _regional_endpoint(self) -> str:
        region = oidc.region(self._environment, "ALIBABA_CLOUD_STS_REGION")
        if not region:
            return "https://sts.aliyuncs.com"
        in_vpc = _is_true(self._environment, "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED")
        return f"https://sts{'-vpc' if in_vpc else ''}.{region}.aliyuncs.com"


def _sts_error(action: str, response: Response) -> CredentialsError:
    try:
        fields = issuer_response.parse_object(response, action)
    except CredentialsError:
        fields = {}
    code, request_id = fields.get("Code"), fields.get("RequestId")
    return issuer_response.issuer_error(action, response.status, oidc.ADVICE, code=code, request_id=request_id)


class EcsRoleIssuer(Issuer):
    """The RAM role of the ECS instance; if ALIBABA_CLOUD_CREDENTIALS_URI is set, the credentials at that URI."""

    def __init__(self, environment: Mapping[str, str], *, endpoint: str = METADATA_URL) -> None:
        self._environment = environment
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """Returns the credentials of the role. Raises ScrapeError."""
        uri = variable(self._environment, "ALIBABA_CLOUD_CREDENTIALS_URI")
        if uri:
            return await _request_uri(uri, fetch, now)
        if _is_true(self._environment, "ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
            raise NotConfigured("disabled by ALIBABA_CLOUD_ECS_METADATA_DISABLED", reason="config")
        token = await self._token(fetch)
        headers = {"x-aliyun-ecs-metadata-token": token} if token else {}
        return await metadata.role_credentials(
            lambda path: metadata.request_metadata(fetch, self._endpoint, path, headers=headers),
            "/latest/meta-data/ram/security-credentials/",
            _NAMES,
            now=now,
            role=variable(self._environment, "ALIBABA_CLOUD_ECS_METADATA"),
        )

    async def _token(self, fetch: Fetch) -> str:
        """Returns the token that version 2 expects with each request; an empty string to use version 1.

        Any failure means version 1, unless the environment forbids it: the response to this one request may be the
        only one that cannot reach a container. Raises ScrapeError if version 1 is forbidden.
        """
        try:
            response = await metadata.request_metadata(
                fetch,
                self._endpoint,
                "/latest/api/token",
                method="PUT",
                headers={"x-aliyun-ecs-metadata-token-ttl-seconds": str(METADATA_TOKEN_SECONDS)},
            )
            token = response.body.decode("latin-1")
            if response.status != HTTPStatus.OK or header_problem(token):
                advice = "no token of version 2, and ALIBABA_CLOUD_IMDSV1_DISABLED is set"
                raise issuer_response.issuer_error(metadata.ISSUER, response.status, advice)
        except ScrapeError:
            if _is_true(self._environment, "ALIBABA_CLOUD_IMDSV1_DISABLED"):
                raise
            return ""
        return token


async def _request_uri(uri: str, fetch: Fetch, now: float) -> Issued:
    issuer = "the credentials URI"
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or header_problem(uri):
        raise CredentialsError("ALIBABA_CLOUD_CREDENTIALS_URI must be http:// or https:// with a host", reason="config")
    request = Request("CredentialsUri", parts.scheme, parts.netloc, parts.path or "/", parts.query)
    response = await fetch(
        request, max_bytes=issuer_response.MAX_RESPONSE_BYTES, seconds=metadata.METADATA_SECONDS, direct=False
    )
    if response.status != HTTPStatus.OK:
        raise issuer_response.issuer_error(issuer, response.status, "check ALIBABA_CLOUD_CREDENTIALS_URI")
    return metadata.parse_response(response, _NAMES, issuer=issuer, now=now)


def _is_true(environment: Mapping[str, str], name: str) -> bool:
    return variable(environment, name).lower() == "true"
