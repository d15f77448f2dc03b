"""Responses of the services that issue temporary credentials: JSON with credentials and their expiry, or an error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from exporter.core import moments
from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.header_values import header_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.http import Response

MAX_RESPONSE_BYTES: Final = 64 * 1024
"""Credentials with the longest tokens need a tenth of it."""

_CODE: Final = re.compile(r"[A-Za-z]{1,40}(\.[A-Za-z]{1,40}){0,3}")
"""All documented codes are such words. A key or a token that is in the wrong place contains digits, or is longer."""

_REQUEST_ID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class Issued:
    """Temporary credentials, valid for `lifetime` seconds from when they were requested; None: unknown.

    `by_own_clock`: the lifetime was measured with this machine's clock, which may be wrong.
    """

    credentials: Credentials
    lifetime: float | None
    by_own_clock: bool = False


class FieldNames(NamedTuple):
    """What an issuer calls the fields of its response."""

    key_id: str
    secret: str
    token: str
    expires: str


def safe_code(value: object) -> str:
    """Returns `value` if it is an error code; else an empty string: it may be a key or repeat what was sent."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def _safe_request_id(value: object) -> str:
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else ""


def parse_object(response: Response, issuer: str) -> dict[str, Any]:
    """Returns the JSON object in the response of `issuer`. Raises CredentialsError."""
    try:
        parsed = json.loads(response.body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise CredentialsError(f"{issuer} returned something other than a JSON object", reason="malformed")
    return parsed


def parse_credentials(
    fields: Mapping[str, Any], names: FieldNames, response: Response, *, issuer: str, now: float
) -> Issued:
    """Returns the credentials in `fields`, a part of the response of `issuer` to a request sent at Unix time `now`.

    The lifetime is measured by the issuer's clock, from the response's header Date, because this machine's clock may be
    wrong; without a Date, by this machine's clock. Raises CredentialsError.
    """
    for name in names[:3]:
        value = fields.get(name)
        if not isinstance(value, str):
            raise CredentialsError(f"{issuer} returned no {name}", reason="malformed")
        if problem := header_problem(value):
            raise CredentialsError(f"{issuer} returned a {name} that {problem}", reason="malformed")
    expires = _unix_seconds(fields.get(names.expires))
    if expires is None:
        raise CredentialsError(f"{issuer} returned no valid expiry time ({names.expires})", reason="malformed")
    date = _date(response)
    lifetime = expires - (now if date is None else date)
    if lifetime <= 0:
        raise CredentialsError(f"{issuer} returned credentials that have already expired", reason="auth")
    token = Secret(fields[names.token])
    credentials = Credentials(fields[names.key_id], Secret(fields[names.secret]), token, expires)
    return Issued(credentials, lifetime, by_own_clock=date is None)


def _unix_seconds(value: object) -> float | None:
    """Returns the time in Unix seconds; None if `value` is neither a number of them nor a time with its zone."""
    if isinstance(value, str):
        return moments.parse(value)
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    return float(number) if 0 < number < moments.LATEST else None


def _date(response: Response) -> float | None:
    """Returns the issuer's clock (Unix seconds); None if the response has no valid Date."""
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def issuer_error(
    issuer: str, status: int, advice: str, *, code: object = None, request_id: object = None
) -> CredentialsError:
    """Returns the error for a response without credentials. `advice`: what to check if the issuer refused the request.

    The message contains the code and the request id, but no other text of the response: it may repeat what was sent.
    """
    code, request_id = safe_code(code), _safe_request_id(request_id)
    fact = f"{issuer} returned {status}{f' {code}' if code else ''}"
    suffix = f" (request id {request_id})" if request_id else ""
    if status == HTTPStatus.TOO_MANY_REQUESTS or re.search("Throttling|LimitExceeded", code):
        return CredentialsError(f"{fact}: too many requests{suffix}", reason="throttled")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code.startswith("InternalError"):
        return CredentialsError(f"{fact}: server error; will be retried{suffix}", reason="http_5xx")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return CredentialsError(f"{fact}: redirects are not followed{suffix}", reason="malformed")
    return CredentialsError(f"{fact}: {advice}{suffix}", reason="auth")
