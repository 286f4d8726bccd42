"""Prompts side by side: padding, positions, and masks that are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.generate import pad_left
from tinygrad_gpt.generate.prompts import check_prompts, position_ids, without_shared_padding

PROMPTS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=5)


@given(PROMPTS)
def test_padding_and_mask_give_the_prompts_back(prompts):
    input_ids, mask = pad_left(prompts, 7)
    assert input_ids.dtype == mask.dtype == np.int64
    assert input_ids.shape == mask.shape == (len(prompts), max(map(len, prompts)))
    assert [row[real == 1].tolist() for row, real in zip(input_ids, mask, strict=True)] == prompts
    assert (input_ids[mask == 0] == 7).all()
    checked, real = check_prompts(input_ids, mask, None, 10)
    assert (checked == input_ids).all() and (real == (mask == 1)).all()


@given(PROMPTS)
def test_positions_count_the_tokens_of_a_row(prompts):
    _, mask = pad_left(prompts, 0)
    for row, prompt in zip(position_ids(mask), prompts, strict=True):
        assert row[-len(prompt) :].tolist() == list(range(len(prompt))) and (row[: -len(prompt)] == 0).all()


def test_padding_that_all_rows_share_is_cut_off():
    ids, mask = pad_left([[1, 2], [3]], 0)
    wide, wide_mask = np.pad(ids, ((0, 0), (3, 0))), np.pad(mask, ((0, 0), (3, 0))) == 1
    cut, cut_mask = without_shared_padding(wide, wide_mask)
    assert (cut == ids).all() and (cut_mask == (mask == 1)).all()
    cut, cut_mask = without_shared_padding(wide[:1], wide_mask[:1])
    assert cut.tolist() == [[1, 2]] and cut_mask is None, "a mask that hides nothing is none"


def test_where_no_mask_is_given_the_padding_token_tells():
    ids, mask = pad_left([[1, 2], [3]], 0)
    assert (check_prompts(ids, None, 0, 10)[1] == (mask == 1)).all()
    assert check_prompts(ids, None, None, 10)[1].all()


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []]])
def test_a_prompt_without_a_token_is_refused(prompts):
    with pytest.raises(ValueError, match="one token or more"):
        pad_left(prompts, 0)


@pytest.mark.parametrize(
    ("error", "ids", "mask", "message"),
    [
        (ValueError, [1, 2], None, r"\(B, T\)"),
        (ValueError, np.ones((0, 3), int), None, ">= 1"),
        (ValueError, np.ones((3, 0), int), None, ">= 1"),
        (TypeError, [[1.5]], None, "integer ids"),
        (IndexError, [[1, 10]], None, "0 .. 9 in the prompt, got 10"),
        (IndexError, [[-1, 1]], None, "got -1"),
        (ValueError, [[1, 2]], [[1]], r"\(1, 2\), got \(1, 1\)"),
        (ValueError, [[1, 2]], [[1, 2]], "only"),
        (ValueError, [[1, 2], [1, 2]], [[1, 1], [1, 0]], "left .* row 1 "),
        (ValueError, [[1, 2, 3], [1, 2, 3]], [[1, 0, 1], [1, 1, 1]], "left .* row 0 "),
        (ValueError, [[1, 2], [1, 2]], [[0, 0], [1, 1]], "row 0 .* no token"),
    ],
)
def test_what_cannot_be_a_batch_of_prompts_is_refused(error, ids, mask, message):
    with pytest.raises(error, match=message):
        check_prompts(ids, mask, None, 10)


def test_padding_may_be_an_id_that_the_prompts_dtype_does_not_have():
    for padding in (-1, 300):
        ids, mask = check_prompts(np.array([[1, 255]], np.uint8), None, padding, 400)
        assert ids.dtype == np.int64 and ids.tolist() == [[1, 255]] and mask.all()
