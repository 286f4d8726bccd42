"""RMSNorm: every position's channels to a mean square of 1, then to a trained scale. (Llama's norm.)"""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number, sizes
from tinygrad_gpt.array import default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter


class RMSNorm(Module):
    """x (..., *normalized_shape) -> the same shape, divided by the root of its mean square over those axes.

    normalized_shape  the sizes of the last axes: C or (C,) for the last one
    eps               added to the mean square; None: the distance from 1 to the next number, 1.2e-7 in float32
    weight            (*normalized_shape) ones; None with elementwise_affine=False

    (Zhang and Sennrich, "Root mean square layer normalization", 2019.)
    """

    def __init__(
        self, normalized_shape: int | tuple[int, ...], eps: float | None = None, elementwise_affine: bool = True
    ):
        me = "RMSNorm"
        if not isinstance(normalized_shape, list | tuple):
            normalized_shape = (integer(me, "normalized_shape", normalized_shape, low=1),)
        self.normalized_shape = sizes(me, normalized_shape, "normalized_shape")
        self.eps = number(me, "eps", eps, low=0, or_none=True)
        affine = flag(me, "elementwise_affine", elementwise_affine)
        self.weight = Parameter(np.ones(self.normalized_shape, default_dtype())) if affine else None

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"

    def forward(self, x) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)
