"""Softmax cross-entropy from logits: how surprised a model is by the right answers.

    logits           (..., V)  float: any numbers, softmax makes them probabilities
    targets          (...)     integers: the right class of each row, 0 .. V-1, or `ignore_index`
    ignore_index     rows with this target count for nothing; an integer of 64 bits, also where the targets have fewer
    label_smoothing  ε, 0 <= ε < 1: the share of the target that is spread evenly over the V classes (Szegedy et al.,
                     "Rethinking the Inception architecture", 2016, section 7)
    reduction        "mean" over the rows that count, "sum", or "none"
    y                a 0-d array; (...) for "none", 0 for ignored rows

With the row's log-sum-exp L = log Σ_j e^z_j, log softmax is z_j - L. The target distribution is q = (1 - ε) onehot(t)
+ ε/V:

    loss = -Σ_j q_j (z_j - L) = L - (1 - ε) z_t - ε mean(z)

Adding one number to all logits of a row changes nothing: it cancels. In floating point it does so only if it is taken
out before anything is rounded. So the largest logit, m, is subtracted first, which is exact for logits near it:

    d_j = z_j - m,   S = Σ_j e^d_j,   loss = log S - (1 - ε) d_t - ε mean(d)

m + log S, which is L, is never formed: beside m = 10⁶ float32 keeps no more than one bit after the point of log S.

Backward. ∂L/∂z_j = e^z_j / Σ e^z = p_j, the softmax, so that

    dloss/dz_j = p_j - (1 - ε) δ_jt - ε/V = p_j - q_j,    p_j = e^d_j / S

the model's probabilities less the wanted ones. Each row is scaled by its own dy: that of the reduction, divided by the
number of rows that count for "mean", and 0 for ignored rows.

Saved are the logits, and m and S, two numbers a row; p is computed again. The targets are saved as a copy, so that the
gradient is that of the loss, whatever is written into the batch before backward.
"""

import math
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array, if_on_cpu
from tinygrad_gpt.ops._shapes import check_floats, check_ids, equals

IGNORE_INDEX = -100  # the target of a row that counts for nothing, unless `ignore_index` says another
PARTS = ("log_softmax",)  # whose work it does: where a user chose a version of one, they run instead


class Saved(NamedTuple):
    logits: Array  # (..., V)
    peak: Array  # (R, 1), with R rows in all
    total: Array  # (R, 1)
    targets: Array  # (R,) int64, 0 where ignored
    counts: Array  # (R,) bool, False where ignored
    label_smoothing: float
    reduction: str


def check(logits, targets, *, ignore_index=IGNORE_INDEX, label_smoothing=0.0, reduction="mean"):
    """Raises TypeError for dtypes, ValueError for shapes and settings, IndexError for a target out of range.

    The values of targets that lie on the GPU are not looked at: if none of them counts, their mean is nan.
    """
    check_floats("cross_entropy", logits)
    if logits.ndim < 1 or logits.shape[-1] == 0 or targets.shape != logits.shape[:-1]:
        theirs = logits.ndim > 2 and targets.shape == (logits.shape[0], *logits.shape[2:])
        hint = ": the classes are the last axis here, and not the second as in PyTorch" if theirs else ""
        raise ValueError(
            "cross_entropy: expected logits of shape (..., V) with V >= 1 and targets of shape (...), "
            f"got {logits.shape} and {targets.shape}{hint}"
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'cross_entropy: expected reduction="mean", "sum" or "none", got {reduction!r}')
    check_targets("cross_entropy", targets, logits.shape[-1], ignore_index, label_smoothing, reduction)


def check_targets(op: str, targets: Array, v: int, ignore_index, label_smoothing, reduction: str) -> None:
    """Raises what `check` raises for targets that are no classes 0 .. v-1 and for the settings that concern them."""
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"{op}: expected 0 <= label_smoothing < 1, got {label_smoothing}")
    if not isinstance(ignore_index, int | np.integer) or not -(2**63) <= ignore_index < 2**63:
        raise ValueError(f"{op}: expected an integer of 64 bits as ignore_index, got {ignore_index!r}")
    check_ids(op, "targets", targets, v, passed_over=ignore_index)
    known = if_on_cpu(targets)
    if reduction == "mean" and known.size == targets.size and equals(known, ignore_index).all():
        raise ValueError(
            f"{op}: expected at least one target that counts, got {targets.size} targets, "
            f"all of them ignore_index={ignore_index}: their mean is not defined"
        )


def forward(logits, targets, *, ignore_index=IGNORE_INDEX, label_smoothing=0.0, reduction="mean"):
    t, counts = counted(targets, ignore_index)
    z = _rows(logits)
    peak = np.max(z, axis=-1, keepdims=True)  # (R, V) -> (R, 1)
    d = z - peak
    total = np.sum(np.exp(d), axis=-1, keepdims=True)
    d_t = d[np.arange(len(t), like=t), t]  # (R, V) -> (R,)
    loss = np.log(total).reshape(-1) - (1 - label_smoothing) * d_t
    if label_smoothing > 0:
        loss = loss - label_smoothing * np.mean(d, axis=-1)
    loss = np.where(counts, loss, 0.0)
    if reduction == "none":
        y = loss.reshape(targets.shape)
    else:
        y = np.sum(loss)
        if reduction == "mean":
            y = y / _number(counts, y.dtype)
    return y, Saved(logits, peak, total, t, counts, label_smoothing, reduction)


def backward(dy, saved):
    logits, peak, total, t, counts, label_smoothing, reduction = saved
    z = _rows(logits)
    # y = sum(loss) / number of rows that count, or sum(loss), or loss
    if reduction == "mean":
        dy = dy / _number(counts, dy.dtype)
    dloss = dy.reshape(-1, 1)  # (R, 1), or (1, 1) for all rows
    # loss = log(total(d)) - (1 - label_smoothing) * d[t] - label_smoothing * mean(d),  d = z - peak
    dz = np.exp(z - peak) / total  # (R, V)
    dz[np.arange(len(t), like=t), t] -= 1 - label_smoothing
    if label_smoothing > 0:
        dz -= label_smoothing / z.shape[-1]
    dz = np.where(counts.reshape(-1, 1), dz * dloss, 0.0)  # not times 0, which leaves nan where logits are not finite
    return dz.reshape(logits.shape), None


def counted(targets: Array, ignore_index: int, ignored: int = 0) -> tuple[Array, Array]:
    """Targets (...) of any integer dtype as a new (R,) of int64, `ignored` in place of those that don't count, and
    which rows count, (R,)."""
    counts = ~equals(targets, ignore_index).reshape(-1)
    return np.where(counts, targets.reshape(-1).astype(np.int64), ignored), counts  # widened first: uint16 has no -1


def _rows(logits: Array) -> Array:
    """(..., V) -> (R, V)."""
    return logits.reshape(math.prod(logits.shape[:-1]), logits.shape[-1])


def _number(counts: Array, dtype) -> Array:
    """How many rows count, in the loss's own dtype: an integer would turn float32 into float64."""
    return np.sum(counts, dtype=dtype)
