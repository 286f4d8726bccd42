"""The arithmetic that kernels are made of: accuracy over the whole range, corners, and that it is vectorised."""

import math
import platform
import re

import numba
import numpy as np
import pytest

from tests import digits
from tinygrad_gpt.kernels.numba.flash.tiles import BLOCK, Tile, raise_peak
from tinygrad_gpt.kernels.numba.machine.compile import OPTIONS, helper
from tinygrad_gpt.kernels.numba.machine.normal import density_and_tail
from tinygrad_gpt.kernels.numba.machine.random import random_bits
from tinygrad_gpt.kernels.numba.machine.sharing import SHARE, my_part
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, larger, row_max, sigmoid
from tinygrad_gpt.kernels.numba.product.registers import VECTOR_BYTES
from tinygrad_gpt.random_stream import random_bits as array_random_bits


@numba.njit(**OPTIONS)
def all_exp(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])


@numba.njit(**OPTIONS)
def all_sigmoid(x, y):
    for i in range(x.size):
        y[i] = sigmoid(x[i])


@numba.njit(**OPTIONS)
def all_densities(x, y):
    for i in range(x.size):
        y[i], _ = density_and_tail(x[i])


@numba.njit(**OPTIONS)
def all_tails(x, y):
    for i in range(x.size):
        _, y[i] = density_and_tail(x[i])


@numba.njit(**OPTIONS)
def largest(x):
    return row_max(x, x.size)


@numba.njit(**OPTIONS)
def all_larger(x, y):
    for i in range(x.size):
        y[i] = larger(x[i], y[i])


@numba.njit(**OPTIONS)
def raised(s, peak, shrink):
    raise_peak(s, Tile(0, BLOCK, BLOCK, BLOCK, False), peak, shrink)


@numba.njit(**OPTIONS)
def all_bits(seed, out):
    for i in range(out.size):
        out[i] = random_bits(seed, np.uint64(i))


def mapped(function, x):
    y = np.empty_like(x)
    function(x, y)
    return y


LIMITS = {np.float32: (-86, 88.7, 2e-7), np.float64: (-707, 709.7, 5e-16)}


@pytest.mark.parametrize("dtype", LIMITS)
def test_exp_is_accurate(dtype):
    low, high, tolerance = LIMITS[dtype]
    x = np.concatenate([np.linspace(low, high, 200_001), np.linspace(-1, 1, 20_001)]).astype(dtype)
    right = np.exp(x.astype(np.longdouble))
    assert np.abs(mapped(all_exp, x) / right - 1).max() < tolerance


@pytest.mark.parametrize("dtype", LIMITS)
def test_exp_at_its_corners(dtype):
    last = np.nextafter(dtype(np.log(np.finfo(dtype).max)), dtype(0))
    x = np.array([0, -np.inf, np.inf, np.nan, -1e4, 1e4, last], dtype)
    y = mapped(all_exp, x)
    assert y[0] == 1 and y[1] == 0 and y[2] == np.inf and np.isnan(y[3]) and y[4] == 0 and y[5] == np.inf
    assert np.isfinite(y[6]) and y[6] > 0.9 * np.finfo(dtype).max


@pytest.mark.parametrize("dtype", LIMITS)
def test_exp_of_any_nan_is_nan(dtype):
    """Whatever its other bits, which are the last ones of n."""
    integer = np.dtype(f"i{dtype().itemsize}")
    bits = np.arange(1024, dtype=integer)
    quiet = np.array(np.nan, dtype).view(integer)
    x = np.concatenate([quiet | bits, quiet | bits | np.iinfo(integer).min]).view(dtype)
    assert np.isnan(mapped(all_exp, x)).all()


@pytest.mark.parametrize("dtype", LIMITS)
def test_sigmoid(dtype):
    x = np.concatenate([np.linspace(-80, 80, 20_001), [-np.inf, np.inf]]).astype(dtype)
    with np.errstate(over="ignore"):
        right = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    assert np.abs(mapped(all_sigmoid, x) - right).max() < 2 * np.finfo(dtype).eps
    assert np.isnan(mapped(all_sigmoid, np.array([np.nan], dtype)))


