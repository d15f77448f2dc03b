"""Credentials of AWS, which come from its package only."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.sdk import Identity, import_quietly, make_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.secrets import Credentials

_HOME_REGIONS: Final = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-eusc": "eusc-de-east-1"}
"""A region of each partition but the usual one; STS of any region returns credentials for all of its partition."""


class AwsSdk:
    """botocore: its chain of providers, for the profile and the region in the environment."""

    extra = "aws"
    module = "botocore"
    role_pattern = r"arn:aws[a-z-]*:iam::[0-9]+:role/[!-~]+"
    role_example = "arn:aws:iam::111122223333:role/batchops-exporter"
    unsupported: ClassVar[Mapping[str, str]] = {}

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._provider: Any = None

    def load(self, *, fresh: bool = False) -> Credentials:
        """Returns the credentials of the chain, or of the role. Raises NotConfigured, and whatever the package raises.

        Those that do not expire are read again each time; the package renews the others, unless they must be `fresh`.
        """
        provider = None if fresh else self._provider
        self._provider = None  # it is found again after an exception
        provider = provider or self._find()
        frozen = provider.get_frozen_credentials()
        # There is no public attribute; the vendor's own command line reads this one.
        expiry = getattr(provider, "_expiry_time", None)
        self._provider = provider if expiry else None
        expires = expiry.timestamp() if expiry else None
        return make_credentials(frozen.access_key, frozen.secret_key, frozen.token, expires)

    def _find(self) -> Any:  # noqa: ANN401 - the package has no types
        identity = self._identity
        session = import_quietly("botocore.session", "botocore", "urllib3").Session(profile=identity.profile or None)
        provider = session.get_credentials()
        if provider is None:
            raise NotConfigured(f"{self.module} found no credentials", reason="config")
        if not identity.role_arn:
            return provider
        package = import_quietly("botocore.credentials")
        partition = identity.role_arn.split(":")[1]
        region = session.get_config_variable("region") or _HOME_REGIONS.get(partition, "us-east-1")
        options = {"RoleSessionName": identity.session_name}
        if identity.external_id:
            options["ExternalId"] = identity.external_id
        fetcher = package.AssumeRoleCredentialFetcher(
            partial(session.create_client, region_name=region), provider, identity.role_arn, extra_args=options
        )
        return package.DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
