"""A sum and its layer norm, as one op with two outputs: s = x + residual, y = layer_norm(s).

    x, residual  (..., C)  float
    weight       (C,)
    bias         (C,) or None
    s, y         (..., C)

A Transformer block adds to its residual stream what a layer made of it, normalises the sum for the next layer, and goes
on with both. As two ops, the sum is written and read again, and backward adds two gradients of the sum in a pass of
their own. As one op it is normalised while it is at hand, and the gradients meet where one of them is made:

    s = x + residual
    y = layer_norm(s)        ds_y, dweight, dbias  from dy (layer_norm.py derives them)

s reaches the loss by itself and through y, so its gradient is ds + ds_y; and it goes to both sides of the sum as it is.
"""

from tinygrad_gpt.ops import layer_norm
from tinygrad_gpt.ops._shapes import check_floats

PARTS = ("add", "layer_norm")  # whose work it does: where a user chose a version of one, they run instead


def check(x, residual, weight, bias=None, *, eps=1e-5):
    """Raises what layer_norm raises, and ValueError unless x and residual are of one shape."""
    check_floats("add_layer_norm", x, residual)
    if x.shape != residual.shape:
        raise ValueError(f"add_layer_norm: expected x and residual of one shape, got {x.shape} and {residual.shape}")
    layer_norm.check(x, weight, bias, eps=eps)


def forward(x, residual, weight, bias=None, *, eps=1e-5):
    s = x + residual
    y, saved = layer_norm.forward(s, weight, bias, eps=eps)
    return (s, y), saved


def backward(dys, saved):
    ds, dy = dys
    # y = layer_norm(s)
    ds_y, dweight, dbias = layer_norm.backward(dy, saved)
    # s = x + residual
    dx = ds + ds_y
    return dx, dx, dweight, dbias
