"""Credentials from Tencent Cloud's own package."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from exporter.core.secrets import Secret
from exporter.credentials.cos import ROLE_SECONDS
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.environment import variable
from exporter.credentials.sdk import Identity, import_quietly, make_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from exporter.core.secrets import Credentials

STS_REGION: Final = "ap-guangzhou"
"""The region that the package itself uses for STS; roles are the same in all regions."""

TOKEN_VARIABLES: Final = ("TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN", "TENCENTCLOUD_SESSION_TOKEN")
"""The names of the token in the environment, as for the source `environment`."""


class TencentSdk:
    """tencentcloud-sdk-python-common: its default chain, which does not report when credentials expire."""

    extra = "tencent"
    module = "tencentcloud"
    role_pattern = r"qcs::cam::uin/[0-9]+:role(?:Name)?/[!-~]+"
    role_example = "qcs::cam::uin/100000000001:roleName/batchops-exporter"
    unsupported: ClassVar[Mapping[str, str]] = {
        "profile": "cannot be used: the package tencentcloud reads only the profile default; remove it"
    }

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._provider: Any = None

    def load(self, *, fresh: bool = False) -> Credentials:
        """Returns the credentials of the chain, or of the role. Raises NotConfigured, and whatever the package raises.

        A profile is read again each time; the package renews the credentials of an instance's role, unless they must be
        `fresh`.
        """
        package = import_quietly("tencentcloud.common.credential", "tencentcloud_sdk_common", "urllib3")
        try:
            provider = (not fresh and self._provider) or package.DefaultCredentialProvider().get_credentials()
        except (OSError, AttributeError, package.TencentCloudSDKException) as error:
            message = f"{self.module} found no credentials ({type(error).__name__})"
            raise NotConfigured(message, reason="config") from None
        credentials = _with_token(make_credentials(*provider.get_credential_info()))
        self._provider = None if isinstance(provider, package.Credential) else provider
        return self._assume_role(package, credentials) if self._identity.role_arn else credentials

    def _assume_role(self, package: ModuleType, own: Credentials) -> Credentials:
        """Returns credentials of the role. The package's own class for this takes no token and no external id."""
        clients = import_quietly("tencentcloud.common.common_client")
        credential = package.Credential(own.key_id, own.secret.reveal(), own.token and own.token.reveal())
        parameters = {
            "RoleArn": self._identity.role_arn,
            "RoleSessionName": self._identity.session_name,
            "DurationSeconds": ROLE_SECONDS,
        }
        if self._identity.external_id:
            parameters["ExternalId"] = self._identity.external_id
        client = clients.CommonClient("sts", "2018-08-13", credential, STS_REGION)
        response = client.call_json("AssumeRole", parameters)["Response"]
        keys = response["Credentials"]
        return make_credentials(
            keys["TmpSecretId"], keys["TmpSecretKey"], keys["Token"], float(response["ExpiredTime"])
        )


def _with_token(credentials: Credentials) -> Credentials:
    """Returns the credentials with the token in the environment if they come from there: the package drops it."""
    token = next((token for name in TOKEN_VARIABLES if (token := variable(os.environ, name))), "")
    if credentials.token or not token or credentials.key_id != os.environ.get("TENCENTCLOUD_SECRET_ID"):
        return credentials
    return replace(credentials, token=Secret(token))
