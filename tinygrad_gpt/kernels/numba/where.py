"""The choice between two arrays on the CPU, without a branch for each element (ops/where.py derives it).

What is smaller than y is copied into y's shape: a byte for each element of a condition, and a number for one of a side,
which reads faster than it chooses.
"""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import BY_CHUNKS, CHUNK, check_dy, flat, not_ours, part
from tinygrad_gpt.ops._shapes import sum_to_shape


def why_not(condition, a, b):
    if not isinstance(condition, np.ndarray) or condition.dtype != bool:
        return "the condition is no NumPy array of booleans"
    return not_ours(a, b)


def forward(condition, a, b):
    y = np.empty(np.broadcast_shapes(condition.shape, a.shape, b.shape), a.dtype)
    condition = np.array(np.broadcast_to(condition, y.shape), order="C")  # y was chosen by what it is now
    _forward(*[flat(np.broadcast_to(x, y.shape)) for x in (a, b)], flat(condition), flat(y))
    return y, (condition, a.shape, b.shape, y.dtype)


def backward(dy, saved):
    condition, a_shape, b_shape, dtype = saved
    check_dy("where", dy, condition.shape, dtype)
    da, db = np.empty(dy.shape, dtype), np.empty(dy.shape, dtype)
    # y = where(condition, a, b)
    _backward(flat(dy), flat(condition), flat(da), flat(db))
    return None, sum_to_shape(da, a_shape), sum_to_shape(db, b_shape)


@kernel(lambda f: (read(f, "N"), read(f, "N"), read(types.boolean, "N"), write(f, "N")), **BY_CHUNKS)
def _forward(share, a, b, condition, y):
    for chunk in my_part(share, (y.size + CHUNK - 1) // CHUNK):
        as_, bs, conditions, ys = part(a, chunk), part(b, chunk), part(condition, chunk), part(y, chunk)
        for i in range(ys.size):
            one, other = as_[i], bs[i]  # both are read: a branch would keep the loop from being vectorised
            ys[i] = one if conditions[i] else other


@kernel(lambda f: (read(f, "N"), read(types.boolean, "N"), write(f, "N"), write(f, "N")), **BY_CHUNKS)
def _backward(share, dy, condition, da, db):
    zero = dy.dtype.type(0)
    for chunk in my_part(share, (dy.size + CHUNK - 1) // CHUNK):
        dys, conditions, das, dbs = part(dy, chunk), part(condition, chunk), part(da, chunk), part(db, chunk)
        for i in range(dys.size):
            das[i] = dys[i] if conditions[i] else zero
            dbs[i] = zero if conditions[i] else dys[i]
