from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.providers.batch_values import parse_int, parse_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("", None), (" \n", None), ("0", 0), ("007", 7), (" 7\n", 7), (str(2**63 - 1), 2**63 - 1)],
)
def test_whole_numbers_are_read(text, expected):
    """Decimal digits, with blanks around them, are a number; an absent or blank text is None, and never zero."""
    assert parse_int(text) == expected


@pytest.mark.parametrize(
    "text",
    [str(2**63), "9" * 19, "9" * 100, "9" * 5000, "-1", "+1", "1_0", "1e3", "0x1", "1.0", "٣", "²", "1 0", "high"],
)
def test_other_numbers_are_unreadable(text):
    """Forms that other parsers accept, but that the services do not write, raise ValueError."""
    with pytest.raises(ValueError, match="64 bits"):
        parse_int(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        (" \n", None),
        ("0", None),
        ("1970-01-01T00:00:00Z", None),
        ("1", 1),
        ("1795325400", 1795325400),
        (" 1795325400\n", 1795325400),
        (str(2**63 - 1), 2**63 - 1),
        ("1795325400.0", 1795325400),
        ("1795325400.25", 1795325400.25),
        ("2026-11-22T05:30:00Z", 1795325400),
        (" 2026-11-22T05:30:00Z\n", 1795325400),
        ("2026-11-22T05:30:00.000Z", 1795325400),
        ("2026-11-22T05:30:00.5Z", 1795325400.5),
        ("2026-11-22T05:30:00.123456789Z", 1795325400.123456),
        ("2026-11-22T05:30:00", 1795325400),
        ("2026-11-22 05:30:00Z", 1795325400),
        ("2026-11-22T13:30:00+08:00", 1795325400),
        ("2026-11-22T13:30:00+0800", 1795325400),
        ("2026-11-22 01:00:00.5-04:30", 1795325400.5),
        ("Sun, 22 Nov 2026 05:30:00 GMT", 1795325400),
        ("Sun, 22 Nov 2026 13:30:00 +0800", 1795325400),
        ("22 Nov 2026 05:30:00 -0000", 1795325400),
        ("2024-02-29T23:59:59Z", 1709251199),
        ("9999-12-31T23:59:59Z", 253402300799),
    ],
)
def test_times_are_read(text, expected):
    """A time in each known form is Unix seconds, an int if they are whole; an absent or blank text and 0 are None."""
    time = parse_time(text)
    assert time == expected
    assert type(time) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "1e9",
        str(2**63),
        "1795325400.",
        ".5",
        "1795325400,5",
        "2026-11-22",
        "2026-11-22T05:30Z",
        "2026-11-22t05:30:00z",
        "2026-11-22T05:30:00,5Z",
        "2026-11-22T05:30:00.Z",
        "2026-11-22T05:30:00 Z",
        "2026-11-22T05:30:00+24:00",
        "2026-11-22T05:30:00+08",
        "2026-13-22T05:30:00Z",
        "2026-02-29T05:30:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T05:30:60Z",
        "0000-11-22T05:30:00Z",
        "20261122T053000Z",
        "20261122T053000",
        "2026-W47-7T05:30:00Z",
        "٢٠٢٦-11-22T05:30:00Z",
        "Sun, 22 Nov 26 05:30:00 GMT",
        "Sun, 31 Feb 2026 05:30:00 GMT",
        "Sun, 22 Xyz 2026 05:30:00 GMT",
        "Sunday, 22-Nov-26 05:30:00 GMT",
        "Sun Nov 22 05:30:00 2026",
        "yesterday",
    ],
)
def test_other_times_are_unreadable(text):
    """Any other form raises ValueError, even if the standard library would accept it."""
    with pytest.raises(ValueError):  # noqa: PT011 - some come from the standard library, in its words
        parse_time(text)


offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC) | offsets)  # noqa: DTZ001 - the zone is drawn
FORMS = {
    "epoch": lambda time: str(int(time.timestamp())),
    "epoch with a fraction": lambda time: f"{int(time.timestamp())}.{time.microsecond:06}",
    "ISO 8601": lambda time: time.isoformat(),
    "ISO 8601 in UTC": lambda time: f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    "ISO 8601 with milliseconds": lambda time: time.isoformat(timespec="milliseconds"),
    "ISO 8601 with a blank": lambda time: time.isoformat(" "),
    "ISO 8601 without a colon": lambda time: f"{time:%Y-%m-%dT%H:%M:%S.%f%z}",
    "ISO 8601 without a zone": lambda time: time.replace(tzinfo=None).isoformat(),
    "RFC 1123": format_datetime,
    "RFC 1123 in GMT": lambda time: format_datetime(time.astimezone(UTC), usegmt=True),
}


@pytest.mark.parametrize("form", FORMS)
@given(times)
@example(datetime(2019, 12, 19, 11, 5, 40, tzinfo=UTC))
def test_times_are_read_as_the_official_client_reads_them(form, time):
    """In each form, a time is what botocore makes of the same text; it takes local time if there is no zone, we UTC."""
    from botocore.utils import parse_timestamp

    text = FORMS[form](time)
    judged = parse_timestamp(text)
    judged = judged if judged.tzinfo else judged.replace(tzinfo=UTC)
    assert parse_time(text) == pytest.approx(judged.timestamp(), abs=1e-6)


@given(st.text("0123456789-:TZ+. ,abcGMTNov", max_size=30) | st.text(max_size=12))
def test_any_text_is_a_time_or_unreadable(text):
    """Any text is a number, None, or raises ValueError."""
    try:
        assert isinstance(parse_time(text), (int, float, type(None)))
    except ValueError:
        return


@pytest.mark.parametrize("text", ["Thu, 19 Dec 2019 11:05:40 +05:30", "19 Dec 0019 11:05:40 GMT"])
def test_a_time_that_would_be_misread_is_unreadable(text):
    """Forms that the standard library reads as another time raise ValueError."""
    with pytest.raises(ValueError, match="not a whole number"):
        parse_time(text)
