"""Matrix product: y = a @ b, over batches of matrices with broadcasting.

    a  (..., M, K), or (K,)
    b  (..., K, N), or (K,)
    y  (..., M, N), the leading axes broadcast; without M where a is a vector, without N where b is one

For single matrices y_mn = Σ_k a_mk b_kn. a_mk is in every y of row m, with slope b_kn, and b_kn in every y of column n,
with slope a_mk:

    da_mk = Σ_n dy_mn b_kn    that is  da = dy @ bᵀ   (M, N) @ (N, K)
    db_kn = Σ_m a_mk dy_mn    that is  db = aᵀ @ dy   (K, M) @ (M, N)

(The shapes alone leave no other choice.) A batch axis that was broadcast is summed, and a vector is treated as a matrix
of one row (a) or one column (b).
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, sum_to_shape


class Saved(NamedTuple):
    a: Array
    b: Array


def check(a, b):
    """Raises TypeError for integers, ValueError for 0-d arrays and shapes that don't fit."""
    check_floats("matmul", a, b)
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0] if b.ndim else None
    fits = a.ndim > 0 and a.shape[-1] == inner
    if fits:
        try:
            np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            fits = False
    if not fits:
        raise ValueError(
            f"matmul: expected shapes (..., M, K) and (..., K, N), leading axes equal or 1, got {a.shape} and {b.shape}"
        )


def forward(a, b):
    return a @ b, Saved(a, b)


def backward(dy, saved):
    a, b = saved
    a_rows = a.reshape(1, -1) if a.ndim == 1 else a  # (K,) -> (1, K)
    b_columns = b.reshape(-1, 1) if b.ndim == 1 else b  # (K,) -> (K, 1)
    if b.ndim == 1:
        dy = dy[..., None]  # (..., M) -> (..., M, 1)
    if a.ndim == 1:
        dy = dy[..., None, :]  # (..., N) -> (..., 1, N)
    # y = a @ b
    da = dy @ b_columns.swapaxes(-1, -2)  # (..., M, N) @ (..., N, K) -> (..., M, K)
    db = a_rows.swapaxes(-1, -2) @ dy  # (..., K, M) @ (..., M, N) -> (..., K, N)
    return sum_to_shape(da, a_rows.shape).reshape(a.shape), sum_to_shape(db, b_columns.shape).reshape(b.shape)
