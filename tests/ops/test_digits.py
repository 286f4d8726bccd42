"""The references keep their digits where a formula taken word for word would lose them (tests/digits.py)."""

import math

import numpy as np
import pytest

from tests import digits
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops._erf import density_and_tail, erf

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(op, arrays, settings, dy):
    reference = registry.reference(op)
    y, saved = reference.forward(*arrays, **settings)
    return y, reference.backward(dy, saved)


@DTYPES
def test_the_tail_of_the_normal_distribution(dtype):
    reached = [(a, tail) for a, tail in digits.TAILS if tail > np.finfo(dtype).tiny]
    a, right = np.array(reached).T
    density, tail = density_and_tail(a.astype(dtype))
    assert density.dtype == tail.dtype == dtype
    np.testing.assert_allclose(tail, right, **digits.rtol(dtype, 8))
    exact = [math.exp(-(v**2) / 2) / math.sqrt(2 * math.pi) for v in a]  # their squares fit into a float64
    np.testing.assert_allclose(density, exact, **digits.rtol(dtype, 8))


def test_the_tail_everywhere():
    """Where the midpoint rule changes its form too, at 6.28 and 8.98."""
    a = np.concatenate([np.linspace(0, 12.9, 5001), np.linspace(6.2, 6.4, 201), np.linspace(8.9, 9.1, 201)])
    for dtype, units in ((np.float32, 8), (np.float64, 200)):  # the C library is given a rounded a / √2
        some = a.astype(dtype)
        _, tail = density_and_tail(some)
        right = [math.erfc(v / math.sqrt(2)) / 2 for v in some.astype(np.float64)]
        np.testing.assert_allclose(tail, right, **digits.rtol(dtype, units))
    _, tail = density_and_tail(np.array([0, 40, 1e300, np.inf, np.nan]))
    assert tail[0] == 0.5 and (tail[1:4] == 0).all() and np.isnan(tail[4])


@DTYPES
def test_erf_stays_within_1_and_is_odd(dtype):
    x = np.concatenate([np.linspace(0, 40, 20001), np.logspace(-30, 30, 301), [np.inf]]).astype(dtype)
    y = erf(x)
    assert (y <= 1).all() and (y[x > 7] == 1).all()
    assert (erf(-x) == -y).all()
    assert np.isnan(erf(np.array([np.nan], dtype))).all()


@DTYPES
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_in_the_tail(dtype, approximate):
    digits.gelu_keeps_its_digits_in_the_tail(run, dtype, approximate)


def test_gelu_of_a_float32_in_the_tail():
    """1 + erf would have given +1.3e-6."""
    y, _ = run("gelu", (np.array([-5.417], np.float32),), {"approximate": "none"}, np.ones(1, np.float32))
    assert y[0] == pytest.approx(-1.6415511e-07, rel=1e-6)


@DTYPES
@pytest.mark.parametrize(
    "op, settings", [("gelu", {"approximate": "none"}), ("gelu", {"approximate": "tanh"}), ("silu", {})]
)
def test_limits_are_reached(op, settings, dtype):
    digits.limits_are_reached(run, dtype, op, settings)


@DTYPES
def test_tanh(dtype):
    digits.tanh_keeps_its_digits(run, dtype)


@DTYPES
def test_log_softmax_is_blind_to_an_offset(dtype):
    digits.log_softmax_is_blind_to_an_offset(run, dtype)


@DTYPES
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_is_blind_to_an_offset(dtype, label_smoothing):
    digits.cross_entropy_is_blind_to_an_offset(run, dtype, label_smoothing)


@DTYPES
@pytest.mark.parametrize("op", ["layer_norm", "add_layer_norm"])
def test_layer_norm(op, dtype):
    digits.layer_norm_of_equal_numbers_is_the_bias(run, dtype, op)
    digits.layer_norm_is_blind_to_an_offset(run, dtype, op)


@DTYPES
@pytest.mark.parametrize("axis", [0, 1, None])
def test_the_variance_is_blind_to_an_offset(dtype, axis):
    x = digits.on_grid(digits.normal(300, 40), dtype, 1 / 8)
    dy = np.asarray(digits.normal(*x.sum(axis=axis).shape, seed=1), dtype)
    right = run("var", (x,), {"axis": axis}, dy)
    for offset in (100, -(10.0**4), 10.0**6):
        y, (dx,) = run("var", ((x + offset).astype(dtype),), {"axis": axis}, dy)
        np.testing.assert_allclose(y, right[0], **digits.rtol(dtype, 8))
        np.testing.assert_allclose(dx, right[1][0], rtol=0, atol=8 * np.finfo(dtype).eps * np.abs(dx).max())
    y, (dx,) = run("var", (np.full((300, 40), 100000.1, dtype),), {"axis": axis}, dy)
    assert (y == 0).all() and (dx == 0).all()
