"""Attention of few queries to many keys, for generating one token at a time. one_query.cu explains the kernels."""

import cupy

from tinygrad_gpt.kernels.cuda.flash.shared import THREADS, Saved, Shape, scores, strided, up

FEW = 4  # queries, up to which a block for each is better than tiles of them
KEYS_OF_A_BLOCK = 256  # at least
ENOUGH = 264  # blocks: two for each multiprocessor of the largest GPUs


def few_queries(saved: Saved) -> None:
    """Fill in saved.y and saved.lse. The number of blocks depends on shapes alone, and so does the result."""
    q, k, v, y, lse = saved[:5]
    (b, h, tq, d), tk = q.shape, k.shape[2]
    most = max(1, ENOUGH // (b * h * tq))
    keys = max(KEYS_OF_A_BLOCK, -(-tk // most))  # for each block
    parts = -(-tk // keys)
    shape = shape_of(q.dtype.name, d)
    kernels = shape.kernels("flash/one_query", saved)
    states = cupy.empty((b * h * tq, parts, shape.depth + 2), q.dtype) if parts > 1 else None
    arguments = (*strided(q, k, v), *scores(saved), saved.scale, y, lse, states, keys)
    kernels.attend(b * h * tq * parts, THREADS, *arguments)
    if parts > 1:
        kernels.merge(b * h * tq, THREADS, states, parts, h, tq, d, y, lse)


def shape_of(dtype: str, d: int) -> Shape:
    return Shape("FMA_UNITS", dtype, up(d, 32))
