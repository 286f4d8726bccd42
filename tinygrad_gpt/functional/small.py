"""PyTorch's names for what takes one line of other functions, and tests of numbers, which have no gradients."""

from collections.abc import Iterable

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import number, sizes
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.functional.elementwise import clamp, mul
from tinygrad_gpt.functional.layers import matmul
from tinygrad_gpt.functional.shapes import concatenate, getitem, permute, reshape
from tinygrad_gpt.modes import is_grad_enabled
from tinygrad_gpt.operands import TensorLike, operand, pair, plain
from tinygrad_gpt.ops._shapes import check_broadcast, normalize_axes, normalize_axis
from tinygrad_gpt.tensor import plain_ids

# --- products -----------------------------------------------------------------------------------------------------


def square(x: TensorLike) -> Tensor:
    """x * x."""
    return mul(x, x)


def clip(x: TensorLike, min: float | None = None, max: float | None = None) -> Tensor:
    """`clamp` by NumPy's name."""
    return clamp(x, min, max)


def dot(a: TensorLike, b: TensorLike) -> Tensor:
    """The sum of the products of two vectors (N,) -> ()."""
    return _product("dot", a, b, (1, 1))


def mv(a: TensorLike, b: TensorLike) -> Tensor:
    """A matrix (N, M) times a vector (M,) -> (N,)."""
    return _product("mv", a, b, (2, 1))


def _product(who: str, a: TensorLike, b: TensorLike, axes: tuple[int, int]) -> Tensor:
    a, b = pair(who, a, b)
    if (a.ndim, b.ndim) != axes:
        raise ValueError(f"{who}: expected {axes[0]} and {axes[1]} axes, got {tuple(a.shape)} and {tuple(b.shape)}")
    return matmul(a, b)


# --- picked and put in another order ------------------------------------------------------------------------------


def flip(x: TensorLike, dims: int | tuple[int, ...] | list[int]) -> Tensor:
    """x with the elements along each axis of `dims` in reverse order."""
    x = operand("flip", x)
    turned = normalize_axes("flip", sizes("flip", dims, "dims"), x.ndim)
    return getitem(x, tuple([slice(None, None, -1) if i in turned else slice(None) for i in range(x.ndim)]))


def unbind(x: TensorLike, dim: int = 0) -> tuple[Tensor, ...]:
    """The parts x[..., i, ...] along the axis `dim`, without that axis."""
    x = operand("unbind", x)
    dim = normalize_axis("unbind", arguments.axis("unbind", dim), x.ndim)
    return tuple([getitem(x, (*[slice(None)] * dim, i)) for i in range(x.shape[dim])])


def movedim(x: TensorLike, source: int, destination: int) -> Tensor:
    """x with one axis moved to another place, the others in their order."""
    x = operand("movedim", x)
    source, destination = [
        normalize_axis("movedim", arguments.axis("movedim", i), x.ndim) for i in (source, destination)
    ]
    axes = [i for i in range(x.ndim) if i != source]
    axes.insert(destination, source)
    return permute(x, tuple(axes))


def index_select(x: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """The elements of x along `dim` that a vector of integers names."""
    x, places = operand("index_select", x), plain_ids(index, "index_select", "index")
    dim = normalize_axis("index_select", arguments.axis("index_select", dim), x.ndim)
    return getitem(x, (*[slice(None)] * dim, places.reshape(-1)))


def masked_select(x: TensorLike, mask: TensorLike) -> Tensor:
    """The elements of x where a boolean mask of its shape holds, as a vector."""
    return getitem(x, operand("masked_select", mask))


def concat(tensors: Iterable[TensorLike], dim: int = 0) -> Tensor:
    """`cat` by another of its names."""
    return concatenate(tensors, dim)


def hstack(tensors: Iterable[TensorLike]) -> Tensor:
    """Joined along the second axis; vectors along their only one."""
    several = [operand("hstack", x) for x in tensors]
    several = [reshape(x, (1,)) if x.ndim == 0 else x for x in several]
    return concatenate(several, 0 if several and several[0].ndim == 1 else 1)


def vstack(tensors: Iterable[TensorLike]) -> Tensor:
    """Joined along the first axis; vectors (N,) as rows (1, N)."""
    several = [operand("vstack", x) for x in tensors]
    return concatenate([x if x.ndim > 1 else reshape(x, (1, -1)) for x in several], 0)


# --- whole numbers ------------------------------------------------------------------------------------------------


def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1. For Tensors that need no gradient, as floor, ceil and round: it would be 0 everywhere."""
    return _flat("sign", np.sign, x)


def floor(x: TensorLike) -> Tensor:
    """The largest whole number <= x."""
    return _flat("floor", np.floor, x)


def ceil(x: TensorLike) -> Tensor:
    """The smallest whole number >= x."""
    return _flat("ceil", np.ceil, x)


def round(x: TensorLike) -> Tensor:
    """The nearest whole number; of two, the even one."""
    return _flat("round", np.rint, x)


def _flat(who: str, ufunc, x: TensorLike) -> Tensor:
    x = operand(who, x)
    if getattr(x, "requires_grad", False) and is_grad_enabled():
        raise TypeError(f"{who}: its gradient would be 0 everywhere: write {who}(x.detach())")
    a = plain(x)
    return Tensor(np.asarray(ufunc(a) if a.dtype.kind == "f" or who == "sign" else a, dtype=a.dtype, like=a))


# --- tests --------------------------------------------------------------------------------------------------------


def isnan(x: TensorLike) -> Tensor:
    """Which elements are nan."""
    return _test(np.isnan, operand("isnan", x))


def isinf(x: TensorLike) -> Tensor:
    """Which elements are infinite."""
    return _test(np.isinf, operand("isinf", x))


def isfinite(x: TensorLike) -> Tensor:
    """Which elements are neither nan nor infinite."""
    return _test(np.isfinite, operand("isfinite", x))


def _test(ufunc, x: TensorLike) -> Tensor:
    a = plain(x)
    return Tensor(np.asarray(ufunc(a), like=a))


def allclose(a: TensorLike, b: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all |a - b| <= atol + rtol |b|."""
    a, b = pair("allclose", a, b)
    check_broadcast("allclose", plain(a), plain(b))
    rtol, atol = [number("allclose", name, value, low=0) for name, value in (("rtol", rtol), ("atol", atol))]
    return bool(np.allclose(plain(a), plain(b), rtol=rtol, atol=atol, equal_nan=equal_nan))


def equal(a: TensorLike, b: TensorLike) -> bool:
    """Whether a and b have one shape and the same elements."""
    a, b = pair("equal", a, b)
    return tuple(a.shape) == tuple(b.shape) and bool((plain(a) == plain(b)).all())


def is_tensor(obj: object) -> bool:
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


def numel(x: TensorLike) -> int:
    """The number of elements."""
    return int(plain(operand("numel", x)).size)
