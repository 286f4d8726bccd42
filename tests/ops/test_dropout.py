"""Dropout drops the right share, the same elements for the same seed, and others for another."""

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.ops import dropout

N = 200_000


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_share_and_mean(p):
    x = np.ones(N, np.float32)
    y, _ = dropout.forward(x, p=p, seed=42)
    sigma = np.sqrt(p * (1 - p) / N)
    assert abs(np.mean(y == 0) - p) < 5 * sigma
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - p))}
    assert abs(np.mean(y, dtype=np.float64) - 1) < 5 * sigma / (1 - p)


def test_neighbours_are_independent():
    """Elements side by side, and the same element under neighbouring seeds, are dropped together half of the time."""
    drops = [dropout.forward(np.ones(N), p=0.5, seed=seed)[0] == 0 for seed in (7, 8)]
    five_sigma = 5 * np.sqrt(0.25 / N)
    assert abs(np.mean(drops[0] == drops[1]) - 0.5) < five_sigma
    for step in (1, 2, 64):
        assert abs(np.mean(drops[0][:-step] == drops[0][step:]) - 0.5) < five_sigma


def test_the_seed_decides():
    x = np.random.default_rng(0).standard_normal((31, 17))
    first, again, other = (dropout.forward(x, p=0.3, seed=seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_backward_drops_what_forward_dropped():
    x = np.ones((31, 17))
    y, saved = dropout.forward(x, p=0.3, seed=5)
    (dx,) = dropout.backward(np.ones_like(x), saved)
    np.testing.assert_array_equal(dx, y)


def test_the_stream_of_the_package_decides_the_seed():
    x = np.ones((31, 17))
    random_stream.manual_seed(3)
    first, second = F.dropout(x, 0.5).data, F.dropout(x, 0.5).data
    random_stream.manual_seed(3)
    np.testing.assert_array_equal(F.dropout(x, 0.5).data, first)
    assert np.any(first != second)


def test_evaluation_drops_nothing_and_draws_nothing():
    x = Tensor(np.ones((3, 4)), requires_grad=True)
    before = random_stream.random_state()
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    q = Tensor(np.ones((1, 1, 3, 4)))
    np.testing.assert_allclose(F.attention(q, q, q, dropout=0.9, training=False).data, 1)
    assert random_stream.random_state() == before
    F.attention(q, q, q, dropout=0.9)
    assert random_stream.random_state() != before
