"""GELU on the GPU, in one pass over memory each way (ops/gelu.py derives it)."""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.cuda._layout import THREADS, blocks_for, contiguous, not_ours
from tinygrad_gpt.kernels.cuda._source import load

VARIANTS = ({}, {"ROUNDED": 1, "dtypes": ("float32",)})  # that gelu.cu is compiled in; the second for gelu_linear.py


class Saved(NamedTuple):
    x: Array
    approximate: str


def why_not(x, *, approximate="tanh"):
    return not_ours(x)


def forward(x, *, approximate="tanh"):
    x = contiguous(x)
    y = np.empty_like(x)
    load("gelu", x.dtype).forward(blocks_for(x.size), THREADS, x, y, x.size, approximate == "none")
    return y, Saved(x, approximate)


def backward(dy, saved):
    x, approximate = saved
    dx = np.empty_like(x)
    load("gelu", x.dtype).backward(blocks_for(x.size), THREADS, contiguous(dy), x, dx, x.size, approximate == "none")
    return (dx,)
