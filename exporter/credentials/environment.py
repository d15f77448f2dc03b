"""Credentials in environment variables, under the names that the vendor's own tools use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core import moments
from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.header_values import header_problem, without_line_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.interfaces import CredentialNames, Fetch, Refusals


class EnvironmentCredentials:
    """The first group of variables of which at least one is set. An empty variable counts as not set.

    A group is the names for the key id, the secret and the token; only the token is optional, and of several names for
    it the first one that is set counts.
    """

    name = "environment"

    def __init__(self, names: CredentialNames, environment: Mapping[str, str]) -> None:
        self.expires: float | None = None
        self._groups = names.environment
        self._expiry = names.expiry_variable
        self._environment = environment

    async def get(self, _fetch: Fetch) -> Credentials:
        """Returns the credentials that are set now. Raises CredentialsError."""
        for group in self._groups:
            values = {name: value for name in group if (value := variable(self._environment, name))}
            if not values:
                continue
            if missing := [name for name in group[:2] if name not in values]:
                message = f"{', '.join(values)} set in the environment without {', '.join(missing)}: set all or none"
                raise CredentialsError(message, reason="config")
            for name, value in values.items():
                if problem := header_problem(value):
                    raise CredentialsError(f"{name} in the environment {problem}", reason="config")
            self.expires = self._read_expiry()
            key_id, secret, *names = group
            token = next((Secret(values[name]) for name in names if name in values), None)
            return Credentials(values[key_id], Secret(values[secret]), token, self.expires)
        pairs = ", or ".join(f"{key_id} and {secret}" for key_id, secret, *_ in self._groups)
        raise NotConfigured(f"no credentials in the environment: set {pairs}", reason="config")

    async def refused(self, credentials: Credentials, fetch: Fetch, refusals: Refusals) -> None:
        """The variables of a process do not change: there are no other credentials."""

    def _read_expiry(self) -> float | None:
        """Returns when the credentials expire (Unix seconds), if a variable says so. Raises CredentialsError."""
        text = variable(self._environment, self._expiry)
        if not text:
            return None
        expires = moments.parse(text)
        if expires is None:
            message = f"{self._expiry} in the environment is not a time with its zone, such as 2026-12-01T00:00:00Z"
            raise CredentialsError(message, reason="config")
        return expires


def variable(environment: Mapping[str, str], name: str) -> str:
    """Returns the value of a variable without line breaks at its end; an empty string if it is not set."""
    return without_line_end(environment.get(name, ""))


def required(environment: Mapping[str, str], *names: str) -> list[str]:
    """Returns the values of the variables `names`. Raises NotConfigured if one of them is not set, or empty."""
    values = [variable(environment, name) for name in names]
    if missing := [name for name, value in zip(names, values, strict=True) if not value]:
        raise NotConfigured(f"not set in the environment: {', '.join(missing)}", reason="config")
    return values
