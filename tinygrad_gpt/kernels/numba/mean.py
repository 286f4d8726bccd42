"""Means over the last axes on the CPU: the sums of sum.py, divided (ops/mean.py, whose backward hardly computes)."""

from tinygrad_gpt.kernels.numba.sum import sum_over_last, why_not
from tinygrad_gpt.ops._shapes import count, normalize_axes
from tinygrad_gpt.ops.mean import Saved, backward

__all__ = ["backward", "forward", "why_not"]


def forward(x, *, axis=None, keepdims=False):
    axes = normalize_axes("mean", axis, x.ndim)
    return sum_over_last(x, axes, keepdims) / count(x.shape, axes), Saved(x.shape, axes)
