"""GELU on the CPU, tanh form, in one pass over memory (ops/gelu.py derives it).

    (1 + tanh u) / 2 = 1 / (1 + e^(-2u))

so Φ's stand-in is a sigmoid, and needs one exp and no tanh. The exact form needs an erf that vectorises, which is not
written yet; it is left to the reference.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import helper, kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import CHUNK, check_dy, flat, not_ours, part
from tinygrad_gpt.kernels.numba._vector_math import sigmoid
from tinygrad_gpt.ops.gelu import CUBIC, SQRT_2_OVER_PI

_threads.start()


class Saved(NamedTuple):
    x: Array


def why_not(x, *, approximate="tanh"):
    if approximate != "tanh":
        return "only the tanh form has a kernel"
    return not_ours(x)


def forward(x, *, approximate="tanh"):
    y = np.empty(x.shape, x.dtype)
    run = _forward if x.size > CHUNK else _forward.alone
    run(flat(x), SQRT_2_OVER_PI, CUBIC, flat(y))
    return y, Saved(x)


def backward(dy, saved):
    (x,) = saved
    check_dy("gelu", dy, x.shape, x.dtype)
    dx = np.empty(x.shape, x.dtype)
    _backward(flat(dy), flat(x), SQRT_2_OVER_PI, CUBIC, flat(dx))
    return (dx,)


@kernel(lambda f: (read(f, "N"), f, f, write(f, "N")))
def _forward(share, x, sqrt_2_over_pi, cubic, y):
    for chunk in of(share, (x.size + CHUNK - 1) // CHUNK):
        xs, ys = part(x, chunk), part(y, chunk)
        for i in range(xs.size):
            v = xs[i]
            u = sqrt_2_over_pi * (v + cubic * v * v * v)
            ys[i] = v * sigmoid(u + u)


@kernel(lambda f: (read(f, "N"), read(f, "N"), f, f, write(f, "N")))
def _backward(share, dy, x, sqrt_2_over_pi, cubic, dx):
    for chunk in of(share, (x.size + CHUNK - 1) // CHUNK):
        dys, xs, dxs = part(dy, chunk), part(x, chunk), part(dx, chunk)
        for i in range(xs.size):
            _, slope = cdf_and_slope(xs[i], sqrt_2_over_pi, cubic)
            dxs[i] = dys[i] * slope


@helper()
def cdf_and_slope(x, sqrt_2_over_pi, cubic):
    """Inside a kernel: cdf(x), and the slope dy/dx of y = x * cdf(x)."""
    one = type(x)(1)
    u = sqrt_2_over_pi * (x + cubic * x * x * x)
    cdf = sigmoid(u + u)
    # cdf' = 2 cdf (1 - cdf) u'
    cdf_slope = (cdf + cdf) * (one - cdf) * sqrt_2_over_pi * (one + (cubic + cubic + cubic) * x * x)
    return cdf, cdf + x * cdf_slope
