"""Functions of each element by itself, and of two arrays that broadcast."""

import numpy as np

from tinygrad_gpt.arguments import as_float, number, shown
from tinygrad_gpt.array import is_array
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.operands import TensorLike, operand, pair, plain
from tinygrad_gpt.ops._shapes import check_floats


def _elementwise(op: str, says: str, binary: bool = False):
    """The function of an op without settings on one array, or on two that broadcast; `says` is its docstring."""

    def unary_op(x) -> Tensor:
        return apply(op, operand(op, x))

    def binary_op(a, b) -> Tensor:
        return apply(op, *pair(op, a, b))

    function = binary_op if binary else unary_op
    function.__name__, function.__qualname__, function.__doc__ = op, op, says
    return function


add = _elementwise("add", "a + b, with broadcasting.", binary=True)
sub = _elementwise("sub", "a - b, with broadcasting.", binary=True)
mul = _elementwise("mul", "a * b, with broadcasting.", binary=True)
div = _elementwise("div", "a / b, with broadcasting.", binary=True)
maximum = _elementwise("maximum", "The larger of a and b, with broadcasting; a tie shares half and half.", binary=True)
neg = _elementwise("neg", "-x.")
exp = _elementwise("exp", "e ** x.")
log = _elementwise("log", "Natural logarithm.")
sqrt = _elementwise("sqrt", "Square root.")
tanh = _elementwise("tanh", "Hyperbolic tangent.")
sigmoid = _elementwise("sigmoid", "1 / (1 + exp(-x)).")
relu = _elementwise("relu", "max(x, 0); the gradient at 0 is 0.")
silu = _elementwise("silu", "x σ(x), with σ the logistic function.")


def where(condition, a, b) -> Tensor:
    """a where the boolean condition holds, else b, with broadcasting."""
    return apply("where", operand("where", condition), *pair("where", a, b))


def pow(x, exponent: int | float) -> Tensor:
    """x ** exponent, for a Python number as exponent."""
    if isinstance(exponent, int) and exponent.bit_length() > 63:
        exponent = as_float("pow", exponent)
    return apply("pow", operand("pow", x), exponent=exponent)


def abs(x) -> Tensor:
    """|x| = max(x, -x). The gradient at 0 is 0, as in PyTorch: a tie gives 1/2 of it to x and 1/2 to -x."""
    x = operand("abs", x)
    check_floats("abs", x.data if isinstance(x, Tensor) else x)
    return maximum(x, neg(x))


def gelu(x, approximate: str = "tanh") -> Tensor:
    """x Φ(x), with Φ the normal distribution's: approximate="tanh" as in GPT-2, "none" for the exact form."""
    return apply("gelu", operand("gelu", x), approximate=approximate)


def minimum(a: TensorLike, b: TensorLike) -> Tensor:
    """The smaller of a and b, with broadcasting; a tie shares half and half. It is -maximum(-a, -b)."""
    a, b = pair("minimum", a, b)
    return neg(maximum(neg(a), neg(b)))


def clamp(x: TensorLike, min: float | None = None, max: float | None = None) -> Tensor:
    """x within the bounds `min` and `max`; the gradient at a bound is dy. (NumPy's clip.)"""
    for name, bound in (("min", min), ("max", max)):
        if isinstance(bound, Tensor) or is_array(bound):
            raise TypeError(
                f"clamp: expected a number as {name}, got {shown(bound)}: for bounds in arrays write "
                "minimum(maximum(x, lowest), highest)"
            )
    min, max = number("clamp", "min", min, or_none=True), number("clamp", "max", max, or_none=True)
    x = operand("clamp", x)
    a = plain(x)
    if a.dtype.kind in "iu" and (type(min) is int or type(max) is int):
        return Tensor(np.clip(a, min, max))
    return apply("clamp", x, min=min, max=max)


def sin(x: TensorLike) -> Tensor:
    """The sine of an angle in radians."""
    return apply("sin", operand("sin", x))


def cos(x: TensorLike) -> Tensor:
    """The cosine of an angle in radians."""
    return apply("cos", operand("cos", x))


def rsqrt(x: TensorLike) -> Tensor:
    """1 / sqrt(x). It is x ** -0.5."""
    return pow(x, -0.5)


def softplus(x: TensorLike, beta: float = 1.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, a smooth relu, without overflow. (PyTorch's gives x itself where beta x > 20: the
    two differ there by less than 3e-9.)"""
    beta = number("softplus", "beta", beta, above=0)
    x = operand("softplus", x)
    return apply("softplus", x) if beta == 1 else div(apply("softplus", mul(x, beta)), beta)


def logsigmoid(x: TensorLike) -> Tensor:
    """log(sigmoid(x)), without underflow. It is -softplus(-x)."""
    return neg(softplus(neg(x)))
