"""Arrays: which ones Tensors may hold, where they lie, and how they get to another device or dtype.

Everything above this file works on "an array" and lets the array decide: `np.exp(x)` runs NumPy's code for a NumPy
array and CuPy's for a CuPy array. This file decides the rest: the dtype of a new array, the device of an op's inputs.
"""

import operator
from contextlib import suppress
from typing import Any, TypeGuard

import numpy as np

from tinygrad_gpt.arguments import as_dtype, bare, numeric_array, shown
from tinygrad_gpt.devices import Device, device, is_device_name

Array = np.ndarray  # for annotations: a NumPy array, or any array that answers to NumPy's functions as CuPy's do

float32, float64 = FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
int32, int64, uint8 = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint8)
boolean = np.dtype(np.bool_)

# --- dtypes ------------------------------------------------------------------------------------------------------

_default_dtype = np.dtype(np.float32)


def default_dtype() -> np.dtype:
    """The dtype of new floating-point arrays: float32 unless `set_default_dtype` said otherwise."""
    return _default_dtype


def set_default_dtype(dtype) -> None:
    """Make new floating-point arrays float32 (for training) or float64 (for gradient checks)."""
    global _default_dtype
    dtype = as_dtype(dtype, "set_default_dtype")
    if dtype not in FLOATS:
        raise TypeError(f"set_default_dtype: expected float32 or float64, got {dtype}")
    _default_dtype = dtype


def is_array(x: Any) -> TypeGuard[Array]:
    """True for NumPy arrays and for arrays that stand in for them (CuPy's), not for scalars, lists or Tensors."""
    return isinstance(x, np.ndarray) or hasattr(x, "__array_function__")


def is_float(x) -> TypeGuard[Array]:
    """True when `x` is an array of float32 or float64."""
    return is_array(x) and x.dtype in FLOATS


def as_array(values, dtype=None, who: str = "Tensor") -> Array:
    """`values` (number, list, array) as an array that a Tensor may hold; `who` asks, in errors.

    Python floats and lists of them get the default dtype, as in PyTorch; arrays keep theirs. Integers become int64;
    one that int64 cannot hold acts as a float. NumPy's subclasses of arrays lose what they add.

    Raises TypeError for dtypes that no op takes (float16, complex, strings, objects), for texts, dictionaries and
    masked arrays, ValueError for rows of different lengths.
    """
    given = values
    if not is_array(values):
        values = numeric_array(who, values)
        if dtype is None and values.dtype == np.float64 and not isinstance(given, np.generic):
            dtype = _default_dtype
    elif isinstance(values, np.ndarray):
        values = bare(who, values)
    if dtype is not None and values.dtype.kind in "fiub":
        values = values.astype(as_dtype(dtype, who), copy=False)
    if values.dtype not in FLOATS and values.dtype.kind not in "iub":
        said = f"{values.dtype}: convert with .astype()"
        if values.dtype.kind in "OSU" and not is_array(given):
            said = shown(given)
        raise TypeError(f"{who}: expected float32, float64, integers or booleans, got {said}")
    return values


# --- devices -----------------------------------------------------------------------------------------------------


def place(x: Array) -> str:
    """Where an array lies, by its kind: "cpu" for NumPy's, "cuda" for CuPy's, else "elsewhere"."""
    if isinstance(x, np.ndarray):
        return "cpu"
    return "cuda" if type(x).__module__.partition(".")[0] == "cupy" else "elsewhere"


def device_of(x: Array) -> Device:
    """The device on which an array lies."""
    return Device("cuda" if place(x) == "cuda" else "cpu")


def to_numpy(x: Array) -> np.ndarray:
    """`x` as a NumPy array: itself, or a copy from the GPU."""
    return Device("cpu").move_here(x)


def cast_or_move(x: Array, to) -> Array:
    """x on another device ("cpu", "cuda", "auto", a Device), or of another dtype (float32, float64).

    Raises TypeError for anything else, ValueError and UserError as `device` does.
    """
    if is_device_name(to):
        return device(to).move_here(x)
    with suppress(TypeError):
        if as_dtype(to, "to") in FLOATS:
            return x.astype(to, copy=False)
    raise TypeError(f"to: expected float32, float64 or a device (cpu, cuda, auto), got {shown(to)}")


def cast_float_or_move(x: Array, to) -> Array:
    """`cast_or_move`, but integers and booleans keep their dtype."""
    return cast_or_move(x, to) if is_float(x) or is_device_name(to) else x


def if_on_cpu(x: Array) -> Array:
    """x itself if it is on the CPU; else an empty view of it, for checks of values: to read one of the GPU's means to
    wait until it has computed everything asked for so far."""
    return x[np.newaxis][:0] if place(x) == "cuda" else x


def on_one_device(op: str, arrays: tuple) -> tuple:
    """The inputs of an op on the device of its floats: integers and booleans move from the CPU to the GPU. Raises
    TypeError for floats on both devices."""
    away = None
    for a in arrays:
        if a is not None and not isinstance(a, np.ndarray):
            away = a
    if away is None:
        return arrays
    stuck = [a for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    if stuck:
        raise TypeError(
            f"{op}: expected inputs on one device, got {stuck[0].dtype}{stuck[0].shape} on the CPU and "
            f"{away.dtype}{tuple(away.shape)} on the GPU: move one of them with .to()"
        )
    return tuple([np.asarray(a, like=away) if isinstance(a, np.ndarray) else a for a in arrays])


# --- indices -------------------------------------------------------------------------------------------------------


def numbers_first(index: tuple, ndim: int) -> tuple[tuple, tuple] | None:
    """An index as two, its integers and slices and then its arrays: None where one gives the same.

    NumPy takes integers for arrays of one element. Where a slice then stands between two arrays, the axes of the
    elements go first, and elsewhere they stay where the arrays are.
    """
    lists = {at for at, i in enumerate(index) if _is_list(i)}
    numbers = {at for at, i in enumerate(index) if at not in lists and hasattr(i, "__index__")}
    if not lists or _are_adjacent(lists | numbers):
        return None
    taken = [_axes_taken_by(i) if at in lists else int(i is not None and i is not ...) for at, i in enumerate(index)]
    first, then = [], []
    for at, i in enumerate(index):
        if at in lists:
            first += [slice(None)] * taken[at]
            then.append(i)
        elif at in numbers:
            first.append(operator.index(i))
        elif i is not ... or sum(taken) < ndim:  # an ellipsis for no axis stands between nothing
            first.append(i)
            then.append(i if i is ... else slice(None))
    return (tuple(first), tuple(then)) if _are_adjacent({at for at, i in enumerate(then) if _is_list(i)}) else None


def _is_list(i) -> bool:
    """Whether NumPy takes it for an array of integers or booleans, and it is not one integer."""
    return isinstance(i, list | bool | np.bool_) or (is_array(i) and (i.ndim > 0 or i.dtype == bool))


def _axes_taken_by(i) -> int:
    if isinstance(i, bool | np.bool_):
        return 0
    return i.ndim if is_array(i) and i.dtype == bool else 1


def _are_adjacent(places: set[int]) -> bool:
    return max(places) - min(places) == len(places) - 1
