"""Dropout: zero a random part of the activations in training, so that no unit relies on a single other one."""

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import number
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module


class Dropout(Module):
    """In training, zero each element with probability p and scale the rest by 1/(1-p); in evaluation, x itself."""

    def __init__(self, p: float):
        self.p = number("Dropout", "p", p, low=0, below=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)
