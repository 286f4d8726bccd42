"""The gradients of attention. backward.cu explains the kernels."""

from functools import cache

import cupy
import numpy as np

from tinygrad_gpt.kernels.cuda.flash.shared import THREADS, Shape, adjacent, heads_last, row_length, scores, strided, up
from tinygrad_gpt.kernels.cuda.machine.layout import blocks_for
from tinygrad_gpt.ops._shapes import sum_to_shape


def backward(dy, saved):
    q, k, v, y, lse = saved[:5]
    (b, h, tq, d), tk = q.shape, k.shape[2]
    if tq == tk:
        dq, dk, dv = cupy.empty((b, tq, 3, h, d), q.dtype).transpose(2, 0, 3, 1, 4)  # (B, H, T, D) each
    else:
        dq, dk, dv = heads_last(q, b, tq, h, d), heads_last(k, b, tk, h, d), heads_last(k, b, tk, h, d)
    if y.size == 0 or tk == 0:
        for gradient in (dq, dk, dv):
            gradient.fill(0)
        return dq, dk, dv, None if saved.added is None else cupy.zeros(saved.added_shape, q.dtype)
    dy = adjacent(dy)
    shape = shape_of(saved.way, q.dtype.name, d)
    kernels = shape.kernels("flash/backward", saved, dy)
    dot = cupy.empty_like(lse)
    kernels.dy_dot_y(blocks_for(b * h * tq, THREADS // 32), THREADS, *strided(dy), y, b, h, tq, d, dot)
    arguments = (*strided(q, k, v, dy), *scores(saved), saved.scale, lse, dot)
    kernels.dk_dv(
        shape.blocks(tk) * b * h, THREADS, *arguments, dk, dv, row_length(dk),
        shared=_of_dk_dv(shape),
    )  # fmt: skip
    dq_shared = 2 * shape.straight + shape.turned
    ds = None if saved.added is None else cupy.zeros((b, h, tq, tk), q.dtype)
    kernels.dq(shape.blocks(tq) * b * h, THREADS, *arguments, dq, row_length(dq), ds, shared=dq_shared)
    return dq, dk, dv, None if ds is None else sum_to_shape(ds, saved.added_shape)


def _of_dk_dv(shape: Shape) -> int:
    """Bytes of shared memory, more than dq needs: for tiles of q and dy, and two numbers for each row."""
    return 2 * (shape.straight + shape.turned + shape.tile * np.dtype(shape.dtype).itemsize)


def most_shared_memory_of_backward(way: str, dtype: str, d: int) -> int:
    return _of_dk_dv(shape_of(way, dtype, d))


@cache
def shape_of(way: str, dtype: str, d: int) -> Shape:
    depth, rounded = up(d, 32), way == "BF16"
    if dtype == "float64":
        return Shape(way, dtype, depth)
    if depth > 64:
        return Shape(way, dtype, depth, columns=64 if depth > 128 else depth)
    return Shape(way, dtype, depth, 1, 64 if rounded else 32, depth, rounded, 2)
