"""GELU on the GPU, in one pass over memory each way (ops/gelu.py derives it)."""

import numpy as np

from tinygrad_gpt.kernels.cuda.machine.layout import THREADS, blocks_for, contiguous, not_ours, pack
from tinygrad_gpt.kernels.cuda.machine.source import load


def why_not(x, *, approximate="none"):
    return not_ours(x)


def forward(x, *, approximate="none"):
    x = contiguous(x)
    y = np.empty_like(x)
    at_once = pack(x.size, x, y)
    kernels = load("gelu", x.dtype, PACK=at_once)
    kernels.forward(blocks_for(x.size, THREADS * at_once), THREADS, x, y, x.size, approximate == "none")
    return y, (x, approximate)


def backward(dy, saved):
    x, approximate = saved
    dy, dx = contiguous(dy), np.empty_like(x)
    at_once = pack(x.size, x, dy, dx)
    kernels = load("gelu", x.dtype, PACK=at_once)
    kernels.backward(blocks_for(x.size, THREADS * at_once), THREADS, dy, x, dx, None, x.size, approximate == "none")
    return (dx,)
