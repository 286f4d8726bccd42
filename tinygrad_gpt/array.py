"""Arrays: what they may hold, where they live, and how random ones are made.

Everything above this file works on "an array" and lets the array decide: `np.exp(x)` runs NumPy's code for a NumPy
array and CuPy's for a CuPy array. What cannot be decided that way (creating an array from nothing, random numbers,
bringing one home to NumPy) is here.
"""

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.arguments import as_dtype, bare, integer, numeric_array, shown
from tinygrad_gpt.devices import Device, compute_capability, device, is_device_name, most_shared_memory

# What devices.py has to say, under the name where one looks for it
__all__ = ["compute_capability", "device", "most_shared_memory"]

Array = np.ndarray  # for annotations: a NumPy array, or any array that answers to NumPy's functions as CuPy's do

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

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


def is_array(x) -> bool:
    """True for NumPy arrays and for arrays that stand in for them (CuPy's), not for scalars, lists or Tensors."""
    return isinstance(x, np.ndarray) or hasattr(x, "__array_function__")


def is_float(x) -> bool:
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
    """`x` as a NumPy array: itself, or a copy brought home from the GPU."""
    return Device("cpu").bring(x)


def converted(x: Array, to) -> Array:
    """x on another device ("cpu", "cuda", "auto", a Device), or of another dtype (float32, float64).

    Raises TypeError for what is neither, ValueError and UserError as `device` does.
    """
    if is_device_name(to):
        return device(to).bring(x)
    with suppress(TypeError):
        if as_dtype(to, "to") in FLOATS:
            return x.astype(to, copy=False)
    raise TypeError(f"to: expected float32, float64 or a device (cpu, cuda, auto), got {shown(to)}")


def at_hand(x: Array) -> Array:
    """x, if its values can be looked at for nothing; else none of it, a view without elements.

    To look at an array on the GPU is to wait until all is computed that was asked for so far. So the checks of ids,
    which look at values, look at this: ids that come from the CPU, as batches do, are checked, others are not.
    """
    return x[np.newaxis][:0] if place(x) == "cuda" else x


def together(op: str, arrays: tuple) -> tuple:
    """The inputs of an op, all of them where its floats are: integers and booleans follow from the CPU to the GPU, as
    batches do to the model. None stays None.

    Raises TypeError for floats on both, of which one side should have been moved long before.
    """
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


def scatter_add(target: Array, index, values: Array) -> None:
    """target[index] += values, in place, where an element that `index` names k times gets the sum of its k values.

    (`target[index] += values` itself would add only the last of them.) On the GPU they are added in any order, so that
    where k > 1 the last bits may differ from run to run; embedding's own kernel keeps to one order.

    Raises IndexError for an index out of range. (CuPy wraps it round.)
    """
    by_rows = isinstance(target, np.ndarray) and is_array(index) and index.ndim == 1 and index.dtype.kind in "iu"
    if by_rows and index.size > 0 and len(index) == len(values):
        n = len(target)
        if int(index.min()) < -n or int(index.max()) >= n:
            raise IndexError(f"scatter_add: expected rows in {-n} .. {n - 1}, got {index.min()} .. {index.max()}")
        # Sort the rows so that equal ones are neighbours, and sum each run: np.add.at is up to three times slower.
        rows = index.astype(np.intp) % n  # index's own dtype may be too small for the length
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
        target[rows[starts]] += np.add.reduceat(values[order], starts, axis=0)
    else:
        np.add.at(target, index, values)


class Rows:
    """An array (N, C) that is zero but for a few rows: what a table's gradient is when few of its rows were looked up.

    ids     integers (R,): which row each of `values` belongs to; one that comes k times gets the sum of its k values
    values  (R, C)
    n       how many rows the whole array has; every id is below it

    Where there is a gradient already, it is added to that without making the whole array: a vocabulary of 50257 rows
    of 768 is 154 MB of zeros, to be written and read again.
    """

    def __init__(self, ids: Array, values: Array, n: int, scatter_add=scatter_add):
        self.ids, self.values, self.scatter_add = ids, values, scatter_add
        self.shape, self.dtype = (n, values.shape[1]), values.dtype

    def add_to(self, target: Array) -> None:
        """target += this. Raises ValueError for a target of another shape or dtype."""
        if target.shape != self.shape or target.dtype != self.dtype:
            raise ValueError(
                f"expected {self.dtype}{self.shape} to add rows to, got {target.dtype}{tuple(target.shape)}"
            )
        self.scatter_add(target, self.ids, self.values)

    def whole(self) -> Array:
        """The array itself, zeros and all."""
        target = np.zeros_like(self.values, shape=self.shape)
        self.add_to(target)
        return target


