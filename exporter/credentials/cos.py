"""Temporary keys of Tencent Cloud: the role of a Kubernetes service account (TKE), and the role of a CVM instance.

The variables are those of the vendor's own package tencentcloud-sdk-python-common 3.1.195.
"""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.core.errors import CredentialsError
from exporter.core.http import Request
from exporter.credentials import issuer_response, key_files, metadata
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.environment import required
from exporter.credentials.sdk import import_quietly, make_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.interfaces import Fetch
    from exporter.core.secrets import Credentials
    from exporter.credentials.issuer_response import Issued

STS: Final = "https://sts.tencentcloudapi.com"
"""Source: https://www.tencentcloud.com/document/product/1150/49454"""

STS_SECONDS: Final = 5.0
"""For the whole answer of the Security Token Service; less than a scrape has, so that it can tell what it waits for."""

KEYS_SECONDS: Final = 7200
"""What is asked for: the default of the API and of the vendor's package."""

METADATA: Final = "http://metadata.tencentyun.com"
"""Source: https://www.tencentcloud.com/document/product/213/45917"""

_NAMES: Final = issuer_response.FieldNames("TmpSecretId", "TmpSecretKey", "Token", "ExpiredTime")


class TkeIssuer:
    """TKE: the service account's token buys keys of a role. The token's file is read again each time.

    `endpoint` is the base URL of STS.
    """

    def __init__(self, environment: Mapping[str, str], *, endpoint: str = STS) -> None:
        self._environment = environment
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """New keys of the role. Raises ScrapeError."""
        names = ("TKE_REGION", "TKE_PROVIDER_ID", "TKE_WEB_IDENTITY_TOKEN_FILE", "TKE_ROLE_ARN")
        region, provider, file, role = required(self._environment, *names)
        if not re.fullmatch(r"[a-z0-9-]+", region):
            raise CredentialsError("TKE_REGION in the environment is no region", reason="config")
        who = "AssumeRoleWithWebIdentity"
        body = {
            "ProviderId": provider,
            "WebIdentityToken": await asyncio.to_thread(key_files.read_key, Path(file)),
            "RoleArn": role,
            "RoleSessionName": "batchops-exporter",
            "DurationSeconds": KEYS_SECONDS,
        }
        headers = {
            "authorization": "SKIP",  # the token proves who asks
            "content-type": "application/json",
            "x-tc-action": who,
            "x-tc-version": "2018-08-13",
            "x-tc-region": region,
            "x-tc-timestamp": str(int(now)),
        }
        scheme, _, host = self._endpoint.partition("://")
        request = Request(who, scheme, host, "/", method="POST", headers=headers, body=json.dumps(body).encode())
        response = await fetch(request, max_bytes=issuer_response.MAX_BYTES, seconds=STS_SECONDS, direct=False)
        advice = "check the role, whom it trusts (the OIDC provider, the service account), and the token"
        if response.status != HTTPStatus.OK:
            raise issuer_response.issuer_error(who, response.status, advice)
        found = issuer_response.parse_object(response, who).get("Response")
        if not isinstance(found, dict):
            raise CredentialsError(f"{who} answered without Response", reason="malformed")
        error, keys = found.get("Error"), found.get("Credentials")
        if isinstance(error, dict):  # with status 200 also
            code, request_id = error.get("Code"), found.get("RequestId")
            raise issuer_response.issuer_error(who, response.status, advice, code=code, request_id=request_id)
        if not isinstance(keys, dict):
            raise CredentialsError(f"{who} answered without Credentials", reason="malformed")
        whole = {**keys, _NAMES.expires: found.get(_NAMES.expires)}
        return issuer_response.parse_credentials(whole, _NAMES, response, who=who, now=now)


class CvmRoleIssuer:
    """The CAM role of the CVM instance."""

    def __init__(self, *, endpoint: str = METADATA) -> None:
        self._endpoint = endpoint

    async def issue(self, fetch: Fetch, now: float) -> Issued:
        """The keys of the role. Raises ScrapeError."""
        return await metadata.role_keys(
            lambda path: metadata.ask(fetch, self._endpoint, path),
            "/latest/meta-data/cam/security-credentials/",
            _NAMES,
            now=now,
        )


class TencentSdk:
    """tencentcloud-sdk-python-common: its default chain, which does not tell when keys expire."""

    extra = "tencent"
    module = "tencentcloud"

    def __init__(self) -> None:
        self._found: Any = None

    def keys(self) -> Credentials:
        """The keys of the chain. Those of a profile are read anew each time, a role's are renewed by the package."""
        known = import_quietly("tencentcloud.common.credential", "tencentcloud_sdk_common", "urllib3")
        try:
            found = self._found or known.DefaultCredentialProvider().get_credentials()
        except (OSError, AttributeError, known.TencentCloudSDKException) as error:
            why = f"{self.module} found no keys ({type(error).__name__})"
            raise NotConfigured(why, reason="config") from None
        credentials = make_credentials(*found.get_credential_info())
        self._found = None if isinstance(found, known.Credential) else found
        return credentials
