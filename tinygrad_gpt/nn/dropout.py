"""Dropout: zero a random part of the activations in training, so that no unit relies on a single other one."""

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import number
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.activations import refuse_inplace
from tinygrad_gpt.nn.module import Module


class Dropout(Module):
    """In training, zero each element with probability p and scale the rest by 1/(1-p); in evaluation, x itself."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        refuse_inplace("Dropout", inplace)
        self.p = number("Dropout", "p", p, low=0, below=1)

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)
