"""What those who issue temporary keys answer: JSON with the keys and their end, or a refusal."""

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

MAX_BYTES: Final = 64 * 1024
"""Of an answer; keys with the longest tokens take a tenth."""

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_LATEST: Final = 1e11
"""Unix seconds, beyond the year 5000: a larger number is not in seconds."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Temporary keys, good for `lifetime` seconds from when they were asked for; None: nobody tells how long."""

    credentials: Credentials
    lifetime: float | None


class FieldNames(NamedTuple):
    """What an issuer calls the parts of its answer."""

    key_id: str
    secret: str
    token: str
    expires: str


def parse_object(response: Response, who: str) -> dict[str, Any]:
    """The JSON object in the answer of `who`. Raises CredentialsError."""
    try:
        found = json.loads(response.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CredentialsError(f"{who} answered with what is not JSON, or no object", reason="malformed")
    return found


def parse_credentials(
    found: Mapping[str, Any], names: FieldNames, response: Response, *, who: str, now: float
) -> Issued:
    """The keys that stand in `found`, a part of the answer of `who` to a request sent at the Unix time `now`.

    How long they are good is measured by the issuer's own clock, which signs its answer with the date: this machine's
    may be off. Raises CredentialsError.
    """
    for name in names[:3]:
        value = found.get(name)
        if not isinstance(value, str):
            raise CredentialsError(f"{who} answered without {name}", reason="malformed")
        if wrong := header_problem(value):
            raise CredentialsError(f"{who} answered with a {name} that {wrong}", reason="malformed")
    expires = _moment(found.get(names.expires))
    if expires is None:
        raise CredentialsError(f"{who} does not tell when the keys expire ({names.expires})", reason="malformed")
    lifetime = expires - _date(response, now)
    if lifetime <= 0:
        raise CredentialsError(f"{who} gave keys that have expired already", reason="auth")
    token = Secret(found[names.token])
    return Issued(Credentials(found[names.key_id], Secret(found[names.secret]), token, expires), lifetime)


def _moment(value: object) -> float | None:
    """The Unix seconds of a number of them, or of a time with its zone; None where `value` is neither."""
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
    who: str, status: int, advice: str, *, code: object = None, request_id: object = None
) -> CredentialsError:
    """The error for an answer that holds no keys. `advice`: what to check where it is the asker's fault.

    Of what an issuer tells, only a code and a request id are shown; its sentences may repeat what was sent.
    """
    code, request_id = _word(code), _word(request_id)
    what = f"{who} answered {status}{f' {code}' if code else ''}"
    where = f" (request id {request_id})" if request_id else ""
    if status == HTTPStatus.TOO_MANY_REQUESTS or re.search("Throttling|LimitExceeded", code):
        return CredentialsError(f"{what}: too many requests{where}", reason="throttled")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code.startswith("InternalError"):
        return CredentialsError(f"{what}: it has a fault of its own{where}", reason="http_5xx")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return CredentialsError(f"{what}: redirects are not followed{where}", reason="malformed")
    return CredentialsError(f"{what}: {advice}{where}", reason="auth")


def _word(text: object) -> str:
    return text if isinstance(text, str) and _WORD.fullmatch(text) else ""
