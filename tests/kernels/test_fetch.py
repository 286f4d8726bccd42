"""Asking for cache lines before they are written (kernels/numba/flash/fetch.py)."""

import numba
import numpy as np
import pytest

from tinygrad_gpt.kernels.numba.flash.fetch import fetch_to_write


@numba.njit
def fetched(x, start, count):
    fetch_to_write(x, start, count)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_changes_nothing_and_stays_within_x(dtype):
    x = np.random.default_rng(0).standard_normal((7, 3, 50)).astype(dtype)
    before = x.copy()
    for start, count in ((0, 7), (5, 16), (7, 16), (0, 0)):
        fetched(x[:, 1], start, count)
    np.testing.assert_array_equal(x, before)


def test_it_asks():
    fetched(np.zeros((1, 1), np.float32), 0, 1)
    assert any("prefetch" in code for code in fetched.inspect_asm().values())
