"""Functions of each element by itself, and of two arrays that broadcast."""

from tinygrad_gpt.arguments import as_float
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.operands import operand, pair
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
