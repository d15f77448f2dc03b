"""The role of a virtual machine, as the metadata service beside it gives its keys.

It listens on an address that is reached from this machine only, without TLS; so it is never asked through a proxy.
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

SECONDS: Final = 2.0
"""For one answer; it comes from beside this machine, and where it does not there is no such service."""

WHO: Final = "the metadata service"

_ROLE: Final = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)


async def ask(
    fetch: Fetch, endpoint: str, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Response:
    """The answer of the service at the base URL `endpoint`. Raises NotConfigured where none comes, and ScrapeError."""
    scheme, _, host = endpoint.partition("://")
    request = Request("Metadata", scheme, host, path, method=method, headers=headers or {})
    try:
        return await fetch(request, max_bytes=issuer_response.MAX_BYTES, seconds=SECONDS, direct=True)
    except TransportError as error:
        if error.reason not in ("connect", "timeout"):
            raise
        raise NotConfigured(f"no metadata service: {error.message}", reason=error.reason) from None


async def role_keys(
    get: Callable[[str], Awaitable[Response]], folder: str, names: FieldNames, *, now: float, role: str = ""
) -> Issued:
    """The keys of `role` under the path `folder`; of the one that the service tells where it is empty.

    Raises CredentialsError, and what `get`, which reads a path, raises.
    """
    if not role:
        response = await get(folder)
        if response.status == HTTPStatus.NOT_FOUND:
            raise NotConfigured("no role is attached to this machine", reason="config")
        if response.status != HTTPStatus.OK:
            raise issuer_response.issuer_error(WHO, response.status, "it does not tell the role of this machine")
        role = response.body.decode("latin-1").strip()
    if not _ROLE.fullmatch(role):
        raise CredentialsError("what should be the name of the role of this machine is none", reason="malformed")
    response = await get(folder + role)
    if response.status == HTTPStatus.NOT_FOUND:
        raise CredentialsError(f"the role {role} is not attached to this machine", reason="config")
    if response.status != HTTPStatus.OK:
        raise issuer_response.issuer_error(WHO, response.status, f"it gives no keys of the role {role}")
    return successful(response, names, who=WHO, now=now)


def successful(response: Response, names: FieldNames, *, who: str, now: float) -> Issued:
    """The keys in an answer that tells its outcome as `Code`. Raises CredentialsError."""
    found = issuer_response.parse_object(response, who)
    if found.get("Code") != "Success":
        raise issuer_response.issuer_error(who, response.status, "its Code is not Success", code=found.get("Code"))
    return issuer_response.parse_credentials(found, names, response, who=who, now=now)
