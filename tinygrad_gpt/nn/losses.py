"""Losses as Modules: functions of functional/losses.py with settings. Each is called as loss(input, target) -> Tensor.

`reduction` is "mean", "sum" or "none". (PyTorch's older `size_average` and `reduce` are not here.)
"""

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer, number, shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module


class _Loss(Module):
    def __init__(self, *, reduction: str = "mean"):
        if reduction not in ("mean", "sum", "none"):
            me = type(self).__name__
            raise ValueError(f'{me}: expected reduction="mean", "sum" or "none", got {shown(reduction)}')
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """Softmax cross-entropy of logits (..., V) with integer targets (...). The classes are the LAST axis; PyTorch's are
    the second, which is the same for logits (N, V).

    ignore_index     a target that is left out
    label_smoothing  the share of each target that is spread over all classes
    """

    def __init__(self, weight=None, *, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0):
        me = "CrossEntropyLoss"
        if weight is not None:
            raise TypeError(
                f"{me}: expected no weight, got {shown(weight)}: NLLLoss(weight) of functional.log_softmax takes one"
            )
        super().__init__(reduction=reduction)
        self.ignore_index = integer(me, "ignore_index", ignore_index)
        self.label_smoothing = number(me, "label_smoothing", label_smoothing, low=0, below=1)

    def forward(self, input, target) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """-input[target] of log-probabilities (N, V), or (V,), with integer targets (N,). After LogSoftmax it is
    cross-entropy.

    weight        (V,), how much each class counts; kept as a buffer
    ignore_index  a target that is left out
    """

    def __init__(self, weight=None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = integer("NLLLoss", "ignore_index", ignore_index)

    def forward(self, input, target) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """(input - target) ** 2, for arrays of one shape."""

    def forward(self, input, target) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|input - target|, for arrays of one shape."""

    def forward(self, input, target) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """-(target log p + (1 - target) log(1 - p)) with p = sigmoid(input), for arrays of one shape.

    weight      how much each element counts, broadcast; kept as a buffer
    pos_weight  what the first term, that of the yes, is multiplied by, broadcast; kept as a buffer
    """

    def __init__(self, weight=None, *, reduction: str = "mean", pos_weight=None):
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
