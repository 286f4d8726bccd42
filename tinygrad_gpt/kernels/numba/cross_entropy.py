"""Softmax cross-entropy on the CPU, fused (ops/cross_entropy.py derives it).

Forward reads each row of logits twice, for its maximum and for its sum of exponentials. The row stays in the cache in
between: a vocabulary of 50257 takes 200 kB. These two numbers of each row are saved. Backward writes each gradient in
one pass, p - q scaled by the row's dy, and over the logits themselves where nothing else holds them: they are often the
largest array of a model.
"""

import math

import numba
import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import check_dy, not_ours, rows
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, row_max
from tinygrad_gpt.memory import nobody_else_holds
from tinygrad_gpt.ops._shapes import check_ids
from tinygrad_gpt.ops.cross_entropy import counted


def why_not(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    if not isinstance(targets, np.ndarray):
        return f"{type(targets).__name__} is not a NumPy array"
    return not_ours(logits)


def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    z = rows(logits, logits.shape[-1])  # (..., V) -> (R, V)
    if z.shape[1] == 0 or targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: expected logits (..., V) and targets (...), got {logits.shape}, {targets.shape}"
        )
    targets = targets.copy()  # compiled code uses them as indices: check a copy that nothing else can write to
    check_ids("cross_entropy", "targets", targets, z.shape[1], passed_over=ignore_index)
    t, counts = counted(targets, ignore_index, ignored=-1)
    loss, peak, total = np.empty((3, len(z)), z.dtype)
    losses_of_rows(z, t, label_smoothing, loss, peak, total)
    count = int(np.count_nonzero(counts))
    saved = (logits, logits.shape, peak, total, t, count, label_smoothing, reduction)
    return loss.reshape(targets.shape) if reduction == "none" else reduced(loss, count, reduction), saved


def reduced(loss, count, reduction):
    """The mean of the rows that count, so many, or the sum: a 0-d array."""
    y = loss.sum(dtype=np.float64)
    return np.asarray(y / count if reduction == "mean" else y, loss.dtype)


def backward(dy, saved):
    may_overwrite = nobody_else_holds(saved, 0)
    logits, shape, peak, total, t, count, label_smoothing, reduction = saved
    if logits.shape != shape:  # the targets were found to be below that V
        raise ValueError(f"cross_entropy: expected logits of the shape that they had, {shape}, got {logits.shape}")
    dz = rows(logits if may_overwrite else logits.copy(), logits.shape[-1])  # (..., V) -> (R, V)
    check_dy("cross_entropy", dy, shape[:-1] if reduction == "none" else (), logits.dtype)
    # y = sum(loss) / count, or sum(loss), or loss
    dloss = dy / count if reduction == "mean" else dy
    dloss = np.ascontiguousarray(np.broadcast_to(dloss.reshape(-1), len(dz)), dtype=dz.dtype)  # (R,)
    logits_to_gradients(dz, t, peak, total, dloss, label_smoothing)
    return dz.reshape(logits.shape), None


@kernel(lambda f: (read(f, "R V"), read(numba.int64, "R"), f, *[write(f, "R")] * 3))
def losses_of_rows(share, z, targets, label_smoothing, loss, peaks, totals):
    """The loss of each row of logits, 0 where its target is below 0, its largest logit and its sum of exponentials."""
    r, v = z.shape
    for i in my_part(share, r):
        row = z[i]
        peak = row_max(row, v)
        total = z.dtype.type(0)
        for j in range(v):
            total += exp(row[j] - peak)
        peaks[i], totals[i] = peak, total
        # loss = log(total) - (1 - label_smoothing) * d[t] - label_smoothing * mean(d),  d = z - peak
        loss[i] = 0
        if targets[i] >= 0:
            loss[i] = math.log(total) - (1 - label_smoothing) * (row[targets[i]] - peak)
            if label_smoothing > 0:
                distance = z.dtype.type(0)
                for j in range(v):
                    distance += row[j] - peak
                loss[i] -= label_smoothing * distance / v


@kernel(lambda f: (write(f, "R V"), read(numba.int64, "R"), *[read(f, "R")] * 3, f))
def logits_to_gradients(share, z, targets, peaks, totals, dloss, label_smoothing):
    """Each row of logits becomes its gradient. (With two arrays that may be one, the loop would not be vectorised.)"""
    r, v = z.shape
    everywhere = label_smoothing / z.dtype.type(v)
    for i in my_part(share, r):
        row = z[i]
        if targets[i] < 0:
            row[:] = 0
        else:
            scale, peak = dloss[i], peaks[i]
            p_scale = scale / totals[i]
            for j in range(v):
                row[j] = exp(row[j] - peak) * p_scale - everywhere * scale
            row[targets[i]] -= (1 - label_smoothing) * scale
