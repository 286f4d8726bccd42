"""Attention on the GPU, without ever holding the (Tq, Tk) matrix of weights (ops/attention.py derives the gradients).

attention.cu and attention_backward.cu tell how, for many queries; attention_one_query.cu for a few, where a token at a
time is generated. Here it is decided how large tiles are, and arrays are found for the results.

float32 is multiplied on tensor cores, each number as the sum of two of TF32 (three products for one, "3xTF32"): what is
left out is 2⁻²² of a product, where float32 itself rounds by 2⁻²⁴, and it takes half the time of the units for float32.
GPUs without TF32, and float64, multiply by the common units.

q, k and v are read by their strides, where they are: views (B, H, T, D) of the (B, T, 3C) that one linear layer made. The
gradients are made as views of one (B, T, 3, H, D) in turn, the gradient of that layer's output, and y as a view of
(B, T, H, D): splitting and joining heads moves nothing.
"""

import math
from functools import cache
from typing import NamedTuple

import cupy
import numpy as np

from tinygrad_gpt.array import Array, LaterSeed, drop_threshold
from tinygrad_gpt.kernels.cuda import _cublas
from tinygrad_gpt.kernels.cuda._layout import blocks_for, not_ours
from tinygrad_gpt.kernels.cuda._source import Kernels, load, seed_arguments

LARGEST_HEAD = 256
THREADS = 128
FEW = 4  # queries, up to which a block for each is better than tiles of them
KEYS_OF_A_BLOCK = 256  # at least, where few queries look at keys
ENOUGH = 264  # blocks: two for each multiprocessor of the largest GPUs
WORD = {"FMA_UNITS": 1, "SPLIT_TF32": 1, "TF32": 1, "BF16": 2}  # numbers in a word of a tile (warp_matrix.cuh)


class Saved(NamedTuple):
    q: Array  # (B, H, Tq, D)
    k: Array  # (B, H, Tk, D)
    v: Array  # (B, H, Tk, D)
    y: Array  # (B, H, Tq, D)
    lse: Array  # (B, H, Tq)
    mask: Array | None  # (B, H, Tq, Tk)
    causal: bool
    scale: float
    dropout: float
    seed: int | LaterSeed
    way: str  # how products are computed: the name of a WAY of warp_matrix.cuh


