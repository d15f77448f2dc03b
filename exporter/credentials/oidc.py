"""What the vendors' exchanges of a Kubernetes service account's token for the credentials of a role have in common."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from exporter.core.errors import CredentialsError
from exporter.core.http import who_answered
from exporter.credentials import issuer_response
from exporter.credentials.environment import variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.http import Request, Response
    from exporter.core.interfaces import Fetch

STS_SECONDS: Final = 5.0
"""For the whole response of the Security Token Service; shorter than a scrape, so that its error names the service."""

SESSION_NAME: Final = "batchops-exporter"

ADVICE: Final = "check the role, its trust policy (OIDC provider, service account) and the token"


async def request_sts(fetch: Fetch, request: Request) -> Response:
    """Returns the response of the Security Token Service, an error of its own too. Raises ScrapeError."""
    response = await fetch(request, max_bytes=issuer_response.MAX_RESPONSE_BYTES, seconds=STS_SECONDS, direct=False)
    if HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR and not _is_object(response):
        fact = f"{request.operation} returned {response.status}"
        raise CredentialsError(f"{fact}: {who_answered(response)}", reason="http_4xx")
    return response


def _is_object(response: Response) -> bool:
    """Whether it is in the form of the service: all its errors are JSON."""
    try:
        issuer_response.parse_object(response, "")
    except CredentialsError:
        return False
    return True


def region(environment: Mapping[str, str], name: str) -> str:
    """Returns the region in the variable `name`, or an empty string. Raises CredentialsError if it is invalid."""
    value = variable(environment, name)
    if value and not re.fullmatch(r"[a-z0-9-]+", value):
        raise CredentialsError(f"{name} in the environment is not a valid region", reason="config")
    return value
