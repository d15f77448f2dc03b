"""Error responses: what they mean by the provider's documented codes, otherwise by the HTTP status."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.core.errors import Reason, ServiceError
from exporter.core.http import who_answered
from exporter.providers import batch_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.http import Response

MAX_WORD_CHARACTERS: Final = 128
"""Limit of an error's code and request id; longer texts are not shown."""


class ErrorMeaning(NamedTuple):
    """What a documented error code means: the label `reason`, and the fact and remedy for the person on call."""

    reason: Reason
    advice: str
    transient: bool | None = None
    """Whether the same request, sent again, may succeed; None: as its status and reason say."""


SLOW_REQUEST: Final = ErrorMeaning(
    "http_4xx", "the service did not receive the request in time; see the network if this lasts", transient=True
)
THROTTLED: Final = ErrorMeaning("throttled", "too many requests; scrape less often or lower requests_per_second")


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
    """The error for `response`. `body` is its XML, if that is not in the response's own body.

    `wait_seconds` is the delay that the provider's own header requests; Retry-After is read here. Only the code and the
    request ids are shown: the rest of an error's body may echo the key and the string that was signed.
    `extended_id_header` contains the second id that the support of some services asks for.
    """
    parsed = batch_xml.parse_error(response.body if body is None else body)
    code = _word(parsed.code)
    request_id = _word(response.headers.get(request_id_header)) or _word(parsed.request_id)
    # Like the vendors' SDKs, take an error that comes with status 200 for a failure of the service.
    status = HTTPStatus.INTERNAL_SERVER_ERROR if response.status == HTTPStatus.OK else response.status
    known = code is not None or request_id is not None
    meaning = codes.get(code or "") or (_by_status(status) if known else _of_another(response))
    fact = f"{operation} returned {response.status}{f' {code}' if code else ''}"
    advice = meaning.advice.replace("{operation}", operation)
    ids = {"request id": request_id, "extended request id": _word(response.headers.get(extended_id_header))}
    shown = ", ".join(f"{name} {value}" for name, value in ids.items() if value)
    message = f"{fact}: {advice}{f' ({shown})' if shown else ''}"
    waits = [seconds for seconds in (wait_seconds, _retry_after(response.headers)) if seconds is not None]
    error = ServiceError(
        message,
        reason=meaning.reason,
        status=response.status,
        code=code,
        request_id=request_id,
        retry_after=max(waits, default=None),
    )
    if meaning.transient is not None:
        error.transient = meaning.transient
    elif response.status == HTTPStatus.OK:
        error.transient = meaning.reason in ("http_5xx", "throttled")
    return error


def _by_status(status: int) -> ErrorMeaning:
    if status == HTTPStatus.UNAUTHORIZED:
        return ErrorMeaning("auth", "the service does not accept the credentials; check them")
    if status == HTTPStatus.FORBIDDEN:
        return ErrorMeaning("access_denied", "the service denies access; check the permissions of the credentials")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return THROTTLED
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ErrorMeaning("http_5xx", "the service returned a server error; see its status page if this lasts")
    if status >= HTTPStatus.BAD_REQUEST:
        return ErrorMeaning("http_4xx", "the service does not accept the request; check endpoint and region")
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return ErrorMeaning("malformed", "redirects are not followed, so that keys go to no other host; check endpoint")
    return ErrorMeaning("malformed", "this status is not documented; check that endpoint is the service's own host")


def _of_another(response: Response) -> ErrorMeaning:
    """The meaning of a response without any sign of the service."""
    if response.status < HTTPStatus.BAD_REQUEST or response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _by_status(response.status)
    reason: Reason = "http_5xx" if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "http_4xx"
    return ErrorMeaning(reason, who_answered(response))


def _word(text: str | None) -> str | None:
    """`text` if it is one printable word, like all codes and request ids; otherwise None."""
    text = (text or "").strip()
    fits = text.isascii() and text.isprintable() and " " not in text and 0 < len(text) <= MAX_WORD_CHARACTERS
    return text if fits else None


def seconds(text: str | None, *, unit: float = 1.0) -> float | None:
    """The delay of `text` units in seconds; None if `text` is not a number of at least 0."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number * unit if math.isfinite(number) and number >= 0 else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The delay in Retry-After (RFC 9110, 10.2.3) in seconds; a date is compared with the response's own Date."""
    text = headers.get("retry-after")
    number = seconds(text)
    if number is not None or not text:
        return number
    try:
        until = parsedate_to_datetime(text).timestamp()
        return max(0.0, until - parsedate_to_datetime(headers.get("date", "")).timestamp())
    except (ValueError, OverflowError):
        return None
