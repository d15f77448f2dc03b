from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.simulator.dialects import tokens
from exporter.simulator.messages import Position

positions = st.builds(
    Position, st.integers(1, 10**6), st.integers(0, 10**6), st.text(max_size=60).filter(str.isprintable), st.booleans()
)
lengths = st.integers(0, tokens.MAX_LENGTH)


@given(positions, lengths)
def test_a_token_brings_its_position_back(position, length):
    """A token is stable, decodes to its position, and has at least the requested length."""
    token = tokens.encode(position, length)
    assert tokens.encode(position, length) == token
    assert tokens.decode(token) == position
    assert len(token) >= length


@given(positions.filter(lambda position: len(position.last) <= 44), lengths)
def test_a_token_is_as_hostile_as_documented(position, length):
    """A token contains every allowed special character and letters, nothing else, and at most 1024 characters."""
    token = tokens.encode(position, length)
    assert re.fullmatch(r"[A-Za-z0-9+:/=?#_-]{1,1024}", token)
    assert set("+:/=?#-_") <= set(token)
    assert re.search("[A-Za-z]", token)


@given(positions, positions)
def test_two_positions_have_two_tokens(one, other):
    """Different positions have different tokens."""
    assume(one != other)
    assert tokens.encode(one) != tokens.encode(other)


@given(positions, lengths, st.data())
def test_a_changed_token_is_none(position, length, data):
    """A token with a missing, extra or changed character is rejected."""
    token = tokens.encode(position, length)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("Aa0+:/=?#-_é"))
    for changed in (token[:place] + token[place + 1 :], token[:place] + other + token[place:], other + token[1:]):
        if changed != token:
            with pytest.raises(ValueError, match="not a page token"):
                tokens.decode(changed)


@given(st.text(max_size=80))
def test_any_text_is_none(text):
    """Text that is not a token is rejected."""
    with pytest.raises(ValueError, match="not a page token"):
        tokens.decode(text)
