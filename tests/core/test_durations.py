from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("0s", 0),
        ("10s", 10),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604800),
        ("1.5s", 1.5),
        ("1h30m", 5400),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_durations(text, seconds):
    """A duration is a number with a unit, or several from the largest unit to the smallest."""
    assert durations.parse(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "10 s", " 10s", "10s\n", "-1s", "1w", "30m1h", "1s1s", "\u0661s", "1,5s", "1e3s"]
)
def test_invalid_durations(text):
    """A missing or unknown unit, a blank, a sign, another order or other digits than ASCII are invalid."""
    assert durations.parse(text) is None


@pytest.mark.parametrize(
    ("text", "meant"), [("10", "10s"), ("1.5", "1.5s"), ("10 s", "10s"), ("5M", "5m"), ("1w", ""), ("-1", ""), ("", "")]
)
def test_what_was_probably_meant(text, meant):
    """A number without a unit is seconds; blanks and upper case are corrected; anything else has no suggestion."""
    assert durations.nearest(text) == meant


@settings(deadline=None)
@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_survives_its_text(seconds):
    """A duration as a message shows it can be written into the file."""
    assert durations.parse(durations.to_text(seconds)) == pytest.approx(seconds, abs=1e-6)
