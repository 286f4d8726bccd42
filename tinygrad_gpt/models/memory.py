"""The memory of a model that reads a text in segments: for each block, what it was given for the last positions.

n_layer plain arrays (B, M, C), M <= mem_len, the oldest position first
"""

from collections.abc import Iterable

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.tensor import plain_array


def as_memory(memory, n_layer: int, rows: int, c: int, who: str, like: Array) -> list[Array]:
    """A memory as a list of plain arrays (B, M, C). `who` asks, for errors; `like` is an array of the model's. Raises
    ValueError for other shapes, TypeError for what is no list of arrays and for another dtype."""
    arrays = _arrays(memory, "memory")
    m = arrays[0].shape[1] if arrays and arrays[0].ndim == 3 else 0
    if len(arrays) != n_layer or any(array.shape != (rows, m, c) for array in arrays):
        got = ", ".join([str(tuple(array.shape)) for array in arrays]) or "none"
        raise ValueError(
            f"{who}: expected a memory of {n_layer} arrays (B, M, C) = ({rows}, M, {c}), got {got}: give what `read` "
            "returned for the same texts"
        )
    other = [array.dtype for array in arrays if array.dtype != like.dtype]
    if other:
        raise TypeError(
            f"{who}: expected a memory of {like.dtype}, as the model, got {other[0]}: give what it returned itself, or "
            "convert it with astype"
        )
    return arrays


def turned(mems) -> list[Array]:
    """n_layer of (M, B, C), transformers' mems -> of (B, M, C), a memory; or the other way round. Raises ValueError and
    TypeError as as_memory."""
    arrays = _arrays(mems, "mems")
    flat = [array.shape for array in arrays if array.ndim != 3]
    if flat:
        raise ValueError(f"mems: expected arrays (M, B, C), one for each layer, got one of shape {flat[0]}")
    return [array.swapaxes(0, 1) for array in arrays]


def _arrays(memory, name: str) -> list[Array]:
    if not isinstance(memory, Iterable):
        raise TypeError(f"{name}: expected a list or tuple of arrays, one for each layer, got {shown(memory)}")
    return [plain_array(array, name) for array in memory]


def remembered(before: Array, x: Array, mem_len: int) -> Array:
    """before (B, M, C), x (B, T, C) -> the last mem_len of [before; x], or all there are. An array of its own: no
    gradient goes back through it, and nothing that is written into x later changes it."""
    m, t = before.shape[1], x.shape[1]
    old, new = max(0, m + t - mem_len), max(0, t - mem_len)
    return np.concatenate([before[:, old:], x[:, new:]], axis=1)