def whole(x):
    """`x` itself, or for Rows the whole array."""
    return x.whole() if isinstance(x, Rows) else x


# --- memory ------------------------------------------------------------------------------------------------------


def owner(x):
    """The array whose memory x shows: x itself, or what x is a view of. (None for None.)"""
    while getattr(x, "base", None) is not None:
        x = x.base
    return x


def shows_all(x: Array) -> bool:
    """Whether x, or the array that it is a view of, is NumPy's or CuPy's and x shows each of its elements once, so that
    to write to x is to write to the whole."""
    mine = owner(x)
    return place(mine) != "elsewhere" and mine.size == x.size and _is_writeable(x)


def _is_writeable(x: Array) -> bool:
    """False where elements of x may be one in memory, as where one number is broadcast to many. NumPy marks those as
    read-only, CuPy leaves it to their strides to tell."""
    return x.flags.writeable if isinstance(x, np.ndarray) else 0 not in x.strides


_example = (np.empty(0),)
_ONE_HOLDER = sys.getrefcount(_example[0])  # the tuple, and what the call itself adds


def nobody_else_holds(saved: tuple, i: int) -> bool:
    """Whether the memory of saved[i] can be reached through the tuple `saved` alone, so that it may be written over.

    Python counts the references to every object, and views, NumPy's and CuPy's, refer to the array that owns their
    memory. So a Tensor, a view or another op that still has this memory shows in the counts. Ask before taking saved[i]
    out of the tuple, which is one more reference. False for other arrays.
    """
    if place(saved[i]) == "elsewhere" or sys.getrefcount(saved[i]) != _ONE_HOLDER:
        return False
    if saved[i].base is None:
        return _is_writeable(saved[i])
    is_view_of_all = place(saved[i].base) != "elsewhere" and saved[i].base.base is None
    return is_view_of_all and sys.getrefcount(saved[i].base) == _ONE_HOLDER and _is_writeable(saved[i])


def address(x: Array) -> int:
    """Where in memory, the CPU's or the GPU's, the first element of x lies."""
    return x.__array_interface__["data"][0] if isinstance(x, np.ndarray) else x.data.ptr


def joined(pieces, axis: int) -> Array:
    """np.concatenate(pieces, axis); without copying, as a view, where the pieces lie in one array as its cuts would.

    pieces  arrays of one dtype that are alike in every axis but `axis`, which counts from 0
    """
    first, *rest = pieces
    whole, strides = getattr(first, "base", None), first.strides
    if place(whole) == "elsewhere" or not whole.flags.c_contiguous or whole.dtype != first.dtype:
        return np.concatenate(pieces, axis=axis)
    start, length = address(first), first.shape[axis]
    for piece in rest:
        expected = start + length * strides[axis]
        if piece.base is not whole or piece.strides != strides or address(piece) != expected:
            return np.concatenate(pieces, axis=axis)
        length += piece.shape[axis]
    # Together they should be one stretch of `whole`: seen from the axis that is slowest in memory to the quickest,
    # rows upon rows without a gap.
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    order = sorted(range(first.ndim), key=lambda i: -strides[i])
    size = 1
    for i in reversed(order):
        if shape[i] != 1 and strides[i] != size * first.itemsize:
            return np.concatenate(pieces, axis=axis)
        size *= shape[i]
    begin = (start - address(whole)) // first.itemsize
    stretch = whole.reshape(-1)[begin : begin + size].reshape([shape[i] for i in order])
    return stretch.transpose([order.index(i) for i in range(first.ndim)])


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory in the process instead of giving it back to the system.

    A training step frees and asks for the same large arrays again and again. By default each one is mapped afresh, and
    the kernel zeroes every page of it on first touch (20 % of a small model's step). Does nothing outside glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_mmap_threshold = -1, -3  # mallopt(3)
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, 1 << 30)


# --- random numbers ----------------------------------------------------------------------------------------------
#
# Two kinds. Weights are drawn once, by NumPy's generator. Dropout is drawn twice, in forward and again in backward, so
# that no mask is stored: that needs a generator whose n-th number can be computed from n alone.

