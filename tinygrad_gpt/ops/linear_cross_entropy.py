"""A linear layer and the cross-entropy of what it gives, as one op that keeps no logits: a language model's last step.

    x                (..., C)  float
    weight           (V, C)
    targets          (...) integers: the right class of each row, 0 .. V-1, or `ignore_index`
    bias             (V,) or None
    ignore_index, label_smoothing    as in cross_entropy.py
    reduction        "mean" over the rows that count, or "sum"
    y                a 0-d array

    logits = x weightᵀ + bias           (R, V), where R rows are all that `...` holds
    y = cross_entropy(logits, targets)

With a vocabulary of tens of thousands the logits are the largest array of a model, V numbers for each row of C, and two
ops would keep them for backward. Here x, weight and bias are saved, and two numbers of each row: backward computes the
logits again. The rest is the chain rule, with the pairs of the two ops (linear.py and cross_entropy.py derive them):

    y = cross_entropy(logits, targets)  dlogits             from dy, logits, peak and total
    logits = x weightᵀ + bias           dx, dweight, dbias  from dlogits, x and weight

Each row's part of all this follows from that row alone. So a version may go over the rows in blocks, and never hold
more logits than those of one block. And y is one number: its gradients are those for dy = 1, times dy. A version may
compute them in forward, where the logits are at hand, and only multiply in backward; reduction="none", which would need
each row's own dy for that, is left to the two ops.
"""

from typing import NamedTuple

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops import cross_entropy, linear
from tinygrad_gpt.ops._shapes import check_floats
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

PARTS = ("linear", "cross_entropy")  # whose work it does: where a user chose a version of one, they run instead
BLOCK = 78 << 20  # bytes of logits that a version with blocks holds at a time: 384 rows of GPT-2's


class Saved(NamedTuple):
    x: Array  # (..., C)
    weight: Array  # (V, C)
    bias: Array | None  # (V,)
    peak: Array  # (R, 1), the largest logit of each row
    total: Array  # (R, 1), its sum of exponentials
    targets: Array  # (R,) int64, 0 where ignored
    counts: Array  # (R,) bool, False where ignored
    label_smoothing: float
    reduction: str


def check(x, weight, targets, bias=None, *, ignore_index=IGNORE_INDEX, label_smoothing=0.0, reduction="mean"):
    """Raises TypeError for dtypes, ValueError for shapes and settings, IndexError for a target out of range."""
    op = "linear_cross_entropy"
    check_floats(op, x, weight, bias)
    if x.ndim < 1 or weight.ndim != 2 or weight.shape[0] == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"{op}: expected x of shape (..., C) and weight of shape (V, C) with V >= 1, "
            f"got {x.shape} and {weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"{op}: expected bias of shape {weight.shape[:1]} for weight of shape {weight.shape}, got {bias.shape}"
        )
    if targets.shape != x.shape[:-1]:
        raise ValueError(
            f"{op}: expected targets of shape {x.shape[:-1]} for x of shape {x.shape}, got {targets.shape}"
        )
    if reduction not in ("mean", "sum"):
        raise ValueError(
            f'{op}: expected reduction="mean" or "sum", got {reduction!r}: each row\'s loss is '
            "cross_entropy(linear(x, weight, bias), targets)"
        )
    cross_entropy.check_targets(op, targets, weight.shape[0], ignore_index, label_smoothing, reduction)


def forward(x, weight, targets, bias=None, *, ignore_index=IGNORE_INDEX, label_smoothing=0.0, reduction="mean"):
    logits, _ = linear.forward(x, weight, bias)  # (..., C) -> (..., V)
    y, saved = cross_entropy.forward(
        logits, targets, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )
    return y, Saved(x, weight, bias, *saved[1:])  # all but the logits


def backward(dy, saved):
    x, weight, bias, *of_rows = saved
    logits, saved_by_linear = linear.forward(x, weight, bias)
    # y = cross_entropy(logits, targets)
    dlogits, _ = cross_entropy.backward(dy, cross_entropy.Saved(logits, *of_rows))
    # logits = linear(x, weight, bias)
    dx, dweight, dbias = linear.backward(dlogits, saved_by_linear)
    return dx, dweight, None, dbias
