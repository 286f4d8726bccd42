"""Values for error messages: in one short line, whatever they are."""

import numpy as np
import pytest

from tinygrad_gpt.arguments import integer, is_row, kind, number, shown
from tinygrad_gpt.nn import Linear

LONG = {
    "a text": "word " * 2_000_000,
    "bytes": b"ab" * 2_000_000,
    "a list": list(range(1_000_000)),
    "a list of texts": ["word" * 1000] * 1000,
    "nested lists": [[[[list(range(100))] * 100] * 100] * 10],
    "a dictionary": {f"key {i}" * 100: "value" * 1000 for i in range(1000)},
    "an array": np.zeros((1000, 1000)),
    "a list of arrays": [np.zeros((100, 100))] * 100,
    "an integer": 7**100_000,
    "lines": "one\ntwo\r\n\tthree",
    "a model": Linear(3, 2),
}


@pytest.mark.parametrize("name", LONG)
def test_one_short_line(name):
    said = shown(LONG[name])
    assert said and len(said) < 250 and "\n" not in said


def test_a_list_that_holds_itself():
    circle = []
    circle.append(circle)
    assert "[" in shown(circle)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "None"),
        ("abc", "'abc'"),
        (2.5, "2.5"),
        (np.float32(2.5), "np.float32(2.5)"),
        (np.zeros((2, 3), np.int64), "array of int64 and shape (2, 3)"),
        (Linear(3, 2).bias, "Parameter of float32 and shape (2,)"),
        (int, "the class int"),
        (len, "the function len"),
        (object(), "object"),
        (2**333, "an integer of about 100 digits"),
    ],
)
def test_what_is_said(value, said):
    assert shown(value) == said


def test_a_type_is_named_with_its_library():
    from fractions import Fraction

    assert kind(Fraction(1, 2)) == "fractions.Fraction" and kind(1) == "int" and kind(Linear(1, 1)) == "Linear"
    assert kind(np.zeros(2)) == "array"


def test_numbers_of_every_kind_become_pythons():
    from fractions import Fraction

    assert type(integer("f", "n", np.uint8(3))) is int and type(number("f", "p", np.float32(0.5))) is float
    assert number("f", "p", Fraction(1, 2)) == 0.5 and number("f", "p", 3) == 3
    assert type(number("f", "p", 10**30)) is float
    assert number("f", "p", None, or_none=True) is None is integer("f", "n", None, or_none=True)
    assert number("f", "p", np.inf, above=0, finite=False) == np.inf


def test_rows():
    assert all(is_row(row) for row in ([], (1,), range(2), {1}, np.zeros(2)))
    assert not any(is_row(value) for value in (1, "ab", np.zeros((1, 2)), np.float64(1), np.ndarray, None))
