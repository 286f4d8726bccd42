"""Products and turns of tiles, and the matrix products that are made of them or of BLAS."""

import numba
import numpy as np
import pytest

from tinygrad_gpt.kernels.numba.product import blas, blas_tiles, packed
from tinygrad_gpt.kernels.numba.product.registers import VECTOR_BYTES, at
from tinygrad_gpt.kernels.numba.product.tile import broadcast_row, copy_tile, multiply, transpose_tile

DTYPES = [np.float32, np.float64]


@numba.njit
def multiplied(c, start, a, b):
    multiply(at(c, 0, 0), at(start, 0, 0), at(a, 0, 0), at(b, 0, 0), c.shape[0], a.shape[1], c.shape[1])


@numba.njit
def multiplied_from_row(c, row, a, b):
    multiply(at(c, 0, 0), broadcast_row(at(row, 0, 0)), at(a, 0, 0), at(b, 0, 0), c.shape[0], a.shape[1], c.shape[1])


@numba.njit
def turned(x, out):
    transpose_tile(at(x, 0, 0), x.shape[0], x.shape[1], at(out, 0, 0))


@numba.njit
def copy(x, out, i, j):
    copy_tile(at(x, i, j), x.shape[0] - i, x.shape[1] - j, at(out, i, j))


def close(dtype):
    return {"rtol": 2e-5, "atol": 2e-5} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vectors", [1, 2, 3, 4, 5, 11])
@pytest.mark.parametrize("m, k", [(4, 1), (8, 0), (12, 37)])
def test_multiply(dtype, vectors, m, k):
    rng = np.random.default_rng(0)
    n = vectors * VECTOR_BYTES // np.dtype(dtype).itemsize
    a, b, start = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    c = np.full((m, n), np.nan, dtype)
    multiplied(c, start, a, b)
    np.testing.assert_allclose(c, start + a @ b, **close(dtype))
    multiplied(start, start, np.ascontiguousarray(a.T).T, b)  # a transposed, and the result where it started
    np.testing.assert_array_equal(start, c)
    multiplied_from_row(c, b[:1] if k else start[:1], a, b)
    np.testing.assert_allclose(c, (b[:1] if k else start[:1]) + a @ b, **close(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(16, 16), (8, 8), (1, 1), (33, 50), (15, 64), (64, 7)])
def test_transposed_and_copied(dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    out = np.zeros(shape[::-1], dtype)
    turned(x, out)
    np.testing.assert_array_equal(out, x.T)
    out = np.zeros(shape, dtype)
    copy(x, out, shape[0] // 2, shape[1] // 3)
    np.testing.assert_array_equal(out[shape[0] // 2 :, shape[1] // 3 :], x[shape[0] // 2 :, shape[1] // 3 :])
    assert not out[: shape[0] // 2].any() and not out[:, : shape[1] // 3].any()


PRODUCTS = {"ours": packed.product}
if blas.AVAILABLE:
    PRODUCTS["blas"] = blas_tiles.product


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (5, 3, 7), (64, 64, 64), (37, 300, 65), (3, 0, 5), (300, 7, 400)])
def test_products(name, dtype, m, k, n):
    """Against NumPy, with each operand as it is or transposed, with and without a bias."""
    rng = np.random.default_rng(0)
    a, b, bias = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (n,)))
    expected = a.astype(np.float64) @ b
    for left in ((a, False), (np.ascontiguousarray(a.T), True)):
        for right in ((b, False), (np.ascontiguousarray(b.T), True)):
            np.testing.assert_allclose(PRODUCTS[name](*left, *right), expected, **close(dtype))
            np.testing.assert_allclose(PRODUCTS[name](*left, *right, bias), expected + bias, **close(dtype))


@pytest.mark.parametrize("name", [*PRODUCTS, "numpy"])
def test_products_that_are_written_or_added_somewhere(name):
    """Several blocks of a sum, one after the other; ours gives the bits of all of it at once."""
    product = blas.numpy_product if name == "numpy" else PRODUCTS[name]
    rng = np.random.default_rng(0)
    a, b, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((437, 65), (437, 70), (70,)))
    room = np.full((90, 70), np.nan, np.float32)
    assert product(a, True, b, False, bias, out=room[:65]) is not None
    np.testing.assert_allclose(room[:65], a.T @ b + bias, **close(np.float32))
    assert np.isnan(room[65:]).all()
    total = np.full((65, 70), np.nan, np.float32)
    for first in (0, 128, 256, 384, 437):  # the last of no rows
        here = slice(first, min(first + 128, 437))
        product(np.ascontiguousarray(a[here]), True, b[here], False, out=total, adds=first > 0)
    np.testing.assert_allclose(total, a.T @ b, **close(np.float32))
    if name == "ours":
        assert total.tobytes() == product(a, True, b, False).tobytes()


@pytest.mark.parametrize(
    "out",
    [np.empty((3, 5)), np.empty((4, 3), np.float32), np.empty((3, 8), np.float32)[:, :4]],
    ids=["float64", "turned", "apart"],
)
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_place_for_the_product_that_does_not_fit(name, out):
    a, b = np.ones((3, 2), np.float32), np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"product: expected a contiguous array float32\(3, 4\) to write to, got"):
        PRODUCTS[name](a, False, b, False, out=out)


def test_nan_stays_visible():
    a, b = np.ones((8, 20), np.float32), np.ones((20, 70), np.float32)
    a[3, 7] = np.nan
    assert np.isnan(packed.product(a, False, b, False)).sum(axis=1).tolist() == [0, 0, 0, 70, 0, 0, 0, 0]


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_sum_of_nothing_is_written(name, monkeypatch):
    """Where there is nothing to multiply, the result is 0 or the bias, not what new memory happened to hold."""
    a, b, bias = np.ones((3, 0)), np.ones((0, 5)), np.arange(5.0)
    monkeypatch.setattr(np, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
    nothing, only_bias = PRODUCTS[name](a, False, b, False), PRODUCTS[name](a, False, b, False, bias)
    monkeypatch.undo()
    np.testing.assert_array_equal(nothing, np.zeros((3, 5)))
    np.testing.assert_array_equal(only_bias, np.broadcast_to(bias, (3, 5)))
