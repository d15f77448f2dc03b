"""Responses of the services that issue temporary credentials: JSON with credentials and their expiry, or an error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.header_values import header_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.http import Response

MAX_RESPONSE_BYTES: Final = 64 * 1024
"""Credentials with the longest tokens need a tenth of it."""

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_LATEST: Final = 1e11
"""Unix seconds, beyond the year 5000: a larger number is not in seconds."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Temporary credentials, valid for `lifetime` seconds from when they were requested; None: unknown."""

    credentials: Credentials
    lifetime: float | None


class FieldNames(NamedTuple):
    """What an issuer calls the fields of its response."""

    key_id: str
    secret: str
    token: str
    expires: str


def safe_code(value: object) -> str:
    """Returns `value` if it is an error code or a request id; else an empty string: it may repeat what was sent."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


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
    wrong. Raises CredentialsError.
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
    lifetime = expires - _date(response, now)
    if lifetime <= 0:
        raise CredentialsError(f"{issuer} returned credentials that have already expired", reason="auth")
    token = Secret(fields[names.token])
    return Issued(Credentials(fields[names.key_id], Secret(fields[names.secret]), token, expires), lifetime)


def _unix_seconds(value: object) -> float | None:
    """Returns the time in Unix seconds; None if `value` is neither a number of them nor a time with its zone."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            seconds = moment.timestamp() if moment.tzinfo else 0.0
        else:
            seconds = float(value) if isinstance(value, int) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < _LATEST else None


def _date(response: Response, now: float) -> float:
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return now


def issuer_error(
    issuer: str, status: int, advice: str, *, code: object = None, request_id: object = None
) -> CredentialsError:
    """Returns the error for a response without credentials. `advice`: what to check if the issuer refused the request.

    The message contains the code and the request id, but no other text of the response: it may repeat what was sent.
    """
    code, request_id = safe_code(code), safe_code(request_id)
    fact = f"{issuer} returned {status}{f' {code}' if code else ''}"
    suffix = f" (request id {request_id})" if request_id else ""
    if status == HTTPStatus.TOO_MANY_REQUESTS or re.search("Throttling|LimitExceeded", code):
        return CredentialsError(f"{fact}: too many requests{suffix}", reason="throttled")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code.startswith("InternalError"):
        return CredentialsError(f"{fact}: server error; will be retried{suffix}", reason="http_5xx")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return CredentialsError(f"{fact}: redirects are not followed{suffix}", reason="malformed")
    return CredentialsError(f"{fact}: {advice}{suffix}", reason="auth")
