"""Credentials from Alibaba Cloud's own package, alibabacloud-credentials 1.0.12 or newer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from exporter.core.errors import CredentialsError
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.issuer_response import safe_code
from exporter.credentials.sdk import Identity, import_quietly, make_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.secrets import Credentials


class AlibabaSdk:
    """alibabacloud-credentials: the providers of its default chain, in its order.

    Not its `DefaultCredentialsProvider`: that one hides when credentials expire, and starts a thread that looks for the
    ECS metadata service every minute. The package reads the environment once, when it is imported.
    """

    extra = "alibaba"
    module = "alibabacloud_credentials"
    role_pattern = r"acs:ram::[0-9]+:role/[!-~]+"
    role_example = "acs:ram::113511544585:role/batchops-exporter"
    unsupported: ClassVar[Mapping[str, str]] = {}

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._own: _First | None = None
        self._provider: Any = None

    def load(self, *, fresh: bool = False) -> Credentials:
        """Returns the credentials of the first provider that has some, and of that provider from then on.

        If they must be `fresh`, that provider is made again, because it keeps them. Raises CredentialsError.
        """
        if self._own is None or fresh:
            self._own = _First(self._chain(), kind=self._own.kind if self._own else None)
            self._provider = self._role(self._own) if self._identity.role_arn else self._own
        try:
            loaded = self._provider.get_credentials()
        except CredentialsError:
            raise
        except Exception as error:  # noqa: BLE001 - the package raises many kinds
            message = f"{self.module} returned no credentials: ram_role_arn: {_describe_error(error)}"
            raise CredentialsError(message, reason="auth") from None
        return make_credentials(
            loaded.get_access_key_id(),
            loaded.get_access_key_secret(),
            loaded.get_security_token(),
            loaded.get_expiration(),
        )

    def _chain(self) -> list[Any]:
        loggers = ("credentials", "alibabacloud-tea", "apscheduler", "urllib3")
        package = import_quietly("alibabacloud_credentials.provider", *loggers)
        settings = import_quietly("alibabacloud_credentials.utils.auth_util")
        name = self._identity.profile or None
        profiles = [
            package.CLIProfileCredentialsProvider(profile_name=name),
            package.ProfileCredentialsProvider(profile_name=name),
        ]
        if name:
            return profiles
        chain = [package.EnvironmentVariableCredentialsProvider()]
        if settings.enable_oidc_credential:
            chain.append(package.OIDCRoleArnCredentialsProvider())
        chain += profiles
        if settings.environment_ecs_metadata_disabled.lower() != "true":
            chain.append(package.EcsRamRoleCredentialsProvider(async_update_enabled=False))
        if settings.environment_credentials_uri:
            chain.append(package.URLCredentialsProvider())
        return chain

    def _role(self, own: _First) -> Any:  # noqa: ANN401 - the package has no types
        package = import_quietly("alibabacloud_credentials.provider")
        return package.RamRoleArnCredentialsProvider(
            credentials_provider=own,
            role_arn=self._identity.role_arn,
            role_session_name=self._identity.session_name,
            external_id=self._identity.external_id or None,
        )


class _First:
    """The first of the package's providers that has credentials; it keeps to that one.

    `kind`: only providers of this class, because another one was chosen before.
    """

    def __init__(self, chain: list[Any], *, kind: type | None) -> None:
        self.kind = kind
        self._chain = [provider for provider in chain if kind is None or type(provider) is kind]

    def get_credentials(self) -> Any:  # noqa: ANN401 - the package has no types
        """Returns what its provider returns, in the package's own class. Raises CredentialsError."""
        failures = []
        for provider in self._chain:
            try:
                loaded = provider.get_credentials()
            except Exception as error:  # noqa: BLE001 - as the package's own chain does
                failures.append(f"{provider.get_provider_name()}: {_describe_error(error)}")
                continue
            self._chain, self.kind = [provider], type(provider)
            return loaded
        if self.kind:
            message = f"{AlibabaSdk.module} returned no credentials: {', '.join(failures)}"
            raise CredentialsError(message, reason="auth")
        raise NotConfigured(f"{AlibabaSdk.module} found no credentials: {', '.join(failures)}", reason="config")


def _describe_error(error: Exception) -> str:
    """Returns the first words, the HTTP status and the code of an error of the package.

    The rest of its message may contain a response, or what was sent.
    """
    name, text = type(error).__name__, str(error)
    words = re.split(r"[^\w ]", text)[0].strip() if name in ("CredentialException", "ValueError") else name
    status = re.search(r"http_code[:=] ?(\d{3})\b", text)
    code = re.search(r'"Code": ?"([^"]*)"', text)
    return " ".join(filter(None, [words, status and status[1], safe_code(code and code[1])]))
