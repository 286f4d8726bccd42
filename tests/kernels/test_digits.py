"""The kernels for the CPU keep their digits where a formula taken word for word would lose them (tests/digits.py)."""

import numpy as np
import pytest

from tests import digits
from tests.kernels.test_against_reference import kernel
from tinygrad_gpt.sparse_rows import dense

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(op, arrays, settings, dy):
    assert kernel(op).why_not(*arrays, **settings) is None
    y, saved = kernel(op).forward(*arrays, **settings)
    return y, tuple(map(dense, kernel(op).backward(dy, saved)))


def gelu_by_gelu_linear(op, arrays, settings, dy):
    """GELU as the layer does it that also multiplies, here by 1."""
    (x,) = arrays
    y, (dx, *_) = run("gelu_linear", (x[:, None], np.ones((1, 1), x.dtype)), settings, dy[:, None])
    return y[:, 0], (dx[:, 0],)


@DTYPES
@pytest.mark.parametrize("run", [run, gelu_by_gelu_linear])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(run, dtype, approximate):
    digits.gelu_keeps_its_digits_in_the_tail(run, dtype, approximate)
    digits.limits_are_reached(run, dtype, "gelu", {"approximate": approximate})


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
def test_silu(dtype):
    digits.limits_are_reached(run, dtype, "silu", {})


@DTYPES
def test_tanh(dtype):
    digits.tanh_keeps_its_digits(run, dtype)


@DTYPES
def test_log_softmax_is_blind_to_an_offset(dtype):
    digits.log_softmax_is_blind_to_an_offset(run, dtype)
