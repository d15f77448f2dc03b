"""Keys in the environment, under the names that the vendor's own tools use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.header_values import header_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.interfaces import Fetch


class EnvironmentCredentials:
    """The first family of variables of which one is set; it must be whole. An empty variable is not set.

    A family is the names for the key id, the secret and the token.
    """

    name = "environment"
    expires: float | None = None

    def __init__(self, families: tuple[tuple[str, str, str], ...], environment: Mapping[str, str]) -> None:
        self._families = families
        self._environment = environment

    async def get(self, _fetch: Fetch) -> Credentials:
        """The keys that are set now. Raises CredentialsError."""
        for family in self._families:
            key_id, secret, token = values = [self._environment.get(name, "") for name in family]
            if not any(values):
                continue
            missing = [name for name, value in zip(family[:2], values, strict=False) if not value]
            if missing:
                given = " and ".join(name for name, value in zip(family, values, strict=True) if value)
                raise CredentialsError(
                    f"{given}: set in the environment, but {' and '.join(missing)} not", reason="config"
                )
            for name, value in zip(family, values, strict=True):
                if value and (wrong := header_problem(value)):
                    raise CredentialsError(f"{name} in the environment {wrong}", reason="config")
            return Credentials(key_id, Secret(secret), Secret(token) if token else None)
        wanted = ", or ".join(f"{key_id} and {secret}" for key_id, secret, _ in self._families)
        raise NotConfigured(f"there are no keys in the environment: set {wanted}", reason="config")


def required(environment: Mapping[str, str], *names: str) -> list[str]:
    """The values of the variables `names`. Raises NotConfigured where one of them is not set, or empty."""
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise NotConfigured(f"not in the environment: {', '.join(missing)}", reason="config")
    return [environment[name] for name in names]