_GAMMA, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

_random_state = {"seed": 0, "drawn": 0}
_drawing = threading.Lock()
_is_drawing = True


def manual_seed(seed: int) -> None:
    """Start the package's random numbers over from `seed` (0 <= seed < 2**63)."""
    seed = integer("manual_seed", "seed", seed)
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"manual_seed: expected 0 <= seed < 2**63, got {shown(seed)}")
    _random_state.update(seed=seed, drawn=0)


def random_state() -> dict[str, int]:
    """The whole state of the package's random numbers: the seed, and how many were drawn. Two integers, so that a
    checkpoint can hold it as JSON."""
    return dict(_random_state)


def set_random_state(state: dict[str, int]) -> None:
    """Go on from a state that `random_state` returned."""
    _random_state.update(seed=int(state["seed"]), drawn=int(state["drawn"]))


class LaterSeed(NamedTuple):
    """A seed that is not drawn yet, for work on a GPU that is recorded now and done later (kernels/cuda/_replay.py).

    place  (1,) uint64 on the GPU, where it will stand by then
    """

    place: Array


_later: tuple[Array, int] | None = None  # inside later_seeds: the places, and how many seeds had been drawn before


@contextmanager
def later_seeds(places: Array) -> Iterator[None]:
    """Inside this block the n-th call of `next_seed`, from 0, gives a LaterSeed at places[n]."""
    global _later
    _later = places, _random_state["drawn"]
    try:
        yield
    finally:
        _later = None


def next_seed() -> "int | LaterSeed":
    """A fresh 63-bit seed from the package's stream, for one use of `random_bits` or of NumPy's generator.

    Raises RuntimeError inside `later_seeds` when there are no more places.
    """
    with _drawing:  # no two threads get the same
        _random_state["drawn"] += 1
        drawn = _random_state["drawn"]
    if _later is not None:
        places, before = _later
        n = drawn - before
        if n > len(places):
            raise RuntimeError(f"next_seed: a recorded step draws at most {len(places)} seeds")
        return LaterSeed(places[n - 1 : n])
    z = (_random_state["seed"] + drawn * _GAMMA) % (1 << 64)
    z = ((z ^ (z >> 30)) * _MIX1) % (1 << 64)
    z = ((z ^ (z >> 27)) * _MIX2) % (1 << 64)
    return (z ^ (z >> 31)) >> 1


@contextmanager
def without_drawing() -> Iterator[None]:
    """Inside this block `normal` draws nothing, and what its arrays hold is left to chance: for a model whose weights
    come from a file. Memory that is not written to takes no room yet."""
    global _is_drawing
    before, _is_drawing = _is_drawing, False
    try:
        yield
    finally:
        _is_drawing = before


def is_drawing() -> bool:
    """False inside `without_drawing`, where there is nothing to scale either."""
    return _is_drawing


def normal(shape: tuple[int, ...], std: float = 1.0, dtype=None) -> np.ndarray:
    """Normally distributed array of mean 0 and the given standard deviation, from the package's stream."""
    if not _is_drawing:
        return np.empty(shape, dtype or _default_dtype)
    draw = np.random.default_rng(next_seed()).standard_normal(shape)
    return (std * draw).astype(dtype or _default_dtype)


def random_bits(seed: "int | LaterSeed", shape: tuple[int, ...], like: Array) -> Array:
    """24 random bits for each element of an array of `shape`, as uint64; element n depends on (seed, n) alone.

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 17): the n-th
    output is a bijective mixing of seed + n * gamma, so that a kernel can compute any element at any time and in any
    order. `like` decides the kind of array.
    """
    n = int(np.prod(shape))
    start = seed.place if isinstance(seed, LaterSeed) else np.uint64(seed)
    z = np.arange(1, n + 1, dtype=np.uint64, like=like) * np.uint64(_GAMMA) + start
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX2)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).reshape(shape)


def drop_threshold(p: float) -> int:
    """The least value of 24 random bits at which dropout with probability `p` keeps an element."""
    return round(p * (1 << 24))


def keep_mask(seed: int, shape: tuple[int, ...], p: float, like: Array) -> Array:
    """Boolean array of `shape`: True (keep) with probability 1 - p, the same for the same seed."""
    return random_bits(seed, shape, like) >= np.uint64(drop_threshold(p))
