"""Layer norm on the CPU, rows shared out among the threads (ops/layer_norm.py derives it).

Saved are the mean and 1/deviation of each row, two numbers instead of the C of x̂, which backward computes again from x.
Backward goes over the rows in chunks whose number depends on the shape alone; each chunk sums its own part of dweight
and dbias, and the parts are added in order.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import ALONE, not_ours, rows

_threads.start()

CHUNKS = 32  # at most; each costs two rows of partial sums


class Saved(NamedTuple):
    x: Array  # (..., C)
    mean: Array  # (R,)
    rstd: Array  # (R,)
    weight: Array  # (C,)
    has_bias: bool


def why_not(x, weight, bias=None, *, eps=1e-5):
    return not_ours(x, weight, bias)


def forward(x, weight, bias=None, *, eps=1e-5):
    x_rows = rows(x, x.shape[-1])  # (..., C) -> (R, C)
    y = np.empty_like(x_rows)
    mean, rstd = np.empty((2, len(x_rows)), x.dtype)
    shift = np.zeros_like(weight) if bias is None else np.ascontiguousarray(bias)
    run = _forward if x.size > ALONE else _forward.alone
    run(x_rows, np.ascontiguousarray(weight), shift, eps, y, mean, rstd)
    return y.reshape(x.shape), Saved(x, mean, rstd, weight, bias is not None)


def backward(dy, saved):
    x, mean, rstd, weight, has_bias = saved
    c = x.shape[-1]
    dy_rows, x_rows = rows(dy, c), rows(x, c)  # (..., C) -> (R, C)
    dx = np.empty_like(x_rows)
    parts = np.zeros((2, max(1, min(CHUNKS, len(x_rows) // 8)), c), x.dtype)
    _backward(dy_rows, x_rows, mean, rstd, np.ascontiguousarray(weight), dx, parts)
    dweight, dbias = parts.sum(axis=1)
    return dx.reshape(x.shape), dweight, dbias if has_bias else None


@kernel(lambda f: (read(f, 2), read(f, 1), read(f, 1), f, write(f, 2), write(f, 1), write(f, 1)))
def _forward(share, x, weight, bias, eps, y, mean, rstd):
    r, c = x.shape
    inverse_c = x.dtype.type(1) / x.dtype.type(c)
    for i in of(share, r):
        row, out = x[i], y[i]
        total = x.dtype.type(0)
        for j in range(c):
            total += row[j]
        mu = total * inverse_c
        squares = x.dtype.type(0)
        for j in range(c):
            squares += (row[j] - mu) * (row[j] - mu)
        scale = x.dtype.type(1) / np.sqrt(squares * inverse_c + eps)
        for j in range(c):
            out[j] = weight[j] * ((row[j] - mu) * scale) + bias[j]
        mean[i], rstd[i] = mu, scale


@kernel(lambda f: (read(f, 2), read(f, 2), read(f, 1), read(f, 1), read(f, 1), write(f, 2), write(f, 3)))
def _backward(share, dy, x, mean, rstd, weight, dx, parts):
    """dx (R, C), and the chunks' sums for dweight in parts[0] and dbias in parts[1], each (chunks, C)."""
    r, c = x.shape
    chunks = parts.shape[1]
    inverse_c = x.dtype.type(1) / x.dtype.type(c)
    for chunk in of(share, chunks):
        dweight, dbias = parts[0, chunk], parts[1, chunk]
        for i in range(chunk * r // chunks, (chunk + 1) * r // chunks):
            dy_row, x_row, dx_row = dy[i], x[i], dx[i]
            mu, scale = mean[i], rstd[i]
            # y = weight * x_hat + bias
            total = x.dtype.type(0)
            along_x_hat = x.dtype.type(0)
            for j in range(c):
                x_hat = (x_row[j] - mu) * scale
                dweight[j] += dy_row[j] * x_hat
                dbias[j] += dy_row[j]
                dx_hat = dy_row[j] * weight[j]
                dx_row[j] = dx_hat
                total += dx_hat
                along_x_hat += dx_hat * x_hat
            # x_hat = (x - mean(x)) * rstd(x)
            total *= inverse_c
            along_x_hat *= inverse_c
            for j in range(c):
                x_hat = (x_row[j] - mu) * scale
                dx_row[j] = scale * (dx_row[j] - total - x_hat * along_x_hat)
