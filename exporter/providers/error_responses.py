"""What an answer other than 200 means: the provider's documented codes first, then the HTTP status."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.core.errors import Reason, ServiceError
from exporter.providers import batch_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.http import Response

MAX_WORD_CHARACTERS: Final = 128
"""Of an error's code and request id; what is longer is no code."""


class ErrorMeaning(NamedTuple):
    """What a documented error code means: the word for the metrics, and what the person on call can do."""

    reason: Reason
    advice: str


def to_error(
    response: Response,
    *,
    operation: str,
    codes: Mapping[str, ErrorMeaning],
    request_id_header: str,
    extended_id_header: str = "",
    body: bytes | None = None,
    wait_seconds: float | None = None,
) -> ServiceError:
    """The error that `response` tells. `body`: its XML, where that does not stand in the body.

    `wait_seconds` is what the provider's own header asks to wait; Retry-After is read here. Only the code and the
    request ids are shown: the rest of an error's body may echo the key and the string that was signed.
    `extended_id_header` has the second id that some services' support asks for.
    """
    told = batch_xml.parse_error(response.body if body is None else body)
    code = _word(told.code)
    request_id = _word(response.headers.get(request_id_header)) or _word(told.request_id)
    meaning = codes.get(code or "") or _by_status(response)
    what = f"{operation} was answered with {response.status}{f' {code}' if code else ''}"
    advice = meaning.advice.replace("{operation}", operation)
    ids = {"request id": request_id, "extended request id": _word(response.headers.get(extended_id_header))}
    shown = ", ".join(f"{name} {value}" for name, value in ids.items() if value)
    message = f"{what}: {advice}{f' ({shown})' if shown else ''}"
    waits = [seconds for seconds in (wait_seconds, _retry_after(response.headers)) if seconds is not None]
    return ServiceError(
        message,
        reason=meaning.reason,
        status=response.status,
        code=code,
        request_id=request_id,
        retry_after=max(waits, default=None),
    )


def _by_status(response: Response) -> ErrorMeaning:
    status = response.status
    if status == HTTPStatus.UNAUTHORIZED:
        return ErrorMeaning("auth", "the service does not accept the credentials; check them")
    if status == HTTPStatus.FORBIDDEN:
        return ErrorMeaning("access_denied", "the service refuses the call; check the permissions of the credentials")
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ErrorMeaning("http_4xx", "a proxy on the way asks for credentials; check proxy_url")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ErrorMeaning("throttled", "too many requests; scrape less often or lower requests_per_second")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ErrorMeaning("http_5xx", "the service has a fault of its own; see its status page if this lasts")
    if status >= HTTPStatus.BAD_REQUEST:
        return ErrorMeaning("http_4xx", "the service does not accept the request; check endpoint and region")
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return ErrorMeaning("malformed", "redirects are not followed, so that keys go to no other host; check endpoint")
    return ErrorMeaning("malformed", "this status is not documented; check that endpoint is the service's own host")


def _word(text: str | None) -> str | None:
    """`text` where it is one printable word, as codes and request ids are."""
    text = (text or "").strip()
    fits = text.isascii() and text.isprintable() and " " not in text and 0 < len(text) <= MAX_WORD_CHARACTERS
    return text if fits else None


def seconds(text: str | None, *, unit: float = 1.0) -> float | None:
    """A waiting time of `text` units of so many seconds; None where `text` is no such number."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number * unit if math.isfinite(number) and number >= 0 else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks to wait (RFC 9110, 10.2.3); a date counts from the answer's own Date."""
    text = headers.get("retry-after")
    number = seconds(text)
    if number is not None or not text:
        return number
    try:
        until = parsedate_to_datetime(text).timestamp()
        return max(0.0, until - parsedate_to_datetime(headers.get("date", "")).timestamp())
    except (ValueError, OverflowError):
        return None
