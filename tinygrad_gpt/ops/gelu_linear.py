"""A linear layer on top of a GELU, as one op that keeps less: y = gelu(x) weightᵀ + bias.

    x            (..., C_in)  float
    weight       (C_out, C_in)
    bias         (C_out,) or None
    approximate  "tanh" or "none": which GELU
    y            (..., C_out)

Two ops would save x for the slope of the GELU and h = gelu(x) for the gradient of the weight: in a Transformer, two
arrays 4C wide for each layer. But h follows from x, so only x is saved, and backward computes h again, a pass over
memory that is short beside the matrix products. The rest is the chain rule, with the pairs of the two ops (gelu.py and
linear.py derive them):

    h = gelu(x)
    y = h weightᵀ + bias      dh, dweight, dbias  from dy, h and weight
    h = gelu(x)               dx                  from dh and x
"""

from typing import NamedTuple

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops import gelu, linear

PARTS = ("gelu", "linear")  # whose work it does: where a user chose a version of one, they run instead


class Saved(NamedTuple):
    x: Array  # (..., C_in)
    weight: Array  # (C_out, C_in)
    has_bias: bool
    approximate: str


def check(x, weight, bias=None, *, approximate):
    """Raises what gelu and linear raise: TypeError for integers, ValueError for shapes that don't fit."""
    gelu.check(x, approximate=approximate)
    linear.check(x, weight, bias)


def forward(x, weight, bias=None, *, approximate):
    h, _ = gelu.forward(x, approximate=approximate)
    y, _ = linear.forward(h, weight, bias)  # (..., C_in) -> (..., C_out)
    return y, Saved(x, weight, bias is not None, approximate)


def backward(dy, saved):
    x, weight, has_bias, approximate = saved
    h, saved_by_gelu = gelu.forward(x, approximate=approximate)
    # y = h @ weight.T + bias
    dh, dweight, dbias = linear.backward(dy, linear.Saved(h, weight, has_bias))
    # h = gelu(x)
    (dx,) = gelu.backward(dh, saved_by_gelu)
    return dx, dweight, dbias
