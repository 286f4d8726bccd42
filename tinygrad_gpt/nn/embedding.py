"""Embedding: a table with one trained row for each symbol."""

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.random_stream import normal


class Embedding(Module):
    """ids (...) of integers in 0 .. n-1 -> their rows (..., C).

    weight  (n, C), drawn with standard deviation 1

    Raises IndexError for an id out of range.
    """

    def __init__(self, n: int, c: int):
        self.weight = Parameter(normal((integer("Embedding", "n", n, low=1), integer("Embedding", "c", c, low=1))))

    def forward(self, ids) -> Tensor:
        return F.embedding(ids, self.weight)  # (...) -> (..., C)
