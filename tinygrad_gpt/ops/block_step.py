"""A block of GPT-2 for one new position of each of R sequences: a routine, outside the tape, for generation.

    x        (R, C)  float, the new positions
    keys, values  (R, H, capacity, D), C = H D: those of earlier positions, `length` of them. Those of the new position
             are written behind them
    shown    (R, length + 1) booleans: which positions may be looked at, the new one the last; None: all
    weights  those of the block, as in Weights
    scale    of the scores; eps of the layer norms
    y        (R, C)

What the block computes (models/gpt.py, norm="pre", with the tanh form of GELU), a vector at a time:

    q, k, v = qkv(norm_1(x))            k and v are kept
    x = x + out(attention(q, all k, all v))
    y = x + down(gelu(up(norm_2(x))))

A new token costs each weight one reading, and the ops of a block hardly more. Then what stands between them counts: the
tape, the choice of versions, arrays that one op writes and the next reads. A kernel can do without.
"""

from typing import NamedTuple

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops import attention, gelu_linear, layer_norm, linear
from tinygrad_gpt.ops._shapes import check_floats

PARTS = ("add_layer_norm", "attention", "gelu_linear", "layer_norm", "linear")  # whose work it does


class Weights(NamedTuple):
    """Of a block, each (C_out, C_in), or (C,) of a norm, with its bias (C_out,), or None."""

    norm_1: Array
    norm_1_bias: Array | None
    qkv: Array  # (3C, C)
    qkv_bias: Array | None
    out: Array  # (C, C)
    out_bias: Array | None
    norm_2: Array
    norm_2_bias: Array | None
    up: Array  # (hidden, C)
    up_bias: Array | None
    down: Array  # (C, hidden)
    down_bias: Array | None


def check(x, keys, values, shown, *weights, length, scale, eps):
    """Raises TypeError for integers and for several dtypes, ValueError for what does not fit."""
    check_floats("block_step", x, keys, values, *weights)
    if any([a is not None and a.dtype != x.dtype for a in (keys, values, *weights)]):
        raise TypeError(f"block_step: expected arrays of one dtype, {x.dtype}")
    (r, c), (rows, h, capacity, d), inner = x.shape, keys.shape, len(weights[8])
    if values.shape != keys.shape or rows != r or h * d != c or not 0 <= length < capacity:
        raise ValueError(
            f"block_step: expected keys and values (R, H, capacity, D) for x (R, C) = {x.shape}, with C = H D and room "
            f"at {length}, got {keys.shape} and {values.shape}"
        )
    if shown is not None and (shown.dtype != bool or shown.shape != (r, length + 1)):
        raise ValueError(
            f"block_step: expected booleans (R, T so far) = {(r, length + 1)}, got {shown.dtype}{shown.shape}"
        )
    matrices = (c,), (3 * c, c), (c, c), (c,), (inner, c), (c, inner)
    for shape, weight, bias in zip(matrices, weights[::2], weights[1::2], strict=True):
        if weight.shape != shape or (bias is not None and bias.shape != shape[:1]):
            got = f"{weight.shape}" if bias is None else f"{weight.shape} and {bias.shape}"
            raise ValueError(f"block_step: expected a weight {shape} and its bias, got {got}")


def run(x, keys, values, shown, *weights, length, scale, eps):
    """y; writes into keys and values."""
    w, (r, c), (_, h, _, d) = Weights(*weights), x.shape, keys.shape
    normed, _ = layer_norm.forward(x, w.norm_1, w.norm_1_bias, eps=eps)
    qkv, _ = linear.forward(normed, w.qkv, w.qkv_bias)  # (R, C) -> (R, 3C)
    q, keys[:, :, length], values[:, :, length] = qkv.reshape(r, 3, h, d).swapaxes(0, 1)  # -> 3 of (R, H, D)
    mask = None if shown is None else shown[:, None, None, :]  # (R, T) -> (R, 1, 1, T)
    so_far = keys[:, :, : length + 1], values[:, :, : length + 1]  # (R, H, T, D)
    attended, _ = attention.forward(q[:, :, None, :], *so_far, mask, scale=scale)  # (R, H, 1, D)
    x = x + linear.forward(attended.reshape(r, c), w.out, w.out_bias)[0]
    normed, _ = layer_norm.forward(x, w.norm_2, w.norm_2_bias, eps=eps)
    inner, _ = linear.forward(normed, w.up, w.up_bias)  # (R, C) -> (R, hidden)
    return x + gelu_linear.forward(inner, w.down, w.down_bias, approximate="tanh")[0]
