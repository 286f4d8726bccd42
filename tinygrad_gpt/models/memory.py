"""The memory of a model that reads a text in segments: for each block, what it was given for the last positions.

n_layer plain arrays (B, M, C), M <= mem_len, the oldest position first
"""

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.tensor import plain_array


def as_memory(memory, n_layer: int, rows: int, c: int, who: str) -> list[Array]:
    """A memory as a list of plain arrays (B, M, C). `who` asks, for errors. Raises ValueError for other shapes."""
    arrays = [plain_array(array, "memory") for array in memory]
    m = arrays[0].shape[1] if arrays and arrays[0].ndim == 3 else 0
    if len(arrays) != n_layer or any(array.shape != (rows, m, c) for array in arrays):
        got = ", ".join([str(tuple(array.shape)) for array in arrays]) or "none"
        raise ValueError(
            f"{who}: expected a memory of {n_layer} arrays (B, M, C) = ({rows}, M, {c}), got {got}: give what `read` "
            "returned for the same texts"
        )
    return arrays


def remembered(before: Array, x: Array, mem_len: int) -> Array:
    """before (B, M, C), x (B, T, C) -> the last mem_len of [before; x], or all there are. An array of its own: no
    gradient goes back through it, and nothing that is written into x later changes it."""
    m, t = before.shape[1], x.shape[1]
    old, new = max(0, m + t - mem_len), max(0, t - mem_len)
    return np.concatenate([before[:, old:], x[:, new:]], axis=1)
