"""Functions of each element by itself, and of two arrays that broadcast.

Of integers and booleans, which have no gradients, add, sub, mul, maximum, where, neg and abs give integers, and div
gives floats of the default dtype.
"""

import numpy as np

from tinygrad_gpt.arguments import as_float, integer
from tinygrad_gpt.array import Array, default_dtype
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


def where(condition: TensorLike, a: TensorLike, b: TensorLike) -> Tensor:
    """a where the boolean condition holds, else b, with broadcasting."""
    condition, (a, b) = operand("where", condition), pair("where", a, b)
    if a.dtype != b.dtype and a.dtype.kind in "iub" and b.dtype.kind in "iub":
        dtype = np.result_type(a.dtype, b.dtype)
        a, b = plain(a).astype(dtype), plain(b).astype(dtype)
    return apply("where", condition, a, b)


def masked_fill(x: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """The value, a number, where the boolean mask holds, else x."""
    x, value = operand("masked_fill", x), operand("masked_fill", value)
    if value.ndim:
        raise ValueError(f"masked_fill: expected a number as value, got shape {tuple(value.shape)}: where takes arrays")
    if isinstance(value, Tensor) and value.requires_grad:
        return where(mask, value, x)
    a = plain(x)
    number = plain(value).item()
    if a.dtype.kind in "iub" and isinstance(number, float):
        raise TypeError(f"masked_fill: expected an integer to fill {a.dtype} with, got {number}")
    return where(mask, np.full((), number, a.dtype, like=a), x)


def tril(x: TensorLike, diagonal: int = 0) -> Tensor:
    """x (..., N, M) with zeros above the diagonal, or above another one: diagonal=1 is the next to the right."""
    return _triangle("tril", x, diagonal)


def triu(x: TensorLike, diagonal: int = 0) -> Tensor:
    """x (..., N, M) with zeros below the diagonal, or below another one: diagonal=1 is the next to the right."""
    return _triangle("triu", x, diagonal)


def _triangle(who: str, x, diagonal: int) -> Tensor:
    x, diagonal = operand(who, x), integer(who, "diagonal", diagonal)
    if x.ndim < 2:
        raise ValueError(f"{who}: expected a matrix (..., N, M), got shape {tuple(x.shape)}")
    a = plain(x)
    rows, columns = np.arange(a.shape[-2], like=a)[:, None], np.arange(a.shape[-1], like=a)
    kept = columns <= rows + diagonal if who == "tril" else columns >= rows + diagonal
    return where(kept, x, np.zeros((), a.dtype, like=a))


def _binary(op: str, of_integers, a: Tensor | Array, b: Tensor | Array) -> Tensor:
    """The op; or for a pair of integers, NumPy's function."""
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        x, y = plain(a), plain(b)
        check_broadcast(op, x, y)
        if op == "sub" and x.dtype == y.dtype == bool:
            raise TypeError("sub: booleans are not subtracted: write a ^ b, or a & ~b")
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


def relu(x: TensorLike) -> Tensor:
    """max(x, 0); the gradient at 0 is 0."""
    return apply("relu", operand("relu", x))


def silu(x: TensorLike) -> Tensor:
    """x σ(x), with σ the logistic function."""
    return apply("silu", operand("silu", x))


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """x Φ(x), with Φ the normal distribution's: approximate="none" for the exact form, "tanh" for that of GPT-2."""
    return apply("gelu", operand("gelu", x), approximate=approximate)


def pow(x: TensorLike, exponent: float) -> Tensor:
    """x ** exponent, for a Python number as exponent."""
    if isinstance(exponent, int) and exponent.bit_length() > 63:
        exponent = as_float("pow", exponent)
    return apply("pow", operand("pow", x), exponent=exponent)
