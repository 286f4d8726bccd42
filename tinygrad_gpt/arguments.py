"""Arguments, checked: what a caller gave becomes a plain value, or an error that names it.

    integer("generate", "top_k", k, low=1)      # 3, np.int64(3), an array or a Tensor of one integer -> 3
    number("AdamW", "lr", lr, low=0)            # 0.1, np.float32(0.1), ... -> a Python number
    flag("sum", "keepdims", keepdims)           # True, np.True_, 1 -> True

All errors have one form: who asked, what was expected, what was given. A value of another kind is a TypeError, a value
out of range a ValueError. True and False are not numbers: in place of a number they are mostly a misplaced argument.

Some of these functions run a hundred times in a training step. So each of them begins with the one comparison that lets
a plain value through.
"""

import math
import numbers
import os
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxtuple, _short.maxdict, _short.maxset = 2, 4, 4, 3, 3
_short.maxstring = _short.maxother = 40


# What errors say of x.data = tensor and x.grad = tensor, which nothing can see when it is done: these are plain slots.
HOLDS_A_TENSOR = "holds a Tensor, and should hold an array: write p.data = x.data, p.grad = x.data"


def kind(value) -> str:
    """The name of a value's type, with its library if it is a foreign one: "str", "Tensor", "torch.Tensor"."""
    root = type(value).__module__.partition(".")[0]
    name = {"ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    return name if root in ("builtins", "numpy", "tinygrad_gpt", "__main__") else f"{root}.{name}"


def shown(value: Any) -> str:
    """Any value, in one short line for an error message."""
    if isinstance(value, int) and value.bit_length() > 100:  # Python refuses to print the longest ones
        return f"an integer of about {value.bit_length() * 3 // 10} digits"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None and not isinstance(value, np.generic):
        return f"{kind(value)} of {dtype} and shape {tuple(shape)}"
    said = " ".join(_short.repr(value).split())
    return kind(value) if said.startswith("<") else said if len(said) <= 160 else f"{said[:157]}..."


def conversion(value) -> str:
    """How to convert an array of another library, such as a torch.Tensor, or a list."""
    if hasattr(value, "numpy"):
        return "convert with tensor(x.numpy())"
    if hasattr(value, "__array__"):
        return "convert with tensor(np.asarray(x))"
    return "convert with tensor()"


def integer(who: str, name: str, value, low: int | None = None, below: int | None = None, or_none: bool = False) -> Any:
    """`value` as an int with low <= value < below. With `or_none`, None is allowed too."""
    if type(value) is not int:
        if value is None and or_none:
            return None
        if (whole := _whole(value)) is None:
            raise TypeError(f"{who}: expected an integer{_or(or_none)} as {name}, got {shown(value)}")
        value = whole
    if (low is not None and value < low) or (below is not None and value >= below):
        raise ValueError(f"{who}: expected {_range(name, low, below)}{_or(or_none)}, got {shown(value)}")
    return value


def number(who: str, name: str, value, low=None, below=None, above=None, most=None, or_none=False, finite=True) -> Any:
    """`value` as an int or float with low <= value < below, or above < value <= most; None is no bound.

    With `or_none`, None is allowed too; without `finite`, infinity too (and nan, if there are no bounds).
    """
    if type(value) is not float:
        if value is None and or_none:
            return None
        plain = _plain(value)
        if isinstance(plain, bool) or not isinstance(plain, numbers.Real):
            raise TypeError(f"{who}: expected a number{_or(or_none)} as {name}, got {shown(value)}")
        value = plain if isinstance(plain, int) and plain.bit_length() <= 63 else as_float(who, plain)
    if finite and not math.isfinite(value):
        name = f"a finite {name}" if below is None and most is None else name
    elif (
        (low is None or value >= low)
        and (below is None or value < below)
        and (above is None or value > above)
        and (most is None or value <= most)
    ):
        return value
    raise ValueError(f"{who}: expected {_range(name, low, below, above, most)}{_or(or_none)}, got {shown(value)}")


def as_float(who: str, value) -> float:
    """A real number as a float. Raises ValueError for an integer larger than any float."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{who}: expected a number that a float can hold, got {shown(value)}") from None


def check_held(who: str, name: str, value, dtype) -> None:
    """Raise ValueError for a number that an array of integers of this dtype cannot hold: 300 or -1 in uint8, nan."""
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise ValueError(f"{who}: expected a number that {dtype} can hold as {name}, got {value}")


def flag(who: str, name: str, value) -> bool:
    """`value` as True or False. It may be 1 or 0 too, and of NumPy's types."""
    if type(value) is not bool:
        plain = _plain(value)
        if not isinstance(plain, numbers.Integral) or plain not in (0, 1):
            raise TypeError(f"{who}: expected True or False as {name}, got {shown(value)}")
        value = bool(plain)
    return value


def _plain(value):
    """The Python number in a NumPy scalar, or in an array or Tensor without axes. Any other value as it is."""
    if not isinstance(value, type) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _whole(value) -> int | None:
    """The Python integer in a value, or None if it does not hold an integer."""
    if type(value) is int:
        return value
    plain = _plain(value)
    return int(plain) if isinstance(plain, numbers.Integral) and not isinstance(plain, bool) else None


def _or(none: bool) -> str:
    return " or None" if none else ""


def _range(name: str, low=None, below=None, above=None, most=None) -> str:
    """A range as text: "top_k >= 1", "0 <= dropout < 1", "a finite lr >= 0"."""
    right = f" < {below}" if below is not None else f" <= {most}" if most is not None else ""
    if low is not None:
        return f"{low} <= {name}{right}" if right else f"{name} >= {low}"
    if above is not None:
        return f"{above} < {name}{right}" if right else f"{name} > {above}"
    return name + right


def axis(who: str, value) -> int:
    """`value` as one axis. (Only the op knows whether an array has it.)"""
    if (whole := _whole(value)) is None:
        raise TypeError(f"{who}: expected one axis, an integer, got axis={shown(value)}")
    return whole


def axes(who: str, value) -> Any:
    """`value` as one axis, a tuple of axes, or None for all."""
    if value is None or type(value) is int:
        return value
    parts = _whole_parts(value)
    if None in parts:
        raise TypeError(f"{who}: expected an integer, a tuple of integers or None as axis, got {shown(value)}")
    return parts if is_row(value) else parts[0]


def sizes(who: str, value: Any, name: str = "shape") -> tuple[int, ...]:
    """`value` as a shape, or another tuple of integers: (2, 3) from [2, 3] or an array, (6,) from 6."""
    if type(value) is tuple and all([type(n) is int for n in value]):
        return value
    parts = _whole_parts(value)
    if None in parts:
        raise TypeError(f"{who}: expected integers as {name}, got {shown(value)}")
    return parts


def is_row(value) -> bool:
    """Whether a value holds a row of values: a list, a tuple, an array or a Tensor with one axis, ..."""
    if isinstance(value, list | tuple | set | frozenset | range):
        return True
    shape = getattr(value, "shape", None)  # a property where value is a class
    return isinstance(shape, tuple) and len(shape) == 1 and hasattr(value, "__getitem__")


def _whole_parts(value: Any) -> tuple[Any, ...]:
    """The integers of a row, or the one that is not in a row; None for each part that is not an integer."""
    row: Any = value if is_row(value) else (value,)
    parts = [row[i] for i in range(row.shape[0])] if hasattr(row, "shape") else row
    return tuple([_whole(part) for part in parts])


def path(who: str, name: str, value) -> Path:
    """`value`, a str or a path, as a Path."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{who}: expected a path, a str, as {name}, got {shown(value)}")
    return Path(value)


def text(who: str, name: str, value) -> str:
    """`value`, if it is a str. The errors for bytes and for a list of texts say what to do."""
    if isinstance(value, str):
        return value
    hint = ""
    if isinstance(value, bytes | bytearray):
        hint = ": decode it first, with .decode('utf-8')"
    elif isinstance(value, list | tuple):
        hint = ": give one text at a time"
    raise TypeError(f"{who}: expected a str as {name}, got {shown(value)}{hint}")


def numeric_array(who: str, values) -> np.ndarray:
    """An array of a number, a list of numbers, or anything else that NumPy can convert. An integer that no int64 holds
    makes it float64.

    Raises ValueError for rows of different lengths, TypeError for values that are not numbers.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:  # NumPy's, or of the value's own __array__
        if isinstance(error, ValueError) and "inhomogeneous" in str(error):
            raise ValueError(
                f"{who}: expected rows of one length, got {shown(values)} with rows of several: pad the shorter ones "
                "(generate.pad_left does that for prompts)"
            ) from None
        reason = " ".join(str(error).split())
        raise TypeError(f"{who}: cannot make an array of {shown(values)}: {reason}") from None
    are_real = (isinstance(x, numbers.Real) and not isinstance(x, bool) for x in array.flat)
    if array.dtype == object and array.size and all(are_real):
        array = np.array([as_float(who, x) for x in array.flat]).reshape(array.shape)
    return bare(who, array)


def as_dtype(dtype, who: str) -> np.dtype:
    """np.dtype(dtype). Raises TypeError if NumPy does not know it, and for None, which NumPy takes for float64."""
    try:
        if dtype is not None:
            return np.dtype(dtype)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{who}: expected a dtype such as np.float32 or 'int64', got {shown(dtype)}")


def bare(who: str, array: np.ndarray) -> np.ndarray:
    """The array as a plain np.ndarray, not of a subclass: an np.matrix would multiply as a matrix.

    Raises TypeError for a masked array: its hidden values would become visible.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{who}: expected an array, got a masked one: fill in the hidden values with x.filled(value)")
    return array if type(array) is np.ndarray else array.view(np.ndarray)