@pytest.mark.parametrize("dtype", LIMITS)
def test_the_normal_distribution(dtype):
    """Up to a polynomial's range, where e^(-a²/2) still counts; the float64 against 20 digits worked out elsewhere."""
    if dtype is np.float32:
        a = np.linspace(0, 13, 20_001).astype(dtype)
        tail = [math.erfc(v / math.sqrt(2)) / 2 for v in a.astype(np.float64)]
    else:
        a, tail = np.array(digits.TAILS).T
    density = np.exp(-(a.astype(np.longdouble) ** 2) / 2) / math.sqrt(2 * math.pi)
    units = (a.astype(np.float64) ** 2 / 2 + 4) * np.finfo(dtype).eps
    assert (np.abs(mapped(all_tails, a) / np.array(tail, np.longdouble) - 1) < units).all()
    assert (np.abs(mapped(all_densities, a) / density - 1) < units).all()


@pytest.mark.parametrize("dtype", LIMITS)
def test_the_normal_distribution_at_its_corners(dtype):
    a = np.array([0, 14, 40, np.nan], dtype)
    tail, density = mapped(all_tails, a), mapped(all_densities, a)
    assert tail[0] == 0.5 and density[0] == dtype(1 / math.sqrt(2 * math.pi))
    assert tail[1] < 1e-38 and density[1] < 1e-38 and tail[2] == density[2] == 0
    assert np.isnan(tail[3]) and np.isnan(density[3])


@pytest.mark.parametrize("dtype", LIMITS)
def test_row_max(dtype):
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 16, 65, 1000):
        for offset in (-100, 0, 100):
            x = (rng.standard_normal(n) + offset).astype(dtype)
            assert largest(x) == x.max()
    assert largest(np.array([-np.inf, -np.inf], dtype)) == -np.inf
    assert largest(np.array([-1, np.inf, -np.inf], dtype)) == np.inf
    assert np.isnan(largest(np.array([1, np.nan, 2], dtype)))


@pytest.mark.parametrize("dtype", LIMITS)
def test_larger(dtype):
    a, b = np.random.default_rng(0).standard_normal((2, 37)).astype(dtype)
    a[:5], b[:5] = [np.nan, 1, np.nan, np.inf, -np.inf], [2, np.nan, np.nan, 3, -np.inf]
    y = b.copy()
    all_larger(a, y)
    np.testing.assert_array_equal(y, np.where(a > b, a, b))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
def test_the_largest_score_is_kept_without_a_store_under_a_mask():
    """tiles.raise_peak says why."""
    rng = np.random.default_rng(0)
    s, peak = rng.standard_normal((BLOCK, BLOCK), np.float32), np.full(BLOCK, 2, np.float32)
    raised(s, peak, np.empty_like(peak))
    np.testing.assert_array_equal(peak, np.maximum(s.max(axis=0), 2))
    (assembly,) = raised.inspect_asm().values()
    assert "maxps" in assembly and not re.search(r"maskmovps\s+%[xy]mm\d+, %[xy]mm\d+, \S*\(", assembly)


def test_random_bits_are_those_of_the_reference():
    for seed in (0, 12345, 2**63 - 1):
        out = np.empty(1000, np.uint64)
        all_bits(np.uint64(seed), out)
        np.testing.assert_array_equal(out, array_random_bits(seed, (1000,), out))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
def test_loops_are_vectorised():
    """The packed instruction is there, not only the one that works on a single number."""
    x = np.ones(64, np.float32)
    mapped(all_exp, x)
    mapped(all_tails, x)
    largest(x)
    # The oldest x86-64 has no maximum of integers: it compares, and takes the greater by a mask.
    for function, packed in ((all_exp, ("mulps",)), (all_tails, ("divps",)), (largest, ("pmaxsd", "pcmpgtd"))):
        assembly = "".join(function.inspect_asm(s) for s in function.signatures)
        assert any(p in assembly for p in packed), f"{function.__name__} has none of {packed}"


@pytest.mark.skipif(VECTOR_BYTES < 64, reason="for processors with AVX-512")
def test_kernels_fill_whole_vectors():
    def negate(share, x, y):
        for _ in my_part(share, 1):
            for i in range(x.size):
                y[i] = -x[i]

    vector = numba.float32[::1]
    assembly = numba.njit(numba.void(SHARE, vector, vector), **OPTIONS)(negate).inspect_asm()
    assert all("zmm" in code for code in assembly.values())


@pytest.mark.skipif(VECTOR_BYTES < 64, reason="for processors with AVX-512")
def test_so_do_their_helpers():
    @helper(inlined=False)
    def negate(x, y):
        for i in range(x.size):
            y[i] = -x[i]

    def call(x, y):
        negate(x, y)

    vector = numba.float32[::1]
    assembly = numba.njit(numba.void(vector, vector), **OPTIONS)(call).inspect_asm()
    assert all("zmm" in code for code in assembly.values())
