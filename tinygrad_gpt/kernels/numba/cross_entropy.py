"""Softmax cross-entropy on the CPU, fused (ops/cross_entropy.py derives it).

Each row of logits is read twice in forward, for its maximum and for its sum of exponentials, and stays in the cache in
between: a vocabulary of 50257 takes 200 kB. Saved is one number a row, its log-sum-exp; backward writes each gradient
in one pass, p - q scaled by the row's dy, and over the logits themselves where nobody else holds them any more: they
are often the largest array of a model.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from tinygrad_gpt.array import Array, nobody_else_holds
from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import not_ours, rows
from tinygrad_gpt.kernels.numba._vector_math import exp, row_max

_threads.start()


class Saved(NamedTuple):
    logits: Array  # (..., V)
    lse: Array  # (R,)
    targets: Array  # (R,) int64, -1 where ignored
    count: int  # how many rows are not ignored
    label_smoothing: float
    reduction: str


def why_not(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    if not isinstance(targets, np.ndarray):
        return f"{type(targets).__name__} is not a NumPy array"
    return not_ours(logits)


def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    z = rows(logits, logits.shape[-1])  # (..., V) -> (R, V)
    counts = targets.reshape(-1) != ignore_index
    t = np.where(counts, targets.reshape(-1).astype(np.int64), -1)  # widened first: -1 is no unsigned number
    loss, lse = np.empty((2, len(z)), z.dtype)
    _forward(z, t, label_smoothing, loss, lse)
    count = int(np.count_nonzero(counts))
    saved = Saved(logits, lse, t, count, label_smoothing, reduction)
    if reduction == "none":
        return loss.reshape(targets.shape), saved
    total = loss.sum(dtype=np.float64)
    return np.asarray(total / count if reduction == "mean" else total, z.dtype), saved


def backward(dy, saved):
    may_overwrite = nobody_else_holds(saved, 0)
    logits, lse, t, count, label_smoothing, reduction = saved
    dz = rows(logits if may_overwrite else logits.copy(), logits.shape[-1])  # (..., V) -> (R, V)
    # y = sum(loss) / count, or sum(loss), or loss
    dloss = dy / count if reduction == "mean" else dy
    dloss = np.ascontiguousarray(np.broadcast_to(dloss.reshape(-1), len(dz)), dtype=dz.dtype)  # (R,)
    _backward(dz, t, lse, dloss, label_smoothing)
    return dz.reshape(logits.shape), None


@kernel(lambda f: (read(f, 2), read(numba.int64, 1), f, write(f, 1), write(f, 1)))
def _forward(share, z, targets, label_smoothing, loss, lse):
    r, v = z.shape
    for i in of(share, r):
        row = z[i]
        peak = row_max(row, v)
        total = z.dtype.type(0)
        for j in range(v):
            total += exp(row[j] - peak)
        lse[i] = peak + math.log(total)
        # loss = lse - (1 - label_smoothing) * z[t] - label_smoothing * mean(z), written relative to the peak, so that
        # large logits that are nearly equal don't swallow the digits of a small loss
        loss[i] = 0
        if targets[i] >= 0:
            loss[i] = math.log(total) - (1 - label_smoothing) * (row[targets[i]] - peak)
            if label_smoothing > 0:
                distance = z.dtype.type(0)
                for j in range(v):
                    distance += row[j] - peak
                loss[i] -= label_smoothing * distance / v


@kernel(lambda f: (write(f, 2), read(numba.int64, 1), read(f, 1), read(f, 1), f))
def _backward(share, z, targets, lse, dloss, label_smoothing):
    """Each row of logits becomes its gradient. (One array, not two that may be the same, else it is not vectorised.)"""
    r, v = z.shape
    everywhere = label_smoothing / z.dtype.type(v)
    for i in of(share, r):
        row = z[i]
        if targets[i] < 0:
            row[:] = 0
        else:
            scale, row_lse = dloss[i], lse[i]
            for j in range(v):
                row[j] = (exp(row[j] - row_lse) - everywhere) * scale
            row[targets[i]] -= (1 - label_smoothing) * scale
