"""How two texts share a room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data.cutting import kept


@pytest.mark.parametrize(
    ("lengths", "room", "expected"),
    [
        ((5, 5), 10, (5, 5)),
        ((5, 5), 9, (5, 4)),  # the odd one is the first's
        ((4, 9), 9, (4, 5)),
        ((9, 4), 9, (5, 4)),
        ((9, 9), 9, (5, 4)),
        ((2, 9), 9, (2, 7)),  # the short one stays whole
        ((9, 0), 6, (6, 0)),
        ((3, 3), 0, (0, 0)),
    ],
)
def test_the_longer_text_is_cut_first(lengths, room, expected):
    assert kept(*lengths, room) == expected


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 50))
def test_it_is_as_if_the_longer_one_lost_its_last_token_again_and_again(first, second, room):
    expected = [first, second]
    while sum(expected) > room:
        expected[0 if expected[0] > expected[1] else 1] -= 1
    assert kept(first, second, room) == tuple(expected)
