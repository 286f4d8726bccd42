"""The loss of a model's last layer, whose output is used for nothing else.

    loss = head_loss(model.head, features, targets)

In training, the logits of a large vocabulary are the largest array there is. One op (ops/linear_cross_entropy.py) then
computes the loss block by block, without ever holding them whole. Where they are few, or somebody watches the layers,
put another layer in the place of the head, or chose how its ops run, the two ops run one after the other as ever.
"""

from typing import Any

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.modes import is_grad_enabled, watches
from tinygrad_gpt.nn.linear import Linear
from tinygrad_gpt.ops import linear_cross_entropy as op
from tinygrad_gpt.precision import matmul_precision
from tinygrad_gpt.tensor import plain_ids

_OP = "linear_cross_entropy"


def head_loss(head: Any, features: Tensor, targets, **settings) -> Tensor:
    """cross_entropy(head(features), targets, **settings): features (..., C), integer targets (...).

    head      the Module that makes logits (..., V) of features
    settings  reduction, label_smoothing and ignore_index of functional.cross_entropy
    """
    targets = plain_ids(targets, "cross_entropy", "targets")
    if _as_one(head, features, targets, settings):
        return F.linear_cross_entropy(features, head.weight, targets, linear_bias=head.bias, **settings)
    return F.cross_entropy(head(features), targets, **settings)


def _as_one(head: Any, features: Tensor, targets, settings: dict) -> bool:
    """Whether the loss is computed block by block."""
    if type(head) is not Linear or settings.get("reduction") == "none" or watches.get() or not is_grad_enabled():
        return False
    if registry.user_chose(_OP):
        return True
    if registry.user_chose_a_part(_OP) or matmul_precision() != "float32":  # its kernel does not round
        return False
    if features.size // head.in_features * head.out_features * features.dtype.itemsize <= op.BLOCK:
        return False
    bias = None if head.bias is None else head.bias.data
    version = registry.choose(_OP, (features.data, head.weight.data, targets, bias), settings)
    return version.name != "reference"  # it keeps less, but computes the logits twice
