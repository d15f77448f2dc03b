"""Credentials in environment variables, under the names that the vendor's own tools use."""

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
    """The first group of variables of which at least one is set. An empty variable counts as not set.

    A group is the names for the key id, the secret and the token; only the token is optional.
    """

    name = "environment"
    expires: float | None = None

    def __init__(self, groups: tuple[tuple[str, str, str], ...], environment: Mapping[str, str]) -> None:
        self._groups = groups
        self._environment = environment

    async def get(self, _fetch: Fetch) -> Credentials:
        """Returns the credentials that are set now. Raises CredentialsError."""
        for group in self._groups:
            values = {name: value for name in group if (value := self._environment.get(name))}
            if not values:
                continue
            if missing := [name for name in group[:2] if name not in values]:
                message = f"{', '.join(values)} set in the environment without {', '.join(missing)}: set all or none"
                raise CredentialsError(message, reason="config")
            for name, value in values.items():
                if problem := header_problem(value):
                    raise CredentialsError(f"{name} in the environment {problem}", reason="config")
            key_id, secret, token = (values.get(name) for name in group)
            return Credentials(key_id or "", Secret(secret or ""), Secret(token) if token else None)
        pairs = ", or ".join(f"{key_id} and {secret}" for key_id, secret, _ in self._groups)
        raise NotConfigured(f"no credentials in the environment: set {pairs}", reason="config")


def required(environment: Mapping[str, str], *names: str) -> list[str]:
    """Returns the values of the variables `names`. Raises NotConfigured if one of them is not set, or empty."""
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise NotConfigured(f"not set in the environment: {', '.join(missing)}", reason="config")
    return [environment[name] for name in names]
