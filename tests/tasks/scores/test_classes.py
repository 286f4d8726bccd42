"""Accuracy, Matthews' correlation and F1, against what they are by definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.tasks.scores import accuracy, f1, macro_f1, matthews


def answers(classes):
    """Two lists of classes of the same length."""
    one = st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1))
    return st.lists(one, min_size=1, max_size=60).map(
        lambda pairs: tuple(np.array(side) for side in zip(*pairs, strict=True))
    )


@given(answers(2))
def test_matthews_of_two_classes_is_pearsons_correlation(pair):
    labels, predicted = pair
    if len(set(labels)) == 1 or len(set(predicted)) == 1:
        assert matthews(labels, predicted) == 0
    else:
        assert matthews(labels, predicted) == pytest.approx(np.corrcoef(labels, predicted)[0, 1], abs=1e-12)


@given(answers(2))
def test_matthews_of_two_classes_is_his_formula(pair):
    labels, predicted = pair
    tp, tn, fp, fn = (int(np.sum((labels == t) & (predicted == p))) for t, p in ((1, 1), (0, 0), (0, 1), (1, 0)))
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    expected = (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0
    assert matthews(labels, predicted) == pytest.approx(expected, abs=1e-12)


@given(answers(4))
def test_matthews_of_several_classes_is_the_correlation_of_their_indicators(pair):
    """Gorodkin's definition: the covariance of two one-hot matrices (N, K), summed over the classes."""
    labels, predicted = (np.eye(4)[side] for side in pair)

    def covariance(x, y):
        return np.sum((x - x.mean(axis=0)) * (y - y.mean(axis=0)))

    spread = covariance(labels, labels) * covariance(predicted, predicted)
    expected = covariance(labels, predicted) / math.sqrt(spread) if spread > 1e-9 else 0.0
    assert matthews(*pair) == pytest.approx(expected, abs=1e-9)


@given(answers(3))
def test_matthews_knows_no_names_of_classes(pair):
    labels, predicted = pair
    renamed = np.array([2, 0, 1])
    assert matthews(renamed[labels], renamed[predicted]) == pytest.approx(matthews(labels, predicted), abs=1e-12)
    assert matthews(predicted, labels) == pytest.approx(matthews(labels, predicted), abs=1e-12)


def test_what_the_two_say():
    labels = np.array([1] * 7 + [0] * 3)
    assert (accuracy(labels, labels), matthews(labels, labels)) == (1, 1)
    assert (accuracy(labels, 1 - labels), matthews(labels, 1 - labels)) == (0, -1)
    always = np.ones(10, int)
    assert (accuracy(labels, always), matthews(labels, always)) == (0.7, 0)


def test_many_examples_do_not_overflow():
    labels = np.arange(400_000) % 2
    predicted = np.where(np.arange(400_000) < 200_000, labels, 0)
    assert matthews(labels, predicted) == pytest.approx(np.corrcoef(labels, predicted)[0, 1], abs=1e-12)


@given(answers(2))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(pair):
    labels, predicted = pair
    right = int(np.sum(labels & predicted))
    if right:
        precision, recall = right / predicted.sum(), right / labels.sum()
        assert f1(labels, predicted) == pytest.approx(2 / (1 / precision + 1 / recall), abs=1e-12)
    else:
        assert f1(labels, predicted) == 0
    assert f1(labels, predicted) == f1(predicted, labels) == f1(1 - labels, 1 - predicted, positive=0)


@given(answers(4), st.permutations(range(4)))
def test_macro_f1_knows_no_names_of_classes_and_no_order(pair, renamed):
    labels, predicted = pair
    assert macro_f1(np.array(renamed)[labels], np.array(renamed)[predicted]) == pytest.approx(
        macro_f1(*pair), abs=1e-12
    )
    assert macro_f1(labels[::-1], predicted[::-1]) == macro_f1(*pair)
    assert 0 <= macro_f1(*pair) <= 1 and macro_f1(labels, labels) == 1


def test_macro_f1_counts_a_rare_class_as_much_as_a_frequent_one():
    labels, always = np.array([0] * 98 + [1] * 2), np.zeros(100, int)
    assert accuracy(labels, always) == 0.98
    assert macro_f1(labels, always) == pytest.approx((2 * 98 / 198 + 0) / 2)
    assert macro_f1([0, 0, 3], [0, 3, 3]) == pytest.approx(2 / 3)  # of the classes that occur: 0 and 3
    assert macro_f1([0, 0], [0, 1]) == pytest.approx((2 / 3 + 0) / 2)  # a class that was predicted only counts, too
