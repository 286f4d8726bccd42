"""Sequences of different lengths, side by side."""

import numpy as np
import pytest

from tinygrad_gpt.data.padding import pad_left, pad_right


def test_padding_stands_on_the_right():
    rows, mask = pad_right([np.array([7, 8, 9], np.int32), [], [5]], -100)
    assert rows.tolist() == [[7, 8, 9], [-100, -100, -100], [5, -100, -100]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert rows.dtype == mask.dtype == np.int64


def test_or_on_the_left():
    rows, mask = pad_left([np.array([7, 8, 9], np.int32), [], [5]], -100)
    assert rows.tolist() == [[7, 8, 9], [-100, -100, -100], [-100, -100, 5]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 1]]
    assert pad_left([[7]], 0, length=3).rows.tolist() == [[0, 0, 7]]


def test_a_length_may_be_asked_for():
    rows, mask = pad_right([[7], [8, 9]], 0, length=4)
    assert rows.tolist() == [[7, 0, 0, 0], [8, 9, 0, 0]] and mask.sum(axis=1).tolist() == [1, 2]


def test_what_cannot_be_padded():
    with pytest.raises(ValueError, match="expected at least one sequence, got none"):
        pad_right([], 0)
    with pytest.raises(ValueError, match="expected length >= 3, got 2"):
        pad_right([[1, 2, 3]], 0, length=2)
