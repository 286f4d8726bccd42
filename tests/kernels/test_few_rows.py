"""The kernels of generation: a product of few rows, and attention of one query; on both sides of their thresholds."""

import numpy as np
import pytest

from tests.kernels.test_against_reference import DTYPES, assert_like_reference, kernel, normal
from tinygrad_gpt.kernels.numba.flash import one_query
from tinygrad_gpt.kernels.numba.flash.shared import masks
from tinygrad_gpt.kernels.numba.machine import layout
from tinygrad_gpt.kernels.numba.product import few_rows

SMALL, LARGE = (67, 130), (301, 130)  # (C_out, C_in): one thread's work, and that of all

assert np.prod(SMALL) <= layout.ALONE < np.prod(LARGE)


def linear(x, weight, bias=None):
    return kernel("linear").forward(x, weight, bias)[0]


@DTYPES
@pytest.mark.parametrize("c_out, c_in", [SMALL, LARGE, (1, 1), (3, 5), (64, 2000)])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9])
def test_few_rows_are_those_of_the_reference(dtype, rows, c_out, c_in):
    x, weight, bias = normal((rows, c_in), dtype), normal((c_out, c_in), dtype, 1), normal(c_out, dtype, 2)
    assert_like_reference("linear", (x, weight, bias))
    assert_like_reference("linear", (x, weight, None))
    assert_like_reference("linear", (x[::-1], np.asfortranarray(weight), bias[::-1]))


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_a_row_gets_the_same_bits_alone_and_beside_others(shape):
    weight, bias = normal(shape, np.float32), normal(shape[0], np.float32, 1)
    x = normal((few_rows.FEW, shape[1]), np.float32, 2)
    together = linear(x, weight, bias)
    for r in range(len(x)):
        assert linear(x[r], weight, bias).tobytes() == together[r].tobytes()


@DTYPES
@pytest.mark.parametrize("b, h, t, d", [(1, 1, 1, 1), (2, 3, 7, 5), (1, 12, 43, 64), (2, 3, 700, 20), (1, 1, 3000, 64)])
def test_one_query_sees_every_key(dtype, b, h, t, d):
    q, k, v = normal((b, h, 1, d), dtype), normal((b, h, t, d), dtype, 1), normal((b, h, t, d), dtype, 2)
    for causal in (False, True):
        assert_like_reference("attention", (q, k, v, None), {"causal": causal})
    assert_like_reference("attention", (q, k, v, None), {"scale": 0.3})


@DTYPES
@pytest.mark.parametrize("t", [2, 7, 700])
def test_one_query_sees_what_the_mask_shows(dtype, t, monkeypatch):
    monkeypatch.setattr(kernel("attention"), "_forward", None)  # not the kernel for many queries
    q, k, v = normal((3, 2, 1, 20), dtype), normal((3, 2, t, 20), dtype, 1), normal((3, 2, t, 20), dtype, 2)
    padding = np.arange(t) >= np.array([0, t // 2, t])[:, np.newaxis]  # none, some, all of a row
    holes = np.random.default_rng(3).random((3, 2, 1, t)) < 0.5
    for mask in (padding[:, np.newaxis, np.newaxis], holes, holes[0, 0], np.ones((1, 1, 1, 1), bool)):
        assert_like_reference("attention", (q, k, v, mask), {"causal": True})


@DTYPES
@pytest.mark.parametrize("t", [3, 900])
def test_one_query_reads_a_cache_where_it_lies(dtype, t, monkeypatch):
    cache = normal((2, 2, 3, 1000, 16), dtype)  # keys and values (B, H, capacity, D)
    k, v = cache[:, :, :, :t]
    q = normal((2, 1, 9, 16), dtype, 1)[:, :, :3].swapaxes(1, 2)  # one of q, k and v in one array
    monkeypatch.setattr(kernel("attention"), "_forward", None)  # not the kernel for many queries
    assert_like_reference("attention", (q, k, v, None), {"causal": True})


@pytest.mark.parametrize("t", [5, 3000])
def test_one_query_that_sees_only_minus_infinity_or_nan(t):
    q, k, v = np.ones((1, 1, 1, 16), np.float32), np.full((1, 1, t, 16), -np.inf, np.float32), np.ones((1, 1, t, 16))
    y = np.empty_like(q)
    lse = np.empty((1, 1, 1), np.float32)
    everything = masks(None, False, (1, 1, 1, t), q.dtype)[:4]
    one_query.one_query(k, v.astype(np.float32), q, *everything, 1.0, y, lse)
    assert (y == 0).all() and (lse == np.inf).all()
    k[0, 0, 2] = np.nan
    one_query.one_query(k, v.astype(np.float32), q, *everything, 1.0, y, lse)
    assert np.isnan(y).all() and np.isnan(lse).all()
