"""The ops as functions of Tensors, and the operators (`a + b`, `x[0]`, `x.sum()`) that call them."""

import numpy as np

from tinygrad_gpt.array import is_array
from tinygrad_gpt.autograd import Tensor, apply


def _pair(a, b):
    """Both sides of a binary op; a Python number takes the dtype of the other side."""
    like = next((x.dtype for x in (a, b) if isinstance(x, Tensor) or is_array(x)), None)
    return tuple(x if isinstance(x, Tensor) or is_array(x) else np.asarray(x, dtype=like) for x in (a, b))


def add(a, b) -> Tensor:
    """a + b, with broadcasting. See ops/add.py."""
    return apply("add", *_pair(a, b))


def mul(a, b) -> Tensor:
    """a * b, with broadcasting. See ops/mul.py."""
    return apply("mul", *_pair(a, b))


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Normalise the last axis of x (..., C), then scale by weight (C,) and shift by bias (C,). See ops/layer_norm.py."""
    return apply("layer_norm", x, weight, bias, eps=eps)


Tensor.__add__ = add
Tensor.__radd__ = lambda self, other: add(other, self)
Tensor.__mul__ = mul
Tensor.__rmul__ = lambda self, other: mul(other, self)
