"""The product of bfloat16 numbers: every layout, and sizes where its blocks end."""

import numpy as np
import pytest

from tests.kernels.test_against_reference import normal
from tinygrad_gpt.kernels.numba.product.bfloat16 import DEEP, WIDE, missing, product


def rounded(x):
    """The nearest bfloat16 of each float32, ties to even; nan stays nan (Python's own integers do the arithmetic)."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.int64)
    below, rest = bits >> 16, bits & 0xFFFF
    up = (rest > 0x8000) | ((rest == 0x8000) & (below % 2 == 1))
    nearest = ((below + up) << 16).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), nearest)


def exact(a, b, bias=None):
    """Product of the rounded operands in float64, and the sum of its terms' sizes: the scale of errors."""
    a, b = rounded(a).astype(np.float64), rounded(b).astype(np.float64)
    bias = 0.0 if bias is None else bias.astype(np.float64)
    return a @ b + bias, np.abs(a) @ np.abs(b) + np.abs(bias)


def assert_sums_right(got, right, sizes, k):
    """As near as float32 sums of k terms may be expected to be, whatever their order."""
    assert got.dtype == np.float32 and got.shape == right.shape
    assert (np.abs(got - right) <= 2**-24 * (4 + 2 * np.sqrt(k)) * sizes + 1e-30).all()


# Sizes 1; one less, one more than lanes, blocks and tiles; several blocks along the sum; more than is packed at a time.
SIZES = [  # m, k, n
    (1, 1, 1),
    (8, 32, 48),
    (7, 31, 47),
    (9, 33, 49),
    (17, 3, 15),
    (65, 66, 97),
    (66, 16, 112),
    (5, 2 * DEEP, 16),
    (3, 2 * DEEP + 1, 17),
    (2, 4 * DEEP + 6, 33),
    (WIDE + 4, 5, 20),
    (20, 5, WIDE + 4),
    (WIDE + 1, 2 * DEEP + 1, 9),
    (WIDE + 1, 3, WIDE + 1),
]


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("m, k, n", SIZES)
def test_products(m, k, n):
    a, b, bias = normal((m, k), np.float32, 1), normal((k, n), np.float32, 2), normal(n, np.float32, 3)
    for with_bias in (None, bias):
        right, sizes = exact(a, b, with_bias)
        for a_transposed, b_transposed in ((0, 0), (0, 1), (1, 0), (1, 1)):
            left, other = a.T.copy() if a_transposed else a, b.T.copy() if b_transposed else b
            got = product(left, bool(a_transposed), other, bool(b_transposed), with_bias)
            assert_sums_right(got, right, sizes, k)
