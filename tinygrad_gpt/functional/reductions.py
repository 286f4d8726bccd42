"""Functions that reduce axes to one number each."""

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import flag, number
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import says_axis
from tinygrad_gpt.operands import operand


def _reduce(op: str, x, axis, keepdims, **settings) -> Tensor:
    axis, keepdims = arguments.axes(op, axis), flag(op, "keepdims", keepdims)
    return apply(op, operand(op, x), axis=axis, keepdims=keepdims, **settings)


@says_axis
def sum(x, axis=None, keepdims: bool = False) -> Tensor:
    """Sum over `axis`: an integer, a tuple of them, or None for all."""
    return _reduce("sum", x, axis, keepdims)


@says_axis
def mean(x, axis=None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`: an integer, a tuple of them, or None for all."""
    return _reduce("mean", x, axis, keepdims)


@says_axis
def max(x, axis=None, keepdims: bool = False) -> Tensor:
    """Largest element over `axis` (an integer, a tuple of them, or None for all); ties share the gradient equally."""
    return _reduce("max", x, axis, keepdims)


@says_axis
def var(x, axis=None, keepdims: bool = False, correction: int | float = 0) -> Tensor:
    """Variance over `axis`, with divisor n - correction. (PyTorch's correction is 1 unless given.)"""
    return _reduce("var", x, axis, keepdims, correction=number("var", "correction", correction))
