"""Layer norm on the CPU, rows shared out among the threads (ops/layer_norm.py derives it).

Saved are x and three numbers of each row: its mean (μ, and ρ, what it lost in rounding) and 1/deviation.

The sums of x - μ and of its squares are made in one pass. Where ρ² counts beside the variance, as in hardly any row,
the squares are summed once more, about μ + ρ.

Backward goes over the rows in chunks whose number depends on the shape alone; each chunk sums its own part of dweight
and dbias, and the parts are added in order.
"""

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba.machine.compile import EXACT_ORDER, helper, kernel, my_part, pasted, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ALONE, check_dy, not_ours, rows

CHUNKS = 32  # at most; each costs two rows of partial sums


def why_not(x, weight, bias=None, *, eps=1e-5):
    return not_ours(x, weight, bias)


def forward(x, weight, bias=None, *, eps=1e-5):
    x_rows = rows(x, x.shape[-1])  # (..., C) -> (R, C)
    y = np.empty_like(x_rows)
    mean, rest, rstd = np.empty((3, len(x_rows)), x.dtype)
    shift = np.zeros_like(weight) if bias is None else np.ascontiguousarray(bias)
    _forward(x_rows, np.ascontiguousarray(weight), shift, eps, y, mean, rest, rstd)
    return y.reshape(x.shape), (x, mean, rest, rstd, weight, bias is not None)


def backward(dy, saved):
    x, mean, rest, rstd, weight, has_bias = saved
    c = x.shape[-1]
    check_dy("layer_norm", dy, x.shape, x.dtype)
    dy_rows, x_rows = rows(dy, c), rows(x, c)  # (..., C) -> (R, C)
    dx, parts = np.empty_like(x_rows), parts_like(x_rows)
    _backward(dy_rows, x_rows, mean, rest, rstd, np.ascontiguousarray(weight), dx, parts)
    dweight, dbias = parts.sum(axis=1)
    return dx.reshape(x.shape), dweight, dbias if has_bias else None


def parts_like(x: Array) -> Array:
    """Zeros (2, chunks, C), for what the chunks of x (R, C) send to dweight and dbias."""
    return np.zeros((2, max(1, min(CHUNKS, len(x) // 8)), x.shape[1]), x.dtype)


@kernel(
    lambda f: (read(f, "R C"), read(f, "C"), read(f, "C"), f, write(f, "R C"), *[write(f, "R")] * 3),
    alone_below=ALONE,
)
def _forward(share, x, weight, bias, eps, y, mean, rest, rstd):
    for i in my_part(share, len(x)):
        mean[i], rest[i], rstd[i] = normalize(x[i], weight, bias, eps, y[i])


@pasted
def normalize(row, weight, bias, eps, out):
    """Writes the layer norm of a row into `out`. Returns the row's mean, what it lost in rounding, and 1/deviation."""
    c = len(row)
    zero = row.dtype.type(0)
    inverse_c = row.dtype.type(1) / row.dtype.type(c)
    total = row.dtype.type(0)
    for j in range(c):
        total += row[j]
    mu = total * inverse_c
    total = row.dtype.type(0)
    squares = row.dtype.type(0)
    for j in range(c):
        deviation = _centred(row[j], mu, zero)
        total += deviation
        squares += deviation * deviation
    rest = _quotient(total, row.dtype.type(c))
    if _counts_beside(squares, rest * total):  # squares about mu are more than those about the mean by c rest²
        squares = row.dtype.type(0)
        for j in range(c):
            deviation = _centred(row[j], mu, rest)
            squares += deviation * deviation
    scale = row.dtype.type(1) / np.sqrt(squares * inverse_c + eps)
    for j in range(c):
        out[j] = weight[j] * (_centred(row[j], mu, rest) * scale) + bias[j]
    return mu, rest, scale


@helper(fastmath=EXACT_ORDER)
def _centred(x, mu, rest):
    """In this order: x - mu is exact where it matters, and mu + rest would be rounded to mu."""
    return x - mu - rest


@helper(fastmath=EXACT_ORDER)
def _counts_beside(a, b):
    return a + b > a


@helper(fastmath=EXACT_ORDER)
def _quotient(a, b):
    """Not a * (1 / b), which for a = b d is not always d: rows of equal numbers become 0 exactly."""
    return a / b


@kernel(lambda f: (*[read(f, "R C")] * 2, *[read(f, "R")] * 3, read(f, "C"), write(f, "R C"), write(f, "2 chunks C")))
def _backward(share, dy, x, mean, rest, rstd, weight, dx, parts):
    """dx (R, C), and the chunks' sums for dweight in parts[0] and dbias in parts[1], each (chunks, C)."""
    r, chunks = len(x), parts.shape[1]
    for chunk in my_part(share, chunks):
        for i in range(chunk * r // chunks, (chunk + 1) * r // chunks):
            row_gradient(dy[i], x[i], mean[i], rest[i], rstd[i], weight, dx[i], parts[0, chunk], parts[1, chunk])


@pasted
def row_gradient(dy, x, mu, rest, scale, weight, dx, dweight, dbias):
    """Writes a row's dx, and adds its part to dweight and dbias."""
    c = len(x)
    inverse_c = x.dtype.type(1) / x.dtype.type(c)
    # y = weight * x_hat + bias
    total = x.dtype.type(0)
    along_x_hat = x.dtype.type(0)
    for j in range(c):
        x_hat = _centred(x[j], mu, rest) * scale
        dweight[j] += dy[j] * x_hat
        dbias[j] += dy[j]
        dx_hat = dy[j] * weight[j]
        dx[j] = dx_hat
        total += dx_hat
        along_x_hat += dx_hat * x_hat
    # x_hat = (x - mean(x)) * rstd(x)
    total *= inverse_c
    along_x_hat *= inverse_c
    for j in range(c):
        x_hat = _centred(x[j], mu, rest) * scale
        dx[j] = scale * (dx[j] - total - x_hat * along_x_hat)
