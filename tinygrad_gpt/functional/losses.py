"""Losses: how far predictions are from targets, as one number."""

from tinygrad_gpt.arguments import integer, number
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.functional.fused import fused
from tinygrad_gpt.operands import operand
from tinygrad_gpt.tensor import plain_ids


def cross_entropy(
    logits, targets, ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Softmax cross-entropy of logits (..., V) with integer targets (...). (The classes are the LAST axis.)

    Rows with the target ignore_index are left out. reduction: "mean" over the other rows, "sum", or "none".
    """
    targets = plain_ids(targets, "cross_entropy", "targets")
    settings = {
        "ignore_index": integer("cross_entropy", "ignore_index", ignore_index),
        "label_smoothing": number("cross_entropy", "label_smoothing", label_smoothing),
        "reduction": reduction,
    }
    return fused("cross_entropy", operand("cross_entropy", logits), targets, **settings)
