"""Softmax cross-entropy on the GPU, fused (ops/cross_entropy.py derives it).

Forward reads the logits once. Backward writes each gradient in one pass, over the logits themselves where nothing else
holds them: they are often the largest array of a model. The GPU counts the rows that are not ignored, and keeps the
count.

A target out of range makes the loss nan, and the gradient of its row: to raise an error, Python would have to wait.
"""

import cupy
import numpy as np

from tinygrad_gpt.kernels.cuda.machine.layout import contiguous, ids, not_ours, over_rows, pack, rows
from tinygrad_gpt.kernels.cuda.machine.source import load
from tinygrad_gpt.memory import nobody_else_holds


def why_not(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    return not_ours(logits)


def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    v = logits.shape[-1]
    z, t = rows(logits, v), ids(targets)  # (..., V) -> (R, V)
    r = len(z)
    loss, peak, total = cupy.empty((3, r), z.dtype)
    kernels = load("cross_entropy", z.dtype, PACK=pack(v, z), SMOOTHED=int(label_smoothing > 0))
    kernels.forward(*over_rows(r, v), z, t, ignore_index, float(label_smoothing), loss, peak, total, r, v)
    if reduction == "none":
        return loss.reshape(targets.shape), (logits, peak, total, t, None, ignore_index, label_smoothing)
    y, divisor = cupy.empty((), z.dtype), cupy.empty((), z.dtype)
    kernels.reduce(1, 1024, loss, t, ignore_index, reduction == "mean", y, divisor, r)
    return y, (logits, peak, total, t, divisor, ignore_index, label_smoothing)


def backward(dy, saved):
    may_overwrite = nobody_else_holds(saved, 0)
    logits, peak, total, t, divisor, ignore_index, label_smoothing = saved
    v = logits.shape[-1]
    z = rows(logits, v)  # (..., V) -> (R, V)
    dz = z if may_overwrite else np.empty_like(z)
    r = len(z)
    dy_step = 1 if divisor is None else 0  # dy (...), or one number for all rows, whose losses were summed
    kernels = load("cross_entropy", z.dtype, PACK=pack(v, z, dz), SMOOTHED=int(label_smoothing > 0))
    kernels.backward(
        *(*over_rows(r, v), contiguous(dy), dy_step, divisor),
        *(z, t, ignore_index, float(label_smoothing), peak, total, dz, r, v),
    )
    return dz.reshape(logits.shape), None
