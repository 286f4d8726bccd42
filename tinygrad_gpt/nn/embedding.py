"""Embedding: a table with one trained row for each symbol."""

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer, number
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.random_stream import normal


class Embedding(Module):
    """ids (...) of integers in 0 .. n-1 -> their rows (..., C).

    weight  (n, C), drawn with standard deviation `std`

    Raises IndexError for an id out of range.
    """

    def __init__(self, n: int, c: int, *, std: float = 1.0):
        n, c = integer("Embedding", "n", n, low=1), integer("Embedding", "c", c, low=1)
        self.weight = Parameter(normal((n, c), scale=number("Embedding", "std", std, low=0)))

    def forward(self, ids) -> Tensor:
        return F.embedding(ids, self.weight)  # (...) -> (..., C)
