"""The larger of two arrays on the CPU, without a branch for each element (ops/maximum.py derives it)."""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.elementwise import of_two
from tinygrad_gpt.kernels.numba.machine.layout import BY_CHUNKS, CHUNK, check_dy, flat, not_ours, part


def why_not(a, b):
    if a.shape != b.shape:
        return f"takes arrays of one shape, not {a.shape} and {b.shape}"
    return not_ours(a, b)


def forward(a, b):
    if a.shape != b.shape:
        raise ValueError(f"maximum: {why_not(a, b)}")
    return _maximum(a, b), (a, b)


def backward(dy, saved):
    a, b = saved
    check_dy("maximum", dy, a.shape, a.dtype)
    da, db = np.empty(a.shape, a.dtype), np.empty(a.shape, a.dtype)
    _backward(flat(dy), flat(a), flat(b), flat(da), flat(db))
    return da, db


def _formula(a, b):
    larger = b if a <= b else a  # a where it is nan
    return larger if b == b else b


_maximum = of_two(_formula)


@kernel(lambda f: (*[read(f, "N")] * 3, *[write(f, "N")] * 2), **BY_CHUNKS)
def _backward(share, dy, a, b, da, db):
    zero, half = dy.dtype.type(0), dy.dtype.type(0.5)
    for chunk in my_part(share, (dy.size + CHUNK - 1) // CHUNK):
        dys, as_, bs, das, dbs = part(dy, chunk), part(a, chunk), part(b, chunk), part(da, chunk), part(db, chunk)
        for i in range(dys.size):
            # y = maximum(a, b)
            dy_each = half * dys[i] if as_[i] == bs[i] else dys[i]
            das[i] = zero if as_[i] < bs[i] else dy_each
            dbs[i] = zero if as_[i] > bs[i] else dy_each
