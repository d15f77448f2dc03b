"""Credentials of AWS, which come from its SDK only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.sdk import import_quietly, make_credentials

if TYPE_CHECKING:
    from exporter.core.secrets import Credentials


class AwsSdk:
    """botocore: its chain of providers, for the profile and the region in the environment."""

    extra = "aws"
    module = "botocore"

    def __init__(self) -> None:
        self._provider: Any = None

    def load(self) -> Credentials:
        """Returns the credentials of the chain. Raises NotConfigured, and whatever the package raises.

        Those that do not expire are read again each time; the package renews the others.
        """
        package = import_quietly("botocore.session", "botocore", "urllib3")
        provider = self._provider or package.get_session().get_credentials()
        if provider is None:
            raise NotConfigured(f"{self.module} found no credentials", reason="config")
        frozen = provider.get_frozen_credentials()
        # There is no public attribute; the vendor's own command line reads this one.
        expiry = getattr(provider, "_expiry_time", None)
        self._provider = provider if expiry else None
        expires = expiry.timestamp() if expiry else None
        return make_credentials(frozen.access_key, frozen.secret_key, frozen.token, expires)
