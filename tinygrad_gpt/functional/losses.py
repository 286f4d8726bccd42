"""Losses: how far predictions are from targets, as one number."""

from tinygrad_gpt.arguments import integer, number
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.operands import TensorLike, operand
from tinygrad_gpt.tensor import plain_ids


def cross_entropy(
    input: TensorLike,
    target: TensorLike,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy of logits (..., V) with integer targets (...). The classes are the LAST axis; PyTorch's are
    the second, which is the same for logits (N, V).

    Rows with the target ignore_index are left out. reduction: "mean" over the other rows, "sum", or "none".
    """
    target = plain_ids(target, "cross_entropy", "targets")
    settings = {
        "ignore_index": integer("cross_entropy", "ignore_index", ignore_index),
        "label_smoothing": number("cross_entropy", "label_smoothing", label_smoothing),
        "reduction": reduction,
    }
    return apply("cross_entropy", operand("cross_entropy", input), target, **settings)
