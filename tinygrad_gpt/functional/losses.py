"""Losses: how far predictions are from targets, as one number."""

import numpy as np

from tinygrad_gpt.arguments import flag, integer, number, shown
from tinygrad_gpt.array import if_on_cpu
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.elementwise import abs, add, div, exp, log, mul, neg, softplus, sub, where
from tinygrad_gpt.functional.fused import fused
from tinygrad_gpt.functional.picking import gather
from tinygrad_gpt.functional.shapes import getitem, reshape
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.operands import TensorLike, operand, pair, plain
from tinygrad_gpt.ops._shapes import check_ids, equals
from tinygrad_gpt.precision import matmul_precision
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
    me = "cross_entropy"
    target = plain_ids(target, me, "targets")
    return fused(me, operand(me, input), target, **_settings(me, ignore_index, label_smoothing, reduction))


def linear_cross_entropy(
    input: TensorLike,
    linear_weight: TensorLike,
    target: TensorLike,
    *,
    linear_bias: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """cross_entropy(linear(input, linear_weight, linear_bias), target), without keeping the logits: input (..., C),
    linear_weight (V, C), integer targets (...), linear_bias (V,).

    With reduction="none", or where products are to be rounded, which the one op does not do, these are two ops, which
    keep them. The one op is for training: on a CPU its forward computes the gradients too.
    """
    me = "linear_cross_entropy"
    input, target = operand(me, input), plain_ids(target, me, "targets")
    settings = _settings(me, ignore_index, label_smoothing, reduction)
    rounds = matmul_precision() != "float32" and not registry.user_chose(me)
    if reduction == "none" or rounds:
        return fused("cross_entropy", fused("linear", input, linear_weight, linear_bias), target, **settings)
    return fused(me, input, linear_weight, target, linear_bias, **settings)


def _settings(me: str, ignore_index, label_smoothing, reduction) -> dict:
    return {
        "ignore_index": integer(me, "ignore_index", ignore_index),
        "label_smoothing": number(me, "label_smoothing", label_smoothing),
        "reduction": reduction,
    }


def mse_loss(input: TensorLike, target: TensorLike, *, reduction: str = "mean") -> Tensor:
    """(input - target) ** 2, for arrays of one shape; reduction: "mean" over all elements, "sum", or "none"."""
    input, target = _of_one_shape("mse_loss", input, target)
    error = sub(input, target)
    return _reduced("mse_loss", mul(error, error), reduction)


def l1_loss(input: TensorLike, target: TensorLike, *, reduction: str = "mean") -> Tensor:
    """abs(input - target), for arrays of one shape; reduction: "mean" over all elements, "sum", or "none"."""
    input, target = _of_one_shape("l1_loss", input, target)
    return _reduced("l1_loss", abs(sub(input, target)), reduction)


def nll_loss(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-input[target], the loss of log-probabilities (N, V), or (V,), with integer targets (N,). It is `gather`;
    cross_entropy(x, target) is nll_loss(log_softmax(x), target).

    weight     (V,), how much each class counts
    reduction  "mean": the sum over that of the weights of the rows that count; "sum", or "none"
    """
    me = "nll_loss"
    input, ids = operand(me, input), plain_ids(target, me, "target")
    if input.ndim not in (1, 2) or ids.shape != input.shape[:-1]:
        raise ValueError(
            f"{me}: expected log-probabilities (N, V) and targets (N,), or (V,) and one target, got "
            f"{tuple(input.shape)} and {tuple(ids.shape)}: reshape them with the classes last"
        )
    ids = np.asarray(ids, like=plain(input))
    ignored = equals(ids, integer(me, "ignore_index", ignore_index))
    check_ids(me, "target", ids, input.shape[-1], passed_over=ignore_index)
    ids = np.where(ignored, 0, ids)
    share = (
        np.ones(ids.shape, input.dtype, like=plain(input))
        if weight is None
        else getitem(pair(me, input, weight)[1], ids)
    )
    share = where(ignored, 0.0, share)
    picked = reshape(gather(input, input.ndim - 1, ids[..., None]), ids.shape)
    loss = where(ignored, 0.0, neg(mul(picked, share)))
    if reduction != "mean":
        return _reduced(me, loss, reduction)
    known = if_on_cpu(ignored)
    if known.size == ignored.size and known.all():
        raise ValueError(f"{me}: expected at least one target that counts, got {ids.size}, all of them {ignore_index}")
    return div(_sum(loss), _sum(share))


def binary_cross_entropy_with_logits(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    reduction: str = "mean",
    pos_weight: TensorLike | None = None,
) -> Tensor:
    """-(target log p + (1 - target) log(1 - p)) with p = sigmoid(input), for arrays of one shape.

    As -log p = softplus(-input) and -log(1 - p) = softplus(input), it is target * softplus(-input) + (1 - target) *
    softplus(input), of which nothing overflows and no digits are lost.

    weight      how much each element counts, broadcast
    pos_weight  what the first term, that of the yes, is multiplied by, broadcast
    """
    me = "binary_cross_entropy_with_logits"
    input, target = _of_one_shape(me, input, target)
    yes = mul(target, softplus(neg(input)))
    if pos_weight is not None:
        yes = mul(yes, pos_weight)
    loss = add(yes, mul(sub(1.0, target), softplus(input)))
    return _reduced(me, loss if weight is None else mul(loss, weight), reduction)


def kl_div(input: TensorLike, target: TensorLike, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log(target) - input): how far log-probabilities `input` are from the probabilities `target`, element by
    element; nothing where target is 0.

    reduction   "batchmean", the sum over the first axis' size, is the Kullback-Leibler divergence of rows (N, V).
                PyTorch's default, "mean", divides by the number of classes too; "sum", or "none"
    log_target  whether `target` is the logarithm of probabilities
    """
    input, target = _of_one_shape("kl_div", input, target)
    if flag("kl_div", "log_target", log_target):
        loss = mul(exp(target), sub(target, input))
    else:
        is_zero = plain(target) == 0
        loss = sub(mul(target, log(where(is_zero, 1.0, target))), mul(target, input))
    if reduction != "batchmean":
        return _reduced("kl_div", loss, reduction, '"mean", "batchmean", "sum" or "none"')
    if loss.ndim == 0:
        raise ValueError('kl_div: expected rows for reduction="batchmean", got a number')
    return div(_sum(loss), loss.shape[0])


def _of_one_shape(me: str, input, target) -> tuple:
    input, target = pair(me, input, target)
    if input.shape != target.shape:
        raise ValueError(
            f"{me}: expected input and target of one shape, got {tuple(input.shape)} and {tuple(target.shape)}: "
            "reshape or broadcast one of them"
        )
    return input, target


def _reduced(me: str, loss: Tensor, reduction: str, known: str = '"mean", "sum" or "none"') -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{me}: expected reduction={known}, got {shown(reduction)}")
    return loss if reduction == "none" else apply(reduction, loss)


def _sum(x: Tensor) -> Tensor:
    return apply("sum", x)
