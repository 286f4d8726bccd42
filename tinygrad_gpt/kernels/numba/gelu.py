"""GELU on the CPU, both forms, in one pass over memory (ops/gelu.py derives them).

Tanh form:

    σ(2u) = 1 / (1 + e^(-2u))
          = s or 1 - s,  s = e / (1 + e),  e = e^(-2|u|)      in backward, which needs s (1 - s)

so Φ's stand-in needs one exp and no tanh. The exact form takes Φ and its slope φ from machine/normal.py.
"""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import helper, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK, check_dy, flat, not_ours, part
from tinygrad_gpt.kernels.numba.machine.normal import density_and_tail
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, sigmoid
from tinygrad_gpt.ops._erf import FAR
from tinygrad_gpt.ops.gelu import CUBIC, SQRT_2_OVER_PI


def why_not(x, *, approximate="none"):
    return not_ours(x)


def forward(x, *, approximate="none"):
    y = np.empty(x.shape, x.dtype)
    if approximate == "none":
        _forward_exact(flat(x), flat(y))
    else:
        _forward(flat(x), SQRT_2_OVER_PI, CUBIC, flat(y))
    return y, (x, approximate)


def backward(dy, saved):
    x, approximate = saved
    check_dy("gelu", dy, x.shape, x.dtype)
    dx = np.empty(x.shape, x.dtype)
    if approximate == "none":
        _backward_exact(flat(dy), flat(x), flat(dx))
    else:
        _backward(flat(dy), flat(x), SQRT_2_OVER_PI, CUBIC, flat(dx))
    return (dx,)


# --- tanh form ---------------------------------------------------------------------------------------------------


@kernel(lambda f: (read(f, "N"), f, f, write(f, "N")), alone_below=CHUNK + 1)  # one chunk is one thread's
def _forward(share, x, sqrt_2_over_pi, cubic, y):
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        xs, ys = part(x, chunk), part(y, chunk)
        for i in range(xs.size):
            far = type(xs[i])(FAR)
            v = -far if xs[i] < -far else xs[i]  # nan stays nan
            u = sqrt_2_over_pi * (v + cubic * v * v * v)
            ys[i] = v * sigmoid(u + u)


@kernel(lambda f: (read(f, "N"), read(f, "N"), f, f, write(f, "N")), on_demand=True)
def _backward(share, dy, x, sqrt_2_over_pi, cubic, dx):
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        dys, xs, dxs = part(dy, chunk), part(x, chunk), part(dx, chunk)
        for i in range(xs.size):
            _, slope = value_and_slope(xs[i], sqrt_2_over_pi, cubic)
            dxs[i] = dys[i] * slope


@helper()
def value_and_slope(x, sqrt_2_over_pi, cubic):
    """Inside a kernel: y = x σ(2u) and dy/dx."""
    one, far = type(x)(1), type(x)(FAR)
    # not past ±FAR, where y is 0 or x (nan stays nan)
    above = -far if x < -far else x
    v = far if above > far else above
    v_squared, base = v * v, (sqrt_2_over_pi + sqrt_2_over_pi) * v
    e = exp(-abs(base * (one + cubic * v_squared)))
    s = e / (one + e)
    other = one - s
    cdf = s if v < 0 else other
    # v cdf' = v s (1 - s) 2u'
    rise = s * other * (base * (one + (cubic + cubic + cubic) * v_squared))
    return above * cdf, cdf + rise


# --- exact form --------------------------------------------------------------------------------------------------


@kernel(lambda f: (read(f, "N"), write(f, "N")), alone_below=CHUNK + 1)
def _forward_exact(share, x, y):
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        xs, ys = part(x, chunk), part(y, chunk)
        for i in range(xs.size):
            ys[i], _ = exact_value_and_slope(xs[i])


@kernel(lambda f: (read(f, "N"), read(f, "N"), write(f, "N")), on_demand=True)
def _backward_exact(share, dy, x, dx):
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        dys, xs, dxs = part(dy, chunk), part(x, chunk), part(dx, chunk)
        for i in range(xs.size):
            _, slope = exact_value_and_slope(xs[i])
            dxs[i] = dys[i] * slope


@helper()
def exact_value_and_slope(x):
    """Inside a kernel: y = x Φ(x) and dy/dx."""
    one, far = type(x)(1), type(x)(FAR)
    # not past ±FAR, where y is 0 or x (nan stays nan)
    above = -far if x < -far else x
    v = far if above > far else above
    density, tail = density_and_tail(abs(v))
    cdf = tail if v < 0 else one - tail
    return above * cdf, cdf + v * density
