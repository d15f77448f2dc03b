from __future__ import annotations

import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.errors import REASONS, ServiceError
from exporter.core.http import Response
from exporter.providers import error_responses
from exporter.providers.error_responses import ErrorMeaning

CODES = {
    "AccessDenied": ErrorMeaning("access_denied", "grant the permission store:ListJobs"),
    "SlowDown": ErrorMeaning("throttled", "scrape less often"),
}
DATE = "Sun, 22 Nov 2026 05:30:00 GMT"


def to_error(status: int, text: str = "", headers: dict[str, str] | None = None, **more: Any) -> ServiceError:
    response = Response(status, headers or {}, text.encode())
    return error_responses.to_error(
        response, operation="ListJobs", codes=CODES, request_id_header="x-request-id", **more
    )


def error_body(code: str, request_id: str = "", more: str = "") -> str:
    return f"<Error><Code>{code}</Code><RequestId>{request_id}</RequestId>{more}</Error>"


@pytest.mark.parametrize(
    ("status", "reason", "transient", "says"),
    [
        (100, "malformed", False, "not documented"),
        (204, "malformed", False, "not documented"),
        (301, "malformed", False, "redirects are not followed"),
        (307, "malformed", False, "redirects are not followed"),
        (400, "http_4xx", False, "check endpoint and region"),
        (401, "auth", False, "check them"),
        (403, "access_denied", False, "check the permissions"),
        (404, "http_4xx", False, "check endpoint and region"),
        (408, "http_4xx", True, "check endpoint and region"),
        (418, "http_4xx", False, "check endpoint and region"),
        (429, "throttled", True, "requests_per_second"),
        (500, "http_5xx", True, "returned a server error"),
        (503, "http_5xx", True, "returned a server error"),
        (599, "http_5xx", True, "returned a server error"),
    ],
)
@pytest.mark.parametrize("body", ["", error_body("Unheard"), "<html>Sorry</html>", "\0"])
def test_a_status_means_something_without_a_known_code(status, reason, transient, says, body):
    """If the code is unknown or missing, the status alone determines the reason, and whether to retry."""
    error = to_error(status, body, {"x-request-id": "r-1"})
    assert (error.reason, error.transient, error.status) == (reason, transient, status)
    assert str(error).startswith(f"ListJobs returned {status}")
    assert says in str(error)


@pytest.mark.parametrize(
    ("status", "headers", "reason", "says"),
    [
        (403, {"via": "1.1 squid"}, "http_4xx", "a proxy answered, not the service; check the rules of the proxy"),
        (503, {"x-squid-error": "ERR_DNS_FAIL 0"}, "http_5xx", "a proxy answered, not the service"),
        (407, {}, "http_4xx", "a proxy requires credentials; check the user and password"),
        (401, {"www-authenticate": "Basic"}, "http_4xx", "something other than the service answered; check endpoint"),
        (403, {}, "http_4xx", "something other than the service answered; check endpoint"),
        (502, {}, "http_5xx", "something other than the service answered; check endpoint"),
        (429, {"via": "1.1 squid"}, "throttled", "requests_per_second"),
        (302, {"via": "1.1 squid"}, "malformed", "redirects are not followed"),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>Sorry</html>", "<Error><Code>", "\0"])
def test_an_answer_without_a_sign_of_the_service_is_not_blamed_on_it(status, headers, reason, says, body):
    """An error without the service's request id and code is another server's, and the advice is about that one."""
    error = to_error(status, body, headers)
    assert (error.reason, error.transient) == (reason, status in (429, 502, 503))
    assert f"returned {status}: {says}" in str(error).replace("too many requests; scrape less often or lower ", "")
    assert "permissions" not in str(error)


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_a_known_code_comes_first(status):
    """A documented code counts more than the status; the message has operation, status, advice and request id."""
    error = to_error(status, error_body("AccessDenied", "r-1"))
    assert error.reason == "access_denied"
    assert str(error) == (
        f"ListJobs returned {status} AccessDenied: grant the permission store:ListJobs (request id r-1)"
    )
    assert str(to_error(status, error_body("AccessDenied"))).endswith(": grant the permission store:ListJobs")


def test_throttling_is_transient_whatever_its_status():
    """An error that means throttling is retried, even if its status alone would not allow it."""
    assert to_error(400, error_body("SlowDown")).transient
    assert not to_error(400, error_body("AccessDenied")).transient


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ({"x-request-id": "h"}, error_body("A", "b"), "h"),
        ({"x-request-id": " "}, error_body("A", "b"), "b"),
        ({}, error_body("A", "b"), "b"),
        ({"x-request-id": "h"}, "", "h"),
        ({"x-request-id": "h" * 128}, "", "h" * 128),
        ({"x-request-id": "h" * 129}, "", None),
        ({"x-request-id": "two words"}, "", None),
        ({"x-request-id": "é"}, "", None),
        ({"x-request-id": "a\nlevel=error"}, "", None),
        ({}, error_body("A", "a&#10;level=error"), None),
        ({}, "", None),
    ],
)
def test_a_request_id_is_one_word(header, body, expected):
    """The request id comes from the header, otherwise from the body; a text that is not a short word is left out."""
    error = to_error(500, body, header)
    assert error.request_id == expected
    assert ("request id" in str(error)) == (expected is not None)


