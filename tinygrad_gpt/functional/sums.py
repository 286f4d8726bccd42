"""Functions over axes beyond the plain sum, mean and maximum: products, running sums, norms and deviations.

`dim` is an integer, a tuple of them, or None for all axes; for a running sum it is one axis. PyTorch's dim= and
keepdim= and NumPy's axis= and keepdims= are the same.
"""

import math

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import number
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import NO, Axes, either, for_tensors
from tinygrad_gpt.functional.elementwise import abs, mul, pow, sqrt, where
from tinygrad_gpt.functional.reductions import divisor, reduce_axes, reduction_settings
from tinygrad_gpt.operands import TensorLike, operand, plain
from tinygrad_gpt.ops._shapes import check_floats, normalize_axis


@for_tensors
def prod(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """Product over `dim`; of integers an integer."""
    return reduce_axes("prod", np.prod, x, reduction_settings("prod", dim, axis, keepdim, keepdims))


@for_tensors
def cumsum(x: TensorLike, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """Running sum along the axis `dim`; of integers and booleans integers."""
    if (dim := either("cumsum", dim, axis)) is None:
        raise TypeError("cumsum: expected the axis to sum along, got none: cumsum(x, dim=-1), say")
    x, dim = operand("cumsum", x), arguments.axis("cumsum", dim)
    if (a := plain(x)).dtype.kind in "iub":
        return Tensor(np.cumsum(a.astype(np.int64, copy=False), axis=normalize_axis("cumsum", dim, a.ndim)))
    return apply("cumsum", x, axis=dim)


@for_tensors
def logsumexp(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """log(sum(exp(x))) over `dim`, without overflow."""
    return apply("logsumexp", operand("logsumexp", x), **reduction_settings("logsumexp", dim, axis, keepdim, keepdims))


@for_tensors
def std(
    x: TensorLike,
    dim: Axes = None,
    *,
    correction: float = 1,
    keepdim: bool = NO,
    axis: Axes = None,
    keepdims: bool = NO,
    unbiased: bool | None = None,
) -> Tensor:
    """Standard deviation over `dim`, with divisor n - correction: 1 for an estimate from a sample, 0 for that of these
    numbers. (NumPy's default is 0.) It is the root of var; where all elements are equal the gradient is 0."""
    settings = reduction_settings("std", dim, axis, keepdim, keepdims)
    return _root(apply("var", operand("std", x), correction=divisor("std", correction, unbiased), **settings), 2)


def norm(
    x: TensorLike,
    p: float | str = "fro",
    dim: Axes = None,
    keepdim: bool = NO,
    *,
    axis: Axes = None,
    keepdims: bool = NO,
) -> Tensor:
    """Length of x over `dim`, of all elements as of one vector: sum(abs(x) ** p) ** (1 / p).

    p  2, or "fro": the root of the sum of squares. 1: the sum of absolute values. math.inf: the largest of them. Any
       other number above 1. The gradient at x = 0 is 0
    """
    settings = reduction_settings("norm", dim, axis, keepdim, keepdims)
    if p == "nuc":
        raise ValueError('norm: expected a number >= 1 or "fro" as p, got "nuc": take np.linalg.norm of x.numpy()')
    power: float = 2 if p == "fro" else number("norm", "p", p, low=1, finite=False)
    x = operand("norm", x)
    check_floats("norm", plain(x))
    if power == math.inf:
        return apply("max", abs(x), **settings)
    if power == 1:
        return apply("sum", abs(x), **settings)
    return _root(apply("sum", mul(x, x) if power == 2 else pow(abs(x), power), **settings), power)


def _root(x: Tensor, p: float) -> Tensor:
    """x ** (1 / p), with gradient 0 at x = 0, where the root itself has an infinite slope.

    The 0 is taken out before the root as well as after it: 0 · inf in the chain rule would be nan.
    """
    is_zero = x.data == 0
    positive = where(is_zero, 1.0, x)
    return where(is_zero, 0.0, sqrt(positive) if p == 2 else pow(positive, 1 / p))
