"""Attention on the GPU, without ever holding the (Tq, Tk) matrix of weights (ops/attention.py derives the gradients).

attention.cu explains the kernel for many queries, flash/one_query.cu those for a few, when one token at a time is
generated, and flash/backward.cu those for the gradients. Each has a Python file beside it.

float32 is multiplied on tensor cores, each number as the sum of two TF32 numbers (three products for one, "3xTF32").
What this leaves out is 2⁻²² of a product, where float32 itself rounds by 2⁻²⁴. float64, and GPUs without TF32, multiply
on the ordinary cores. In tf32 and bfloat16, q, k, v, dy, the weights and dS are rounded, each when it goes into a
product. All arrays are float32, and so are the scores, the sums of weights and what products are added up in.

Arrays lie as in kernels/numba/attention.py: splitting and joining heads moves nothing. For the gradient of a mask that
is added, and only for it, there is a dS (B, H, Tq, Tk), which is then summed to the mask's shape.
"""

import math
from functools import cache

import cupy
import numpy as np

from tinygrad_gpt.devices import most_shared_memory
from tinygrad_gpt.kernels.cuda.flash.backward import backward, most_shared_memory_of_backward
from tinygrad_gpt.kernels.cuda.flash.one_query import FEW, few_queries
from tinygrad_gpt.kernels.cuda.flash.shared import THREADS, Saved, Shape, adjacent, heads_last, scores, strided, up
from tinygrad_gpt.kernels.cuda.machine import cublas
from tinygrad_gpt.kernels.cuda.machine.layout import not_ours

__all__ = ["backward", "forward", "why_not"]

LARGEST_HEAD = 256


def why_not(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    if q.shape[-1] > LARGEST_HEAD:
        return f"made for heads of up to {LARGEST_HEAD} channels, not {q.shape[-1]}"
    if scale is not None and not 0 < scale < math.inf:
        return f"made for a scale above 0, not {scale}"
    added = mask if mask is not None and mask.dtype != bool else None
    return not_ours(q, k, v, added) or _no_room(way_in("float32", q), q)


def why_not_rounded(q, k, v, mask=None, **settings) -> str | None:
    return "few queries read each key once, which rounding it would do alone" if q.shape[2] <= FEW else None


def way_in(precision, q) -> str:
    """How products in this precision are computed: the name of a WAY of warp_matrix.cuh."""
    if precision == "float32":  # q's own dtype
        return "FMA_UNITS" if q.dtype == np.float64 or cublas.missing() else "SPLIT_TF32"
    return {"tf32": "TF32", "bfloat16": "BF16"}[precision]


def _no_room(way: str, q) -> str | None:
    """Why tiles of q's heads do not fit into a multiprocessor, or None. (Ways that round need no larger ones.)"""
    what = way, q.dtype.name, q.shape[3]
    need, have = max(shared_memory(shape_of(*what)), most_shared_memory_of_backward(*what)), most_shared_memory()
    return f"takes {need} bytes of shared memory, of which a block has {have} here" if need > have else None


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0, precision="float32"):
    """precision: of the products, "tf32", "bfloat16", or "float32" for those of q's own dtype."""
    b, h, tq, d = q.shape
    tk, way = k.shape[2], way_in(precision, q)
    q, k, v = adjacent(q), adjacent(k), adjacent(v)
    added, added_shape = None, ()
    if mask is not None and mask.dtype != bool:
        added, added_shape, mask = cupy.broadcast_to(mask, (b, h, tq, tk)), mask.shape, None
    elif mask is not None:
        mask = cupy.broadcast_to(cupy.asarray(mask).copy(), (b, h, tq, tk))  # backward computes the scores again
    y, lse = heads_last(q, b, tq, h, d), cupy.empty((b, h, tq), q.dtype)
    scale = 1 / math.sqrt(d) if scale is None else float(scale)
    saved = Saved(q, k, v, y, lse, mask, added, causal, scale, dropout, seed, way, added_shape)
    if y.size == 0:
        return y, saved
    if tk == 0:
        y.fill(0)
    elif tq <= FEW and dropout == 0:
        few_queries(saved)
    else:
        shape = shape_of(way, q.dtype.name, d)
        kernels = shape.kernels("attention", saved)
        kernels.forward(
            shape.blocks(tq) * b * h, THREADS, *strided(q, k, v), *scores(saved), scale, y, lse,
            shared=shared_memory(shape),
        )  # fmt: skip
    return y, saved


def shared_memory(shape: Shape) -> int:
    return shape.straight + shape.turned


@cache
def shape_of(way: str, dtype: str, d: int) -> Shape:
    depth, rounded = up(d, 32), way == "BF16"
    if dtype == "float64":
        return Shape(way, dtype, depth, columns=min(depth, 64))
    if depth > 128:
        return Shape(way, dtype, depth, columns=128)
    if depth > 64:
        return Shape(way, dtype, depth, 1, 64 if rounded else 32, depth, rounded, 2)
    return Shape(way, dtype, depth, 2, 64 if rounded else 32, depth, rounded, 2)
