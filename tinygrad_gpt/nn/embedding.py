"""Embedding: a table with one trained row for each symbol."""

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer, number, shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.random_stream import normal


class Embedding(Module):
    """ids (...) of integers in 0 .. num_embeddings-1 -> their rows (..., C) with C = embedding_dim.

    weight  (num_embeddings, embedding_dim), drawn with standard deviation `std`

    Raises IndexError for an id out of range.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, std: float = 1.0):
        me = "Embedding"
        n = integer(me, "num_embeddings", num_embeddings, low=1)
        c = integer(me, "embedding_dim", embedding_dim, low=1)
        if padding_idx is not None:
            raise TypeError(
                f"{me}: expected no padding_idx, got {shown(padding_idx)}: mask padding out, with the attention's mask "
                "and cross_entropy's ignore_index"
            )
        self.num_embeddings, self.embedding_dim = n, c
        self.weight = Parameter(normal((n, c), scale=number(me, "std", std, low=0)))

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"

    def forward(self, ids) -> Tensor:
        return F.embedding(ids, self.weight)  # (...) -> (..., C)
