"""A sum and its layer norm on the CPU, row by row (ops/add_layer_norm.py). A row of the sum is normalised while it is
in the cache, and the two gradients of a row are added while they are.

It gives the bits of a sum followed by layer_norm.py, whose functions it calls for each row.
"""

import numpy as np

from tinygrad_gpt.kernels.numba.layer_norm import normalize, parts_like, row_gradient
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ALONE, check_dy, not_ours, rows


def why_not(x, residual, weight, bias=None, *, eps=1e-5):
    return not_ours(x, residual, weight, bias)


def forward(x, residual, weight, bias=None, *, eps=1e-5):
    if x.shape != residual.shape:
        raise ValueError(f"add_layer_norm: expected x and residual of one shape, got {x.shape} and {residual.shape}")
    x_rows = rows(x, x.shape[-1])  # (..., C) -> (R, C)
    s, y = np.empty_like(x_rows), np.empty_like(x_rows)
    mean, rest, rstd = np.empty((3, len(x_rows)), x.dtype)
    shift = np.zeros_like(weight) if bias is None else np.ascontiguousarray(bias)
    _forward(x_rows, rows(residual, x.shape[-1]), np.ascontiguousarray(weight), shift, eps, s, y, mean, rest, rstd)
    s = s.reshape(x.shape)
    return (s, y.reshape(x.shape)), (s, mean, rest, rstd, weight, bias is not None)


def backward(dys, saved):
    s, mean, rest, rstd, weight, has_bias = saved
    for one in dys:
        check_dy("add_layer_norm", one, s.shape, s.dtype)
    ds, dy, s_rows = [rows(a, s.shape[-1]) for a in (*dys, s)]  # (..., C) -> (R, C)
    dx, parts = np.empty_like(s_rows), parts_like(s_rows)
    _backward(dy, ds, s_rows, mean, rest, rstd, np.ascontiguousarray(weight), dx, parts)
    dweight, dbias = parts.sum(axis=1)
    dx = dx.reshape(s.shape)
    return dx, dx, dweight, dbias if has_bias else None


@kernel(
    lambda f: (*[read(f, "R C")] * 2, read(f, "C"), read(f, "C"), f, *[write(f, "R C")] * 2, *[write(f, "R")] * 3),
    alone_below=ALONE,
)
def _forward(share, x, residual, weight, bias, eps, s, y, mean, rest, rstd):
    r, c = x.shape
    for i in my_part(share, r):
        for j in range(c):
            s[i, j] = x[i, j] + residual[i, j]
        mean[i], rest[i], rstd[i] = normalize(s[i], weight, bias, eps, y[i])


@kernel(lambda f: (*[read(f, "R C")] * 3, *[read(f, "R")] * 3, read(f, "C"), write(f, "R C"), write(f, "2 chunks C")))
def _backward(share, dy, ds, s, mean, rest, rstd, weight, dx, parts):
    r, c = s.shape
    chunks = parts.shape[1]
    for chunk in my_part(share, chunks):
        for i in range(chunk * r // chunks, (chunk + 1) * r // chunks):
            row_gradient(dy[i], s[i], mean[i], rest[i], rstd[i], weight, dx[i], parts[0, chunk], parts[1, chunk])
            for j in range(c):
                dx[i, j] += ds[i, j]
