"""A block of GPT-2 for one new position of a few sequences on the CPU (ops/block_step.py says what it computes).

Five kernels, one for each reading of weights or of the cache. A layer norm and the GELU belong to the product that
reads them: each thread computes all of their few numbers for itself, which takes less time than to wait until others
have. A product that ends in the residual stream adds to it.
"""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.flash.one_query import attend
from tinygrad_gpt.kernels.numba.gelu import value_and_slope
from tinygrad_gpt.kernels.numba.layer_norm import normalize
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ON_DEMAND, not_ours
from tinygrad_gpt.kernels.numba.product.few_rows import FEW, products
from tinygrad_gpt.ops.block_step import check
from tinygrad_gpt.ops.gelu import CUBIC, SQRT_2_OVER_PI
from tinygrad_gpt.precision import matmul_precision

_ALL = np.ones(1, bool)  # of a mask that is not there


def why_not(x, keys, values, shown, *weights, length, scale, eps):
    if why := not_ours(x, keys, values, *weights):
        return why
    if not 0 < len(x) <= FEW:
        return f"for 1 to {FEW} rows; with more, the ops of a block are as quick"
    if matmul_precision() != "float32":
        return f"the precision of matrix products is {matmul_precision()}"
    if not all([a is None or a.flags.c_contiguous for a in weights]):
        return "a weight is not contiguous"
    if not keys.strides[3] == values.strides[3] == keys.itemsize:
        return "the numbers of a key, or of a value, are not adjacent"
    return None


def run(x, keys, values, shown, *weights, length, scale, eps):
    """y; writes into keys and values."""
    check(x, keys, values, shown, *weights, length=length, scale=scale, eps=eps)
    if why := why_not(x, keys, values, shown, *weights, length=length, scale=scale, eps=eps):
        raise ValueError(f"block_step: {why}")
    norm_1, bias_1, qkv, qkv_bias, out, out_bias, norm_2, bias_2, up, up_bias, down, down_bias = _with_biases(weights)
    (r, c), (_, h, _, d), t, dtype = x.shape, keys.shape, length + 1, x.dtype
    y = np.array(x, order="C")  # the residual stream
    new, attended, inner = np.empty((r, 3 * c), dtype), np.empty((r, h, d), dtype), np.empty((r, len(up)), dtype)
    _normed_product(qkv, y, norm_1, bias_1, eps, qkv_bias, new)  # (R, C) -> (R, 3C)
    visible = np.ndarray((r, t), bool, _ALL, strides=(0, 0)) if shown is None else shown
    _attend(keys[:, :, :t], values[:, :, :t], new.reshape(r, 3, h, d), visible, shown is not None, scale, attended)
    _add_product(out, attended.reshape(r, c), out_bias, y)
    _normed_product(up, y, norm_2, bias_2, eps, up_bias, inner)  # (R, C) -> (R, hidden)
    _add_gelu_product(down, inner, SQRT_2_OVER_PI, CUBIC, down_bias, y)
    return y


def _with_biases(weights):
    """The weights, zeros in the place of biases that are not there."""
    pairs = zip(weights[::2], weights[1::2], strict=True)
    return [a for w, b in pairs for a in (w, np.zeros(len(w), w.dtype) if b is None else b)]


@kernel(
    lambda f: (
        read(f, "C_out C_in"), read(f, "R C_in"), *[read(f, "C_in")] * 2, f, read(f, "C_out"), write(f, "R C_out")
    ),
    **ON_DEMAND,
)  # fmt: skip
def _normed_product(share, weight, x, norm, norm_bias, eps, bias, y):
    """y = layer_norm(x) weightᵀ + bias."""
    normed = np.empty(x.shape, x.dtype)
    for i in range(len(x)):
        normalize(x[i], norm, norm_bias, eps, normed[i])
    products(share, weight, normed, bias, y, False)


@kernel(lambda f: (read(f, "C_out C_in"), read(f, "R C_in"), read(f, "C_out"), write(f, "R C_out")), **ON_DEMAND)
def _add_product(share, weight, x, bias, y):
    """y += x weightᵀ + bias."""
    products(share, weight, x, bias, y, True)


@kernel(lambda f: (read(f, "C_out C_in"), read(f, "R C_in"), f, f, read(f, "C_out"), write(f, "R C_out")), **ON_DEMAND)
def _add_gelu_product(share, weight, x, sqrt_2_over_pi, cubic, bias, y):
    """y += gelu(x) weightᵀ + bias."""
    h = np.empty(x.shape, x.dtype)
    for i in range(len(x)):
        x_row, h_row = x[i], h[i]
        for j in range(len(x_row)):
            h_row[j], _ = value_and_slope(x_row[j], sqrt_2_over_pi, cubic)
    products(share, weight, h, bias, y, True)


@kernel(
    lambda f: (
        *[write(f, "R H T D", "A")] * 2, read(f, "R 3 H D"), read(types.boolean, "R T", "A"), types.boolean, f,
        write(f, "R H D"),
    ),
    **ON_DEMAND,
)  # fmt: skip
def _attend(share, keys, values, new, shown, has_mask, scale, y):
    """The last key and value of each head are those in `new`, written to their place; y, attention of its query."""
    r, h, t, _ = keys.shape
    for head in my_part(share, r * h):
        i, hi = head // h, head % h
        keys[i, hi, t - 1], values[i, hi, t - 1] = new[i, 1, hi], new[i, 2, hi]
        visible = shown[i], has_mask, new[i, 0, hi], False  # nothing is added to scores
        attend(new[i, 0, hi], keys[i, hi], values[i, hi], visible, scale, y[i, hi])