def why_not(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    if mask is not None and mask.dtype != bool:
        return "the gradient of an added mask has no kernel"
    if q.shape[-1] > LARGEST_HEAD:
        return f"made for heads of up to {LARGEST_HEAD} channels, not {q.shape[-1]}"
    if scale is not None and not 0 < scale < math.inf:
        return f"made for a scale above 0, not {scale}"
    return not_ours(q, k, v)


def why_not_rounded(precision: str, q, k, v, mask, settings: dict) -> str | None:
    """Why a version that rounds, tf32 or bfloat16, does not take these, or None."""
    if q.shape[2] <= FEW:
        return "few queries read each key once, which rounding it would do alone"
    return _cublas.why_not_rounded(precision, q, k, v) or why_not(q, k, v, mask, **settings)


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    if q.dtype == np.float64 or _cublas.missing():
        way = "FMA_UNITS"
    else:
        way = "SPLIT_TF32"
    return forward_by(way, q, k, v, mask, causal=causal, scale=scale, dropout=dropout, seed=seed)


def forward_by(way: str, q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    """`forward`, with products computed in the `way` of this name."""
    b, h, tq, d = q.shape
    tk = k.shape[2]
    q, k, v = _adjacent(q), _adjacent(k), _adjacent(v)
    if mask is not None:
        mask = cupy.broadcast_to(cupy.asarray(mask), (b, h, tq, tk))
    y, lse = _heads_last(q, b, tq, h, d), cupy.empty((b, h, tq), q.dtype)
    scale = 1 / math.sqrt(d) if scale is None else float(scale)
    saved = Saved(q, k, v, y, lse, mask, causal, scale, dropout, seed, way)
    if y.size == 0:
        return y, saved
    if tk == 0:
        y.fill(0)
    elif tq <= FEW and dropout == 0:
        _few_queries(saved)
    else:
        shape = _forward_shape(way, q.dtype, d)
        kernels = _kernels("attention", shape, q, k, v)
        kernels.forward(
            shape.blocks(tq) * b * h, THREADS, *_strided(q, k, v), *_scores(saved), scale, y, lse,
            shared=shape.straight + shape.turned,
        )  # fmt: skip
    return y, saved


def _few_queries(saved: Saved) -> None:
    q, k, v, y, lse = saved[:5]
    (b, h, tq, d), tk = q.shape, k.shape[2]
    most = max(1, ENOUGH // (b * h * tq))
    keys = max(KEYS_OF_A_BLOCK, -(-tk // most))  # for each block
    parts = -(-tk // keys)
    shape = Shape("FMA_UNITS", q.dtype, d)
    kernels = _kernels("attention_one_query", shape, q, k, v)
    states = cupy.empty((b * h * tq, parts, shape.depth + 2), q.dtype) if parts > 1 else None
    arguments = (*_strided(q, k, v), *_scores(saved), saved.scale, y, lse, states, keys)
    kernels.attend(b * h * tq * parts, THREADS, *arguments)
    if parts > 1:
        kernels.merge(b * h * tq, THREADS, states, parts, h, tq, y, lse)


def backward(dy, saved):
    q, k, v, y, lse = saved[:5]
    (b, h, tq, d), tk = q.shape, k.shape[2]
    if tq == tk:
        dq, dk, dv = cupy.empty((b, tq, 3, h, d), q.dtype).transpose(2, 0, 3, 1, 4)  # (B, H, T, D) each
    else:
        dq, dk, dv = _heads_last(q, b, tq, h, d), _heads_last(k, b, tk, h, d), _heads_last(k, b, tk, h, d)
    if y.size == 0 or tk == 0:
        for gradient in (dq, dk, dv):
            gradient.fill(0)
        return dq, dk, dv, None
    dy = _adjacent(dy)
    shape = _backward_shape(saved.way, q.dtype, d)
    kernels = _kernels("attention_backward", shape, q, k, v, dy)
    dot = cupy.empty_like(lse)
    kernels.dy_dot_y(blocks_for(b * h * tq, THREADS // 32), THREADS, *_strided(dy), y, b, h, tq, dot)
    arguments = (*_strided(q, k, v, dy), *_scores(saved), saved.scale, lse, dot)
    kernels.dk_dv(
        shape.blocks(tk) * b * h, THREADS, *arguments, dk, dv, _row(dk),
        shared=2 * (shape.straight + shape.turned + shape.tile * q.itemsize),
    )  # fmt: skip
    kernels.dq(
        shape.blocks(tq) * b * h, THREADS, *arguments, dq, _row(dq), shared=2 * shape.straight + shape.turned
    )
    return dq, dk, dv, None


# --- sizes -------------------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """What a kernel is compiled for: the macros of warp_matrix.cuh."""

    way: str
    dtype: np.dtype
    d: int
    rows: int = 1  # times 16: rows of the result for each warp
    tile: int = 32  # rows of the other side in shared memory at a time
    columns: int = 32  # of the result, for each block
    keep: bool = False  # the left operand in registers
    per_processor: int = 1  # blocks that a multiprocessor is to hold at a time: a limit for registers

    @property
    def depth(self) -> int:
        return _up(self.d, 32)

    @property
    def straight(self) -> int:
        """Bytes of a tile as it lies."""
        return self.tile * self._row_bytes(self.depth)

    @property
    def turned(self) -> int:
        return self.columns * self._row_bytes(self.tile)

    def _row_bytes(self, numbers: int) -> int:
        return _up(numbers * self.dtype.itemsize // WORD[self.way], 128)

    def blocks(self, t: int) -> int:
        """For T rows of one head's result."""
        return -(-t // (self.rows * 16 * (THREADS // 32))) * -(-self.depth // self.columns)


# What follows was chosen so that nvcc needs no more registers than there are (-Xptxas -v shows no spills).


@cache
def _forward_shape(way: str, dtype: np.dtype, d: int) -> Shape:
    depth = _up(d, 32)
    if dtype == np.float64:
        return Shape(way, dtype, d, columns=min(depth, 64))
    if depth > 128:
        return Shape(way, dtype, d, columns=128)
    if depth > 64:
        return Shape(way, dtype, d, 1, 64 if way == "BF16" else 32, depth, way == "BF16", 2)
    return Shape(way, dtype, d, 2, 64 if way == "BF16" else 32, depth, way in ("BF16", "TF32"), 2)


@cache
def _backward_shape(way: str, dtype: np.dtype, d: int) -> Shape:
    depth = _up(d, 32)
    if depth > 64 or dtype == np.float64:
        return Shape(way, dtype, d, columns=64 if depth > 128 or dtype == np.float64 else depth)
    return Shape(way, dtype, d, 1, 64 if way == "BF16" else 32, depth, way == "BF16", 2)


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


# --- arguments ---------------------------------------------------------------------------------------------------


def _kernels(name: str, shape: Shape, *arrays: Array) -> Kernels:
    return load(
        name,
        shape.dtype,
        also=("tensor_core", "warp_matrix", "attention_scores"),
        WAY=shape.way,
        D=shape.d,
        ROWS=shape.rows,
        TILE=shape.tile,
        COLUMNS=shape.columns,
        KEEP=int(shape.keep),
        BLOCKS=shape.per_processor,
        THREADS=THREADS,
        VECTOR=int(shape.d % 4 == 0 and all(_is_aligned(x) for x in arrays)),
    )


def _is_aligned(x: Array) -> bool:
    """Whether each row of x (B, H, T, D) begins at a multiple of 16 bytes."""
    return x.data.ptr % 16 == 0 and all(stride % 16 == 0 for stride in x.strides[:3])


def _strided(*arrays: Array) -> list:
    """Each array (B, H, T, D), and how many elements further the next sequence, head and row begin."""
    return [part for x in arrays for part in (x, *(stride // x.itemsize for stride in x.strides[:3]))]


def _scores(saved: Saved) -> tuple:
    """SCORES_PARAMETERS of attention_scores.cuh."""
    mask, dropout = saved.mask, saved.dropout
    strides = (0, 0, 0, 0) if mask is None else mask.strides
    threshold = drop_threshold(dropout)
    _, h, tq, _ = saved.q.shape
    return (
        mask, *strides, int(saved.causal), threshold, 1 / (1 - dropout), *seed_arguments(saved.seed), h, tq,
        saved.k.shape[2],
    )  # fmt: skip


def _adjacent(x: Array) -> Array:
    """x (B, H, T, D) itself if the elements of each row are adjacent in memory, and rows not too far apart for 32 bits
    to count; else a copy."""
    near = abs(x.strides[2]) < 1 << 26
    return x if x.strides[3] == x.itemsize and near else cupy.ascontiguousarray(x)


def _heads_last(like: Array, *shape: int) -> Array:
    """An empty array (..., T, H, D), seen as (..., H, T, D)."""
    return cupy.empty(shape, like.dtype).swapaxes(-2, -3)


def _row(x: Array) -> int:
    """From one row of x (B, H, T, D) to the next, in elements."""
    return x.strides[2] // x.itemsize
