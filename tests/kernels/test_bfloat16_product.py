"""The product of bfloat16 numbers: every layout, and sizes where its blocks end."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba.core.registry import cpu_target

from tests.kernels.test_against_reference import normal
from tinygrad_gpt.kernels.numba.product import bfloat16, bfloat16_tiles
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


@pytest.mark.long
@pytest.mark.skipif(missing() is not None or not bfloat16.TILES, reason="this processor has no tiles")
def test_the_steps_for_vectors_too():
    """On a processor with tiles, this file once more as if it had none."""
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    without = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features.replace("+amx", "-amx")}
    script = f"""
import sys, pytest
from tinygrad_gpt.kernels.numba.product import bfloat16
assert not bfloat16.TILES
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "test_products", {__file__!r}]))"""
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | without, capture_output=True, text=True)
    assert done.returncode == 0 and "." * len(SIZES) in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]


def test_without_leave_of_the_system_there_is_a_reason(monkeypatch):
    monkeypatch.setattr(bfloat16, "TILES", True)
    monkeypatch.setattr(bfloat16, "has", lambda feature: True)
    monkeypatch.setattr(bfloat16_tiles, "permitted", lambda: False)
    assert "does not let this process multiply tiles" in missing()
    with pytest.raises(RuntimeError, match="does not let this process"):
        product(np.ones((2, 2), np.float32), False, np.ones((2, 2), np.float32), False)