@pytest.mark.parametrize("code", ["", " ", "two words", "é", "x" * 129, "a&#10;b", "a&#9;b"])
def test_only_a_word_is_a_code(code):
    """A code that is empty, long, or more than one printable word is not shown."""
    error = to_error(403, error_body(code))
    assert error.code is None
    assert str(error).startswith("ListJobs returned 403: ")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "Sun, 22 Nov 2026 05:30:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Sunday, 22-Nov-26 05:31:00 GMT", "date": DATE}, 60.0),
        ({"retry-after": DATE, "date": DATE}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 05:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": DATE}, None),
        ({"retry-after": DATE, "date": "yesterday"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 05:30:00 GMT", "date": DATE}, None),
        ({"retry-after": "Sun, 22 Nov 2026 05:30:00 +9999999", "date": DATE}, None),
        ({"retry-after": "soon", "date": DATE}, None),
        ({"retry-after": "", "date": DATE}, None),
        ({"retry-after": "-5", "date": DATE}, None),
        ({"retry-after": "nan", "date": DATE}, None),
        ({"retry-after": "inf", "date": DATE}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, expected):
    """Retry-After is a number of seconds, or a date relative to the response's own; anything else is ignored."""
    assert to_error(503, headers=headers).retry_after == expected


@pytest.mark.parametrize(
    ("own", "retry_after", "expected"),
    [(None, None, None), (1.5, None, 1.5), (None, "3", 3.0), (1.5, "3", 3.0), (5.0, "3", 5.0), (0.0, None, 0.0)],
)
def test_the_longer_wait_counts(own, retry_after, expected):
    """Of the provider's own header and Retry-After, the longer delay counts."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    assert to_error(503, headers=headers, wait_seconds=own).retry_after == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1500", 1.5), ("0", 0.0), ("1e3", 1.0), (None, None), ("", None), ("x", None), ("-1", None), ("1e999", None)],
)
def test_waiting_times_have_a_unit(text, expected):
    """A delay in milliseconds is returned in seconds; a text that is no such number is None."""
    assert error_responses.seconds(text, unit=0.001) == expected


def test_a_body_from_elsewhere_replaces_the_own_one():
    """If the provider found the error's XML outside the body, only that is read."""
    assert to_error(403, error_body("SlowDown"), body=error_body("AccessDenied").encode()).code == "AccessDenied"
    assert to_error(403, error_body("SlowDown"), body=b"").code is None


def test_nothing_but_code_and_request_id_is_kept():
    """An error contains nothing of a body that echoes key, token and string to sign, in any representation."""
    echoes = ["THE-KEY-ID", "THE-TOKEN", "THE-STRING-TO-SIGN", "THE-MESSAGE", "THE-NESTED-CODE"]
    more = "".join(f"<E{number}>{text}</E{number}>" for number, text in enumerate(echoes[:3]))
    body = error_body(
        "Refused", "r-1", f"<Message>{echoes[3]}</Message><Nested><Code>{echoes[4]}</Code></Nested>{more}"
    )
    error = to_error(403, body, {"x-echo": "THE-HEADER", "x-request-id": "r-1"})
    shown = [str(error), repr(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
    assert all(text in body for text in echoes)
    assert not [text for text in [*echoes, "THE-HEADER"] if text in "\n".join(shown)]
    assert error.__cause__ is None
    assert error.__context__ is None


@settings(max_examples=150, deadline=None)
@given(
    st.integers(100, 599),
    st.binary(max_size=30),
    st.dictionaries(
        st.sampled_from(["retry-after", "date", "x-request-id"]),
        st.text(max_size=15) | st.text("SunNov ,:+-0129GMT", max_size=30),
    ),
)
def test_to_error_never_raises(status, body, headers):
    """Any response becomes an error of one printable line, with a reason that the metrics know."""
    response = Response(status, headers, body)
    error = error_responses.to_error(response, operation="ListJobs", codes=CODES, request_id_header="x-request-id")
    assert error.reason in REASONS
    assert str(error).isprintable()
