"""Dropout on the GPU in one pass: each element's random bits are computed where they are needed (ops/dropout.py)."""

import numpy as np

from tinygrad_gpt.kernels.cuda.machine.layout import THREADS, blocks_for, contiguous, not_ours, pack
from tinygrad_gpt.kernels.cuda.machine.source import load, seed_arguments
from tinygrad_gpt.random_stream import LaterSeed, drop_threshold


def why_not(x, *, p, seed):
    return not_ours(x)


def forward(x, *, p, seed):
    return _keep_or_drop(x, p, seed), (p, seed)


def backward(dy, saved):
    # y = keep * x / (1 - p)
    return (_keep_or_drop(dy, *saved),)


def _keep_or_drop(x, p: float, seed: int | LaterSeed):
    flat = contiguous(x)
    y = np.empty_like(flat)
    at_once = pack(x.size, flat, y)
    load("dropout", x.dtype, PACK=at_once).keep_or_drop(
        *(blocks_for(x.size, THREADS * at_once), THREADS),
        *(flat, y, x.size, *seed_arguments(seed), drop_threshold(p), 1 / (1 - p)),
    )
    return y.reshape(x.shape)
