"""Look up rows of a table: y = weight[ids].

    ids     (...)    integers in 0 .. V-1, any integer dtype
    weight  (V, C)   one row for each of V symbols
    y       (..., C)

It is the product of one-hot rows with the table, without the multiplications by 0. dweight follows from that, or from
counting paths: row v was copied to every place where ids is v, so its gradient is the sum of dy over those places,
and 0 if it was not used. ids are not differentiable; a copy of them is saved, since dweight belongs to the rows that
were looked up, whatever is written into the batch before backward.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, check_ids
from tinygrad_gpt.sparse_rows import scatter_add


class Saved(NamedTuple):
    ids: Array  # (...) int64, a copy
    weight_shape: tuple[int, int]


def check(ids, weight):
    """Raises TypeError for ids that are not integers, ValueError unless weight is (V, C), IndexError for a bad id."""
    check_floats("embedding", weight)
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected weight of shape (V, C), got {weight.shape}")
    check_ids("embedding", "ids", ids, weight.shape[0])


def forward(ids, weight):
    ids = ids.astype(np.int64)
    return weight[ids], Saved(ids, weight.shape)  # (...) -> (..., C)


def backward(dy, saved):
    ids, (v, c) = saved
    dweight = np.zeros_like(dy, shape=(v, c))
    # y = weight[ids]
    scatter_add(dweight, ids.reshape(-1), dy.reshape(ids.size, c))  # (...) and (..., C) -> (R,) and (R, C)
    return None, dweight
