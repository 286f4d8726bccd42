"""Linear: every output is a weighted sum of the inputs."""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number, shown
from tinygrad_gpt.array import default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.random_stream import normal


class Linear(Module):
    """y = x weightᵀ + bias: x (..., in_features) -> y (..., out_features).

    weight  (out_features, in_features), drawn from the normal distribution with standard deviation `std`, by default
            1/√in_features, which gives y the variance that x has; or the Parameter passed as `weight`, to share
            another layer's. (PyTorch draws from a uniform distribution with a third of that variance, the bias too:
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5)).)
    bias    (out_features,) zeros, or None with bias=False
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight: Parameter | None = None,
        std: float | None = None,
    ):
        c_in = integer("Linear", "in_features", in_features, low=1)
        c_out = integer("Linear", "out_features", out_features, low=1)
        usual, std = c_in**-0.5, number("Linear", "std", std, low=0, or_none=True)
        if not isinstance(weight, Parameter | None):
            got = shown(weight)
            raise TypeError(f"Linear: expected a Parameter or None as weight, got {got}: only those are trained")
        if weight is not None and weight.shape != (c_out, c_in):
            raise ValueError(f"Linear: expected a weight of shape {(c_out, c_in)} to share, got {weight.shape}")
        if weight is None:
            weight = Parameter(normal((c_out, c_in), usual, scale=1 if std is None else std / usual))
        self.in_features, self.out_features = c_in, c_out
        self.weight = weight
        self.bias = Parameter(np.zeros(c_out, default_dtype())) if flag("Linear", "bias", bias) else None

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def forward(self, x) -> Tensor:
        return F.linear(x, self.weight, self.bias)  # (..., C_in) -> (..., C_out)
