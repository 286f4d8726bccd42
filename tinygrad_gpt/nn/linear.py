"""Linear: every output is a weighted sum of the inputs."""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number, shown
from tinygrad_gpt.array import default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.random_stream import normal


class Linear(Module):
    """y = x weightᵀ + bias: x (..., C_in) -> y (..., C_out).

    weight  (C_out, C_in), drawn with standard deviation `std`, by default 1/√C_in, which gives y the variance that x
            has; or the Parameter passed as `weight`, to share another layer's
    bias    (C_out,) zeros, or None with bias=False
    """

    def __init__(
        self, c_in: int, c_out: int, bias: bool = True, weight: Parameter | None = None, *, std: float | None = None
    ):
        c_in, c_out = integer("Linear", "c_in", c_in, low=1), integer("Linear", "c_out", c_out, low=1)
        usual, std = c_in**-0.5, number("Linear", "std", std, low=0, or_none=True)
        if not isinstance(weight, Parameter | None):
            got = shown(weight)
            raise TypeError(f"Linear: expected a Parameter or None as weight, got {got}: only those are trained")
        if weight is not None and weight.shape != (c_out, c_in):
            raise ValueError(f"Linear: expected a weight of shape {(c_out, c_in)} to share, got {weight.shape}")
        if weight is None:
            weight = Parameter(normal((c_out, c_in), usual, scale=1 if std is None else std / usual))
        self.weight = weight
        self.bias = Parameter(np.zeros(c_out, default_dtype())) if flag("Linear", "bias", bias) else None

    def forward(self, x) -> Tensor:
        return F.linear(x, self.weight, self.bias)  # (..., C_in) -> (..., C_out)
