"""The distribution that a token is drawn from, and the draw."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_gpt.generate import token_probabilities
from tinygrad_gpt.generate.sampling import _draw, draw_token

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))


def test_plain_probabilities_are_the_softmax_in_float64():
    p = token_probabilities(LOGITS)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, [0.1, 0.4, 0.2, 0.3], rtol=1e-6)
    assert p.sum() == pytest.approx(1, abs=1e-15)
    huge = token_probabilities(np.array([1e4, 1e4 - 1, -1e4], np.float32))
    np.testing.assert_allclose(huge, [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], rtol=1e-12)


def test_temperature_sharpens_and_flattens():
    squares = np.array([0.1, 0.4, 0.2, 0.3]) ** 2
    np.testing.assert_allclose(token_probabilities(LOGITS, temperature=0.5), squares / squares.sum(), rtol=1e-6)
    assert token_probabilities(LOGITS, temperature=0).tolist() == [0, 1, 0, 0]
    assert token_probabilities(LOGITS, temperature=1e-300).tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(token_probabilities(LOGITS, temperature=1e9), 0.25, rtol=1e-6)


def test_top_k_keeps_the_likeliest():
    np.testing.assert_allclose(token_probabilities(LOGITS, top_k=2), [0, 4 / 7, 0, 3 / 7], rtol=1e-6)
    np.testing.assert_allclose(token_probabilities(LOGITS, top_k=99), token_probabilities(LOGITS), rtol=1e-12)
    assert token_probabilities(np.zeros(4), top_k=3).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (0.3, [0, 1, 0, 0]),
        (0.39, [0, 1, 0, 0]),
        (0.41, [0, 4 / 7, 0, 3 / 7]),
        (0.69, [0, 4 / 7, 0, 3 / 7]),
        (0.71, [0, 4 / 9, 2 / 9, 3 / 9]),
        (1.0, [0.1, 0.4, 0.2, 0.3]),
        (1e-9, [0, 1, 0, 0]),
    ],
)
def test_top_p_keeps_the_fewest_that_reach_p(top_p, expected):
    np.testing.assert_allclose(token_probabilities(LOGITS, top_p=top_p), expected, rtol=1e-6)


def test_top_p_counts_within_what_top_k_and_temperature_left():
    # top_k=3 leaves 4/9, 3/9, 2/9; of these 0.5 needs two.
    np.testing.assert_allclose(token_probabilities(LOGITS, top_k=3, top_p=0.5), [0, 4 / 7, 0, 3 / 7], rtol=1e-6)
    # At temperature 1/2 they are 16/30, 9/30, 4/30, 1/30; of these 0.5 needs one.
    assert token_probabilities(LOGITS, temperature=0.5, top_p=0.5).tolist() == [0, 1, 0, 0]


def test_between_equals_the_lower_id_is_taken():
    assert token_probabilities(np.array([0.0, 2.0, 2.0]), temperature=0).tolist() == [0, 1, 0]
    assert token_probabilities(np.array([0.0, 2.0, 2.0]), top_p=0.1).tolist() == [0, 1, 0]


def by_sorting_everything(logits, temperature, top_k, top_p):
    """What token_probabilities says it gives, the plain way."""
    weights = np.exp((logits - logits.max()) / temperature)
    likeliest_first = np.argsort(-logits, kind="stable")[:top_k]
    kept = weights[likeliest_first]
    if top_p is not None:
        kept = kept[np.cumsum(kept) - kept < top_p * kept.sum()]
    probabilities = np.zeros_like(logits)
    probabilities[likeliest_first[: len(kept)]] = kept / kept.sum()
    return probabilities


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("top_p", [None, 1e-9, 0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("top_k", [None, 1, 7, 255, 1000, 2999, 3000, 9999])
def test_what_is_kept_is_what_sorting_the_whole_vocabulary_keeps(top_k, top_p, temperature):
    rng = np.random.default_rng(1)
    smooth = rng.standard_normal(3000)
    with_equals = rng.integers(0, 40, 3000) / 8.0
    for logits in (smooth, with_equals, np.zeros(3000)):
        given, right = (p(logits, temperature, top_k, top_p) for p in (token_probabilities, by_sorting_everything))
        np.testing.assert_allclose(given, right, rtol=1e-9, atol=1e-15)  # top_p 1 is a matter of rounding
        for number in 0.0, 0.271828, 0.99951, 1 - 1e-9:
            always = SimpleNamespace(random=lambda number=number: number)
            token = draw_token(logits, always, temperature, top_k, top_p)
            assert token == np.searchsorted(np.cumsum(right), number, side="right")


def test_temperature_0_draws_the_first_of_the_likeliest():
    assert draw_token(np.array([0.0, 2.0, 2.0]), None, 0.0, None, None) == 1


def test_not_even_the_smallest_random_number_draws_a_token_of_probability_zero():
    always_zero = SimpleNamespace(random=lambda: 0.0)
    assert _draw(np.array([0.0, 1.0]), always_zero) == 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_are_an_error(temperature):
    with pytest.raises(ValueError, match="not finite"):
        token_probabilities([0.0, np.nan], temperature)
