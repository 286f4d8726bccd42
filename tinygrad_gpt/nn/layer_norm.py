"""LayerNorm: every position's channels to mean 0 and variance 1, then to a trained scale and shift."""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number
from tinygrad_gpt.array import default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.nn.watching import show


class LayerNorm(Module):
    """x (..., C) -> (..., C), normalised along the last axis.

    weight  (C,) ones
    bias    (C,) zeros, or None with bias=False
    """

    def __init__(self, c: int, bias: bool = True, eps: float = 1e-5):
        c = integer("LayerNorm", "c", c, low=1)
        self.weight = Parameter(np.ones(c, default_dtype()))
        self.bias = Parameter(np.zeros(c, default_dtype())) if flag("LayerNorm", "bias", bias) else None
        self.eps = number("LayerNorm", "eps", eps, low=0)

    def forward(self, x) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    def of_sum(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(s, the layer norm of s) with s = x + residual (..., C), for callers that use both.

        (If you need only the norm, call norm(x + residual): this op would add an all-zero gradient of s.)
        """
        s, y = F.add_layer_norm(x, residual, self.weight, self.bias, self.eps)
        show(self, output=y)
        return s, y
