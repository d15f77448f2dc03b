"""Credentials of AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.sdk import import_quietly, make_credentials

if TYPE_CHECKING:
    from exporter.core.secrets import Credentials


class AwsSdk:
    """botocore: its chain of providers, for the profile and the region that the environment names."""

    extra = "aws"
    module = "botocore"

    def __init__(self) -> None:
        self._found: Any = None

    def keys(self) -> Credentials:
        """The keys of the chain. Those that do not expire are read anew each time, others renewed by the package."""
        known = import_quietly("botocore.session", "botocore", "urllib3")
        found = self._found or known.get_session().get_credentials()
        if found is None:
            raise NotConfigured(f"{self.module} found no keys", reason="config")
        frozen = found.get_frozen_credentials()
        # Nothing public tells it; the vendor's own command line reads it like this.
        expiry = getattr(found, "_expiry_time", None)
        self._found = found if expiry else None
        return make_credentials(
            frozen.access_key, frozen.secret_key, frozen.token, expiry.timestamp() if expiry else None
        )
