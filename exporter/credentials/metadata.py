"""The credentials of a virtual machine's role, from the metadata service of its host.

The service listens on an address that only this machine reaches, without TLS, so it is never requested through a proxy.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from exporter.core.errors import CredentialsError, TransportError
from exporter.core.http import Request
from exporter.credentials import issuer_response
from exporter.credentials.default_chain import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from exporter.core.http import Response
    from exporter.core.interfaces import Fetch
    from exporter.credentials.issuer_response import FieldNames, Issued

METADATA_SECONDS: Final = 2.0
"""For one response. The service is next to this machine: if nothing responds by then, there is none."""

ISSUER: Final = "the metadata service"

_ROLE: Final = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)


async def request_metadata(
    fetch: Fetch, endpoint: str, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Response:
    """Returns the response of the service at the base URL `endpoint`.

    Raises NotConfigured if none arrives, and ScrapeError.
    """
    scheme, _, host = endpoint.partition("://")
    request = Request("Metadata", scheme, host, path, method=method, headers=headers or {})
    try:
        return await fetch(request, max_bytes=issuer_response.MAX_RESPONSE_BYTES, seconds=METADATA_SECONDS, direct=True)
    except TransportError as error:
        if error.reason not in ("connect", "timeout"):
            raise
        raise NotConfigured(f"no metadata service: {error.message}", reason=error.reason) from None


async def role_credentials(
    get: Callable[[str], Awaitable[Response]], folder: str, names: FieldNames, *, now: float, role: str = ""
) -> Issued:
    """Returns the credentials of `role` from the path `folder`; if it is empty, of the role that the service names.

    No message contains what the service returned: it may be a token in the wrong place. Raises CredentialsError, and
    what `get`, which requests a path, raises.
    """
    shown = f"the role {role}" if role else "the role that the metadata service names"
    if not role:
        response = await get(folder)
        if response.status == HTTPStatus.NOT_FOUND:
            raise NotConfigured("no role is attached to this machine", reason="config")
        if response.status != HTTPStatus.OK:
            raise issuer_response.issuer_error(ISSUER, response.status, "cannot read the role of this machine")
        role = response.body.decode("latin-1").strip()
    if not _ROLE.fullmatch(role):
        raise CredentialsError("the role of this machine has an invalid name", reason="malformed")
    response = await get(folder + role)
    if response.status == HTTPStatus.NOT_FOUND:
        raise CredentialsError(f"{shown} is not attached to this machine", reason="config")
    if response.status != HTTPStatus.OK:
        advice = f"cannot read the credentials of {shown}"
        raise issuer_response.issuer_error(ISSUER, response.status, advice)
    return parse_response(response, names, issuer=ISSUER, now=now)


def parse_response(response: Response, names: FieldNames, *, issuer: str, now: float) -> Issued:
    """Returns the credentials in a response whose field `Code` is its outcome. Raises CredentialsError."""
    fields = issuer_response.parse_object(response, issuer)
    code = fields.get("Code")
    if code != "Success":
        raise issuer_response.issuer_error(issuer, response.status, "its Code is not Success", code=code)
    return issuer_response.parse_credentials(fields, names, response, issuer=issuer, now=now)
