"""Credentials of Tencent Cloud: the role of a Kubernetes service account (TKE) and the role of a CVM instance.

The variables are those of the vendor's package tencentcloud-sdk-python-common 3.1.195.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from exporter.core.errors import CredentialsError
from exporter.core.http import Request
from exporter.credentials import issuer_response, metadata, oidc
from exporter.credentials.environment import required
from exporter.credentials.key_files import read_key
from exporter.credentials.refreshing import Issuer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.interfaces import Fetch
    from exporter.credentials.issuer_response import Issued

STS_URL: Final = "https://sts.tencentcloudapi.com"
"""Source: https://www.tencentcloud.com/document/product/1150/49454"""

ROLE_SECONDS: Final = 7200
"""The requested lifetime: the default of the API and of the vendor's package."""

METADATA_URL: Final = "http://metadata.tencentyun.com"
"""Source: https://www.tencentcloud.com/document/product/213/45917"""

_NAMES: Final = issuer_response.FieldNames("TmpSecretId", "TmpSecretKey", "Token", "ExpiredTime")


class TkeIssuer(Issuer):
    """Exchanges the service account's token, read from its file each time, for credentials of a role.

    `endpoint` is the base URL of STS.
    """

    def __init__(self, environment: Mapping[str, str], *, endpoint: str = STS_URL) -> None:
        self._environment = environment
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """Returns new credentials of the role. Raises ScrapeError."""
        names = ("TKE_REGION", "TKE_PROVIDER_ID", "TKE_WEB_IDENTITY_TOKEN_FILE", "TKE_ROLE_ARN")
        _, provider, file, role = required(self._environment, *names)
        action = "AssumeRoleWithWebIdentity"
        headers = {
            "authorization": "SKIP",  # the token authenticates the request
            "content-type": "application/json",
            "x-tc-action": action,
            "x-tc-version": "2018-08-13",
            "x-tc-region": oidc.region(self._environment, "TKE_REGION"),
            "x-tc-timestamp": str(int(now)),
        }
        body = {
            "ProviderId": provider,
            "WebIdentityToken": await read_key(file),
            "RoleArn": role,
            "RoleSessionName": oidc.SESSION_NAME,
            "DurationSeconds": ROLE_SECONDS,
        }
        scheme, _, host = self._endpoint.partition("://")
        request = Request(action, scheme, host, "/", method="POST", headers=headers, body=json.dumps(body).encode())
        response = await oidc.request_sts(fetch, request)
        if response.status != HTTPStatus.OK:
            raise issuer_response.issuer_error(action, response.status, oidc.ADVICE)
        parsed = issuer_response.parse_object(response, action).get("Response")
        if not isinstance(parsed, dict):
            raise CredentialsError(f"{action} returned no Response", reason="malformed")
        error, fields = parsed.get("Error"), parsed.get("Credentials")
        if isinstance(error, dict):  # also with status 200
            code, request_id = error.get("Code"), parsed.get("RequestId")
            raise issuer_response.issuer_error(action, response.status, oidc.ADVICE, code=code, request_id=request_id)
        if not isinstance(fields, dict):
            raise CredentialsError(f"{action} returned no Credentials", reason="malformed")
        fields = {**fields, _NAMES.expires: parsed.get(_NAMES.expires)}
        return issuer_response.parse_credentials(fields, _NAMES, response, issuer=action, now=now)


class CvmRoleIssuer(Issuer):
    """The CAM role of the CVM instance."""

    def __init__(self, *, endpoint: str = METADATA_URL) -> None:
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """Returns the credentials of the role. Raises ScrapeError."""
        return await metadata.role_credentials(
            lambda path: metadata.request_metadata(fetch, self._endpoint, path),
            "/latest/meta-data/cam/security-credentials/",
            _NAMES,
            now=now,
        )
