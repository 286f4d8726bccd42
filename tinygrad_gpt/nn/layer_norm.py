"""LayerNorm: every position's channels to mean 0 and variance 1, then to a trained scale and shift."""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number, shown
from tinygrad_gpt.array import default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.nn.watching import show


class LayerNorm(Module):
    """x (..., C) -> (..., C), normalised along the last axis.

    normalized_shape  C or (C,): the size of that axis, and of no other
    weight            (C,) ones; None with elementwise_affine=False
    bias              (C,) zeros; None with elementwise_affine=False or bias=False
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        me = "LayerNorm"
        shape = normalized_shape if isinstance(normalized_shape, list | tuple) else (normalized_shape,)
        if len(shape) != 1:
            raise ValueError(
                f"{me}: expected the size of the last axis as normalized_shape, C or (C,), got {shown(shape)}"
            )
        self.normalized_shape = (integer(me, "normalized_shape", shape[0], low=1),)
        self.eps = number(me, "eps", eps, low=0)
        affine, bias = flag(me, "elementwise_affine", elementwise_affine), flag(me, "bias", bias)
        shape, dtype = self.normalized_shape, default_dtype()
        self.weight = Parameter(np.ones(shape, dtype)) if affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if affine and bias else None

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={self.bias is not None}"

    def forward(self, x) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def of_sum(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(s, the layer norm of s) with s = x + residual (..., C), for callers that use both.

        (If you need only the norm, call norm(x + residual): this op would add an all-zero gradient of s.)
        """
        if self.weight is None:
            s = x + residual
            y = self.forward(s)
        else:
            s, y = F.add_layer_norm(x, residual, self.weight, self.bias, self.eps)
        show(self, output=y)
        return s, y
