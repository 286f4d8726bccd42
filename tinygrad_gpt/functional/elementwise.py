"""Functions of each element by itself, and of two arrays that broadcast.

Of integers and booleans, which have no gradients, add, sub, mul, maximum, minimum, where, neg, abs and clamp give
integers, and div gives floats of the default dtype.
"""

import numpy as np

from tinygrad_gpt.arguments import as_float, number, shown
from tinygrad_gpt.array import Array, default_dtype, is_array
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.operands import TensorLike, operand, pair, plain
from tinygrad_gpt.ops._shapes import check_broadcast, check_floats

# --- of two -------------------------------------------------------------------------------------------------------


def add(a: TensorLike, b: TensorLike) -> Tensor:
    """a + b, with broadcasting."""
    return _binary("add", np.add, *pair("add", a, b))


def sub(a: TensorLike, b: TensorLike) -> Tensor:
    """a - b, with broadcasting."""
    return _binary("sub", np.subtract, *pair("sub", a, b))


def mul(a: TensorLike, b: TensorLike) -> Tensor:
    """a * b, with broadcasting."""
    return _binary("mul", np.multiply, *pair("mul", a, b))


def div(a: TensorLike, b: TensorLike) -> Tensor:
    """a / b, with broadcasting."""
    return _binary("div", _divide_integers, *pair("div", a, b))


def maximum(a: TensorLike, b: TensorLike) -> Tensor:
    """The larger of a and b, with broadcasting; a tie shares half and half."""
    return _binary("maximum", np.maximum, *pair("maximum", a, b))


def minimum(a: TensorLike, b: TensorLike) -> Tensor:
    """The smaller of a and b, with broadcasting; a tie shares half and half. Of floats it is -maximum(-a, -b)."""
    a, b = pair("minimum", a, b)
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        return _binary("minimum", np.minimum, a, b)
    check_broadcast("minimum", plain(a), plain(b))
    return neg(apply("maximum", neg(a), neg(b)))


def where(condition: TensorLike, a: TensorLike, b: TensorLike) -> Tensor:
    """a where the boolean condition holds, else b, with broadcasting."""
    condition, (a, b) = operand("where", condition), pair("where", a, b)
    if a.dtype != b.dtype and a.dtype.kind in "iub" and b.dtype.kind in "iub":
        dtype = np.result_type(a.dtype, b.dtype)
        a, b = plain(a).astype(dtype), plain(b).astype(dtype)
    return apply("where", condition, a, b)


def _binary(op: str, of_integers, a: Tensor | Array, b: Tensor | Array) -> Tensor:
    """The op; or for a pair of integers, NumPy's function."""
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        x, y = plain(a), plain(b)
        check_broadcast(op, x, y)
        if op == "sub" and (x.dtype == bool or y.dtype == bool):
            raise TypeError("sub: booleans are not subtracted: write ~a, a ^ b or a & ~b, or a.long() for 0 and 1")
        return Tensor(np.asarray(of_integers(x, y), like=x))
    return apply(op, a, b)


def _divide_integers(a: Array, b: Array) -> Array:
    return np.divide(a.astype(default_dtype()), b.astype(default_dtype()))


# --- of one -------------------------------------------------------------------------------------------------------


def neg(x: TensorLike) -> Tensor:
    """-x."""
    x = operand("neg", x)
    return Tensor(-plain(x)) if x.dtype.kind in "iu" else apply("neg", x)


def abs(x: TensorLike) -> Tensor:
    """|x| = max(x, -x). The gradient at 0 is 0, as in PyTorch: a tie gives 1/2 of it to x and 1/2 to -x."""
    x = operand("abs", x)
    if x.dtype.kind in "iu":
        return Tensor(np.abs(plain(x)))
    check_floats("abs", plain(x))
    return maximum(x, apply("neg", x))


def exp(x: TensorLike) -> Tensor:
    """e ** x."""
    return apply("exp", operand("exp", x))


def log(x: TensorLike) -> Tensor:
    """Natural logarithm."""
    return apply("log", operand("log", x))


def sqrt(x: TensorLike) -> Tensor:
    """Square root."""
    return apply("sqrt", operand("sqrt", x))


def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent."""
    return apply("tanh", operand("tanh", x))


def sigmoid(x: TensorLike) -> Tensor:
    """1 / (1 + exp(-x))."""
    return apply("sigmoid", operand("sigmoid", x))


def relu(x: TensorLike, inplace: bool = False) -> Tensor:
    """max(x, 0); the gradient at 0 is 0. Always a new Tensor: inplace=True is a TypeError."""
    if inplace:
        raise TypeError("relu: no inplace=True, a graph would not know of the change: leave it out")
    return apply("relu", operand("relu", x))


def silu(x: TensorLike) -> Tensor:
    """x σ(x), with σ the logistic function."""
    return apply("silu", operand("silu", x))


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """x Φ(x), with Φ the normal distribution's: approximate="none" for the exact form, "tanh" for that of GPT-2."""
    return apply("gelu", operand("gelu", x), approximate=approximate)


def pow(x: TensorLike, exponent: float) -> Tensor:
    """x ** exponent, for a Python number as exponent; of integers, to an integer >= 0, integers."""
    x = operand("pow", x)
    if isinstance(exponent, Tensor) and exponent.ndim:
        raise TypeError("pow: expected a number as exponent, got a Tensor: for x > 0 write exp(exponent * log(x))")
    if isinstance(exponent, int):
        if x.dtype.kind in "iu" and not isinstance(exponent, bool) and 0 <= exponent < 64:
            return Tensor(np.asarray(plain(x) ** exponent, like=plain(x)))
        if exponent.bit_length() > 63:
            exponent = as_float("pow", exponent)
    return apply("pow", x, exponent=exponent)


def clamp(x: TensorLike, min: float | None = None, max: float | None = None) -> Tensor:
    """x within the bounds `min` and `max`; the gradient at a bound is dy. (NumPy's clip.)"""
    for name, bound in (("min", min), ("max", max)):
        if isinstance(bound, Tensor) or is_array(bound):
            raise TypeError(
                f"clamp: expected a number as {name}, got {shown(bound)}: for bounds in arrays write "
                "minimum(maximum(x, lowest), highest)"
            )
    min, max = [number("clamp", n, b, or_none=True, finite=False) for n, b in (("min", min), ("max", max))]
    x = operand("clamp", x)
    given = [type(bound) for bound in (min, max) if bound is not None]
    if x.dtype.kind in "iu" and given and float not in given:
        return Tensor(np.clip(plain(x), min, max))
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
    two differ there by less than 3e-9 / beta.)"""
    beta = number("softplus", "beta", beta, above=0)
    x = operand("softplus", x)
    return apply("softplus", x) if beta == 1 else div(apply("softplus", mul(x, beta)), beta)


def logsigmoid(x: TensorLike) -> Tensor:
    """log(sigmoid(x)), without underflow. It is -softplus(-x)."""
    return neg(softplus(neg(x)))
