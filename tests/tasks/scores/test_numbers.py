"""Correlations of numbers and the mean squared error, against what they are by definition."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_gpt.tasks.scores import mean_squared_error, pearson, spearman

SCORES = st.floats(0, 5).map(lambda x: round(x, 2))  # with ties, as the scores of people have


def two_sides(numbers=SCORES):
    one = st.tuples(numbers, numbers)
    return st.lists(one, min_size=2, max_size=40).map(lambda pairs: np.array(pairs, dtype=float).T)


def ranks_by_counting(x):
    """Half of those that are equal, and all that are less, stand before a number."""
    return np.array([np.sum(x < each) + (np.sum(x == each) + 1) / 2 for each in x])


@given(two_sides())
def test_spearman_is_pearson_of_ranks_that_equal_numbers_share(sides):
    x, y = (ranks_by_counting(side) for side in sides)
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    assert spearman(*sides) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)


@pytest.mark.parametrize("score", [pearson, spearman])
@given(sides=two_sides(), order=st.randoms())
def test_a_correlation_knows_no_sides_order_or_scale(score, sides, order):
    x, y = sides
    value = score(x, y)
    assert -1 <= value <= 1
    assert score(y, x) == pytest.approx(value, abs=1e-9)
    shuffled = order.sample(range(len(x)), len(x))
    assert score(x[shuffled], y[shuffled]) == pytest.approx(value, abs=1e-9)
    assert score(x, 8 * y) == pytest.approx(value, abs=1e-9)
    assert score(x, -y) == pytest.approx(-value, abs=1e-9)


@pytest.mark.parametrize("score", [pearson, spearman])
def test_a_correlation_of_a_constant_is_zero(score):
    assert score([1.0, 2.0, 3.0], [0.1] * 3) == 0  # 0.1 * 3 / 3 is not 0.1
    assert score([4, 4], [1, 2]) == 0
    assert score([4], [1]) == 0


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_numbers_of_any_size_correlate(scale):
    x = scale * np.array([1.0, 2.0, 4.0])
    assert pearson(x, x**1.0) == pytest.approx(1) and spearman(x, -x) == pytest.approx(-1)
    assert pearson(x, [1, 2, 3]) == pytest.approx(np.corrcoef([1, 2, 4], [1, 2, 3])[0, 1])


def test_what_the_two_correlations_see():
    x = np.arange(1, 9.0)
    assert spearman(x, np.exp(x)) == pytest.approx(1) and pearson(x, np.exp(x)) < 0.9
    assert spearman([1, 2, 3, 4], [1, 2, 2, 4]) == pytest.approx(np.corrcoef([1, 2, 3, 4], [1, 2.5, 2.5, 4])[0, 1])


def test_a_prediction_that_is_no_number_is_not_hidden():
    for score in (pearson, spearman, mean_squared_error):
        assert np.isnan(score([1.0, 2.0, 3.0], [1.0, np.nan, 3.0]))


@given(two_sides())
def test_mean_squared_error(sides):
    x, y = sides
    assert mean_squared_error(x, y) == mean_squared_error(y, x) == pytest.approx(sum((x - y) ** 2) / len(x))
    assert mean_squared_error(x, x) == 0
    assert mean_squared_error(np.array([1], np.float32), np.array([3], np.float32)) == 4
