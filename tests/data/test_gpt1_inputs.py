"""The paper's Figure 1, drawn in ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data import gpt1_inputs
from tinygrad_gpt.data.gpt1_inputs import TaskTokens

S, D, E = 50, 51, 52
TOKENS = TaskTokens.after(50)
A, B, C = np.array([1, 2, 3]), np.array([7, 8]), np.array([9])


def test_the_new_tokens_follow_the_old_ones():
    assert (TOKENS.start, TOKENS.delimiter, TOKENS.extract) == (S, D, E)
    assert TaskTokens.COUNT == 3


def test_figure_1():
    assert gpt1_inputs.classification(A, TOKENS, 20).tolist() == [S, 1, 2, 3, E]
    assert gpt1_inputs.entailment(A, B, TOKENS, 20).tolist() == [S, 1, 2, 3, D, 7, 8, E]
    both = gpt1_inputs.similarity(A, B, TOKENS, 20)
    assert [ids.tolist() for ids in both] == [[S, 1, 2, 3, D, 7, 8, E], [S, 7, 8, D, 1, 2, 3, E]]
    choices = gpt1_inputs.multiple_choice(A, [B, C], TOKENS, 20)
    assert [ids.tolist() for ids in choices] == [[S, 1, 2, 3, D, 7, 8, E], [S, 1, 2, 3, D, 9, E]]


def test_an_empty_text_is_a_text():
    assert gpt1_inputs.classification(A[:0], TOKENS, 20).tolist() == [S, E]
    assert gpt1_inputs.entailment(A[:0], B, TOKENS, 20).tolist() == [S, D, 7, 8, E]


def test_a_text_that_is_too_long_loses_its_end():
    assert gpt1_inputs.classification(A, TOKENS, 4).tolist() == [S, 1, 2, E]


@given(a=st.integers(0, 12), b=st.integers(0, 12), length=st.integers(3, 30))
def test_two_texts_share_the_room(a, b, length):
    ids = gpt1_inputs.entailment(np.full(a, 1), np.full(b, 2), TOKENS, length)
    assert len(ids) == min(length, a + b + 3)
    assert ids[0] == S and ids[-1] == E and (ids == D).sum() == 1
    kept_a, kept_b = (ids == 1).sum(), (ids == 2).sum()
    if kept_a < a:  # the one that is cut keeps its half
        assert kept_a >= (length - 3) // 2
    if kept_b < b:
        assert kept_b >= (length - 3) // 2


def test_padding_stands_on_the_right():
    ids, last = gpt1_inputs.pad([np.array([5, 6, 7]), np.array([8])])
    assert ids[0].tolist() == [5, 6, 7] and ids[1, 0] == 8 and ids.shape == (2, 3)
    assert last.tolist() == [2, 0]
    assert ids.dtype == np.int64


def test_groups_keep_their_order():
    groups = [[np.array([1, 2]), np.array([3])], [np.array([4]), np.array([5, 6, 7])]]
    ids, last = gpt1_inputs.pad_groups(groups)
    assert ids.shape == (2, 2, 3) and last.tolist() == [[1, 0], [0, 2]]
    for i, group in enumerate(groups):
        for j, sequence in enumerate(group):
            assert ids[i, j, : last[i, j] + 1].tolist() == sequence.tolist()


def test_groups_of_different_sizes():
    with pytest.raises(ValueError, match=r"groups of one size, got \[1, 2\]"):
        gpt1_inputs.pad_groups([[A], [A, B]])
