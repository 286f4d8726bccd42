"""GELU and a linear layer on the CPU, without keeping what is between them (ops/gelu_linear.py derives it).

Backward makes h = gelu(x) again and dx = dh * gelu'(x) in one pass, where they share an exponential. It writes dx over
dh, and h over x if nothing else holds x: backward then needs only one new array of x's size.
"""

from tinygrad_gpt.kernels.numba import gelu, linear
from tinygrad_gpt.kernels.numba.gelu import exact_value_and_slope, value_and_slope
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, write
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK, check_dy, part, rows
from tinygrad_gpt.memory import nobody_else_holds
from tinygrad_gpt.ops.gelu import CUBIC, SQRT_2_OVER_PI


def why_not(x, weight, bias=None, *, approximate):
    return gelu.why_not(x, approximate=approximate) or linear.why_not(x, weight, bias)


def why_not_rounded(x, weight, bias=None, *, approximate):
    return linear.why_not_rounded(x, weight, bias)


def forward(x, weight, bias=None, *, approximate, precision="float32"):
    """precision: of the products, as in linear.py. The GELU is not rounded."""
    h, _ = gelu.forward(x, approximate=approximate)
    y, _ = linear.forward(h, weight, bias, precision=precision)  # (..., C_in) -> (..., C_out)
    return y, (x, weight, bias is not None, approximate, precision)


def backward(dy, saved):
    may_overwrite = nobody_else_holds(saved, 0)
    x, weight, has_bias, approximate, precision = saved
    c_out, c_in = weight.shape
    product = linear.product_in(precision)
    check_dy("gelu_linear", dy, (*x.shape[:-1], c_out), x.dtype)
    dy_rows = rows(dy, c_out)  # (..., C_out) -> (R, C_out)
    # y = h @ weight.T + bias
    dx = product(dy_rows, False, weight, False)  # dh for now: (R, C_out) @ (C_out, C_in) -> (R, C_in)
    h = rows(x if may_overwrite else x.copy(), c_in)  # x for now
    if approximate == "none":
        _exact_gelu_and_gradient(h.reshape(-1), dx.reshape(-1))
    else:
        _gelu_and_gradient(h.reshape(-1), dx.reshape(-1), SQRT_2_OVER_PI, CUBIC)
    dweight = product(dy_rows, True, h, False)  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
    dbias = linear.sum_rows(dy_rows) if has_bias else None  # (R, C_out) -> (C_out,)
    return dx.reshape(x.shape), dweight, dbias


@kernel(lambda f: (write(f, "N"), write(f, "N"), f, f))
def _gelu_and_gradient(share, x, dh, sqrt_2_over_pi, cubic):
    """x becomes h = gelu(x), and dh becomes dx."""
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        xs, dhs = part(x, chunk), part(dh, chunk)
        for i in range(xs.size):
            # h = gelu(x)
            xs[i], slope = value_and_slope(xs[i], sqrt_2_over_pi, cubic)
            dhs[i] *= slope


@kernel(lambda f: (write(f, "N"), write(f, "N")))
def _exact_gelu_and_gradient(share, x, dh):
    """The same for the exact form."""
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        xs, dhs = part(x, chunk), part(dh, chunk)
        for i in range(xs.size):
            # h = gelu(x)
            xs[i], slope = exact_value_and_slope(xs[i])
            dhs[i] *= slope
