"""New Tensors: of given or random numbers, from lists and arrays, in another dtype or on another device.

Sizes may stand alone or in a tuple: zeros(2, 3) or zeros((2, 3)). Every function here takes

    dtype          None: that of the values, and for floats the default, float32
    device         "cpu", "cuda" or "auto"
    requires_grad  whether backward should compute a gradient of it

Random numbers come from the package's stream: manual_seed makes them repeatable. (They are not PyTorch's.)
"""

from contextlib import suppress
from typing import Any

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import as_dtype, check_held, flag, integer, number, shown
from tinygrad_gpt.array import FLOATS, Array, as_array, cast_or_move, default_dtype, device_of, is_float
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.devices import Device
from tinygrad_gpt.devices import device as the_device
from tinygrad_gpt.modes import is_grad_enabled
from tinygrad_gpt.operands import TensorLike, operand, plain
from tinygrad_gpt.random_stream import next_seed
from tinygrad_gpt.tensor import plain_array

DType = np.dtype | type | str | None
DeviceLike = str | Device | None


def tensor(data: TensorLike, requires_grad: bool = False, dtype: DType = None, device: DeviceLike = None) -> Tensor:
    """A new Tensor with a copy of `data`: a number, a list, an array. (`Tensor(array)` shares the array's memory.)"""
    data = data.data if isinstance(data, Tensor) else data
    array = as_array(data, dtype, "tensor")
    return _made(array.copy() if hasattr(data, "__array__") else array, device, requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {shown(array)}: tensor(...) takes the rest")
    return Tensor(array)


def _made(array: Array, where: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    return Tensor(array if where is None else the_device(where).move_here(array), requires_grad)


def _size(who: str, size: tuple) -> tuple[int, ...]:
    if not size:
        raise TypeError(f"{who}: expected the sizes of the axes: {who}(2, 3); {who}(()) has none")
    shape = arguments.sizes(who, size[0] if len(size) == 1 else size, "size")
    if [n for n in shape if n < 0]:
        raise ValueError(f"{who}: expected sizes >= 0, got {shape}")
    return shape


def _dtype(who: str, dtype: DType, otherwise: Any) -> np.dtype:
    return np.dtype(otherwise) if dtype is None else as_dtype(dtype, who)


# --- of one number, of numbers in a row ---------------------------------------------------------------------------


def zeros(*size: Any, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    return _full("zeros", size, 0.0, dtype, device, requires_grad)


def ones(*size: Any, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return _full("ones", size, 1.0, dtype, device, requires_grad)


def full(
    size: Any, fill_value: float, *, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor in which every element is fill_value."""
    return _full("full", (size,), fill_value, dtype, device, requires_grad)


def _full(who: str, size: tuple, value, dtype: DType, where: DeviceLike, requires_grad: bool) -> Tensor:
    value = as_array(value, who=who)
    if value.ndim:
        raise TypeError(f"{who}: expected a number as fill_value, got {shown(value)}")
    dtype = _dtype(who, dtype, value.dtype)
    check_held(who, "fill_value", value.item(), dtype)
    value = value.astype(dtype)
    return _made(np.full(_size(who, size), value, value.dtype), where, requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... as far as below end; arange(n) counts from 0 to n - 1. Integers if all three are."""
    if end is None:
        start, end = 0, start
    first, stop, by = [number("arange", n, v) for n, v in (("start", start), ("end", end), ("step", step))]
    if by == 0 or (stop - first) / by < 0:
        raise ValueError(f"arange: expected a step that leads from {first} to {stop}, got {by}")
    otherwise = np.int64 if all([isinstance(v, int) for v in (first, stop, by)]) else default_dtype()
    array = np.arange(first, stop, by).astype(_dtype("arange", dtype, otherwise))
    return _made(array, device, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from start to end, both included, equally far apart."""
    start, end = number("linspace", "start", start), number("linspace", "end", end)
    array = np.linspace(start, end, integer("linspace", "steps", steps, low=0))
    return _made(array.astype(_dtype("linspace", dtype, default_dtype())), device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """The identity matrix (n, n), or (n, m) with ones on its diagonal."""
    n, m = integer("eye", "n", n, low=0), integer("eye", "m", m, low=0, or_none=True)
    return _made(np.eye(n, m, dtype=_dtype("eye", dtype, default_dtype())), device, requires_grad)


# --- random -------------------------------------------------------------------------------------------------------


def _generator() -> np.random.Generator:
    return np.random.default_rng(next_seed())


def rand(*size: Any, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Random numbers, equally likely from 0 to below 1."""
    numbers = _generator().random(_size("rand", size), _float("rand", dtype))
    return _made(numbers, device, requires_grad)


def randn(*size: Any, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Random numbers from the normal distribution with mean 0 and variance 1."""
    numbers = _generator().standard_normal(_size("randn", size), _float("randn", dtype))
    return _made(numbers, device, requires_grad)


def _float(who: str, dtype: DType) -> Any:
    dtype = _dtype(who, dtype, default_dtype())
    if dtype not in FLOATS:
        raise TypeError(f"{who}: expected float32 or float64 as dtype, got {dtype}")
    return dtype


def randint(*low_high_size: Any, dtype: DType = None, device: DeviceLike = None) -> Tensor:
    """Random integers: randint(high, size) from 0 to high - 1, randint(low, high, size) from low to high - 1."""
    if len(low_high_size) not in (2, 3):
        raise TypeError("randint: expected randint(high, size) or randint(low, high, size)")
    *bounds, size = low_high_size
    low, high = (0, *bounds) if len(bounds) == 1 else bounds
    low, high = integer("randint", "low", low), integer("randint", "high", high)
    if low >= high:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    if not arguments.is_row(size):
        raise TypeError(f"randint: expected a tuple as size, got {shown(size)}: randint(high, (n,))")
    array = _generator().integers(low, high, _size("randint", (size,)))
    return _made(array.astype(_dtype("randint", dtype, np.int64)), device)


def randperm(n: int, *, dtype: DType = None, device: DeviceLike = None) -> Tensor:
    """The integers 0 to n - 1 in a random order."""
    array = _generator().permutation(integer("randperm", "n", n, low=0))
    return _made(array.astype(_dtype("randperm", dtype, np.int64)), device)


def multinomial(x: TensorLike, num_samples: int, replacement: bool = False) -> Tensor:
    """Indices drawn at random, each as likely as its weight: x (..., V) with weights >= 0, which need not sum to 1,
    -> int64 (..., num_samples). Without replacement, no index is drawn twice in a row of x.

    The order of log(weight) + Gumbel noise is a draw without replacement (Kool et al., "Stochastic beams and where to
    find them", 2019).
    """
    me = "multinomial"
    a = Device("cpu").move_here(plain(operand(me, x)))
    n = integer(me, "num_samples", num_samples, low=1)
    if a.dtype.kind != "f" or a.ndim not in (1, 2):
        raise ValueError(f"{me}: expected weights, floats of shape (V,) or (B, V), got {a.dtype} of shape {a.shape}")
    if not (np.isfinite(a).all() and (a >= 0).all() and (a.sum(-1) > 0).all()):
        raise ValueError(f"{me}: expected finite weights >= 0, and one above 0 in each row")
    rng, rows = _generator(), a.reshape(-1, a.shape[-1]).astype(np.float64)
    if flag(me, "replacement", replacement):
        cumulated = np.cumsum(rows, -1)
        where = rng.random((len(rows), n)) * cumulated[:, -1:]
        drawn = np.array([np.searchsorted(c, w, side="right") for c, w in zip(cumulated, where, strict=True)])
    else:
        if n > (rows > 0).sum(-1).min():
            raise ValueError(
                f"{me}: expected at least {n} weights above 0 in each row to draw as many without replacement"
            )
        with np.errstate(divide="ignore"):
            drawn = np.argsort(-(np.log(rows) + rng.gumbel(size=rows.shape)), axis=-1)[:, :n]
    return _made(drawn.reshape((*a.shape[:-1], n)).astype(np.int64), device_of(plain(operand(me, x))))


# --- like another one ---------------------------------------------------------------------------------------------


def zeros_like(x: TensorLike, *, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and device of x."""
    return full_like(x, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(x: TensorLike, *, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and device of x."""
    return full_like(x, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    x: TensorLike, fill_value: float, *, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """fill_value in the shape, dtype and on the device of x."""
    return _like(x, full, dtype, device, requires_grad, fill_value)


def rand_like(x: TensorLike, *, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`rand` with the shape, dtype and device of x."""
    return _like(x, rand, dtype, device, requires_grad)


def randn_like(x: TensorLike, *, dtype: DType = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`randn` with the shape, dtype and device of x."""
    return _like(x, randn, dtype, device, requires_grad)


def _like(x, make, dtype: DType, where: DeviceLike, requires_grad: bool, *value) -> Tensor:
    a = plain(operand(make.__name__, x))
    return make(
        tuple(a.shape),
        *value,
        dtype=a.dtype if dtype is None else dtype,
        device=device_of(a) if where is None else where,
        requires_grad=requires_grad,
    )


# --- copies -------------------------------------------------------------------------------------------------------


def clone(x: TensorLike) -> Tensor:
    """A copy, through which gradients flow."""
    x = operand("clone", x)
    if x.ndim == 0:
        return apply("reshape", clone(apply("reshape", x, shape=(1,))), shape=())
    return apply("concatenate", x, axis=0)


def to(x: TensorLike, dtype_or_device: Any = None, dtype: DType = None, *, device: DeviceLike = None) -> Tensor:
    """x in another dtype, or on a device ("cuda", "cpu", "auto"), or both; x itself if nothing has to change.

    Raises TypeError where a gradient would have to flow back through the conversion, which none does: x.detach() first.
    """
    what = [w for w in (dtype_or_device, dtype, device) if w is not None]
    a = moved = plain_array(x, "to")
    for one in what or [None]:
        moved = _converted(moved, one)
    if isinstance(x, Tensor) and moved is a:
        return x
    if isinstance(x, Tensor) and x.requires_grad and is_grad_enabled() and is_float(moved):
        raise TypeError(
            f"to: this Tensor requires a gradient, and none flows back from {moved.dtype} on {device_of(moved)} to "
            f"{a.dtype} on {device_of(a)}: make it there, or convert x.detach()"
        )
    return Tensor(moved)


def _converted(a: Array, to) -> Array:
    with suppress(TypeError):
        if as_dtype(to, "to").kind in "iub":
            return a.astype(to, copy=False)
    return cast_or_move(a, to)
