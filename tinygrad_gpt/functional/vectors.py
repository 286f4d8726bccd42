"""Products of vectors, and vectors of length 1."""

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import number, shown
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import Default, either
from tinygrad_gpt.functional.elementwise import clamp, div, mul
from tinygrad_gpt.functional.shapes import broadcast_to, reshape
from tinygrad_gpt.functional.sums import norm
from tinygrad_gpt.operands import TensorLike, operand, pair, plain
from tinygrad_gpt.ops._shapes import check_broadcast

SECOND = Default(1)


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Sums of products whose axes have letters: einsum("bqd,bkd->bqk", q, k), einsum("...ij->...ji", x).

    The operands may come as one list. Raises ValueError for subscripts that don't fit them.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f'einsum: expected subscripts such as "ij,jk->ik" first, got {shown(subscripts)}')
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not operands:
        raise TypeError("einsum: expected at least one Tensor after the subscripts, got none")
    return apply("einsum", *[operand("einsum", x) for x in operands], subscripts=subscripts)


def outer(a: TensorLike, b: TensorLike) -> Tensor:
    """The products of each element of a (N,) and each of b (M,) -> (N, M). It is a[:, None] * b."""
    a, b = pair("outer", a, b)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return mul(reshape(a, (a.shape[0], 1)), b)


def normalize(x: TensorLike, p: float = 2.0, dim: int = SECOND, eps: float = 1e-12, *, axis: int = SECOND) -> Tensor:
    """x scaled to length 1 along `dim`, PyTorch's default of which is 1. It is x / clamp(norm(x, p, dim), eps)."""
    dim = arguments.axis("normalize", either("normalize", dim, axis, SECOND))
    x = operand("normalize", x)
    return div(x, clamp(norm(x, p, dim, keepdim=True), number("normalize", "eps", eps, low=0)))


def cosine_similarity(
    x1: TensorLike, x2: TensorLike, dim: int = SECOND, eps: float = 1e-8, *, axis: int = SECOND
) -> Tensor:
    """The cosine of the angle between x1 and x2 along `dim`: the product of the two, each scaled to length 1.

    x1 and x2 broadcast, and have `dim`, PyTorch's default of which is 1, after that.
    """
    dim = arguments.axis("cosine_similarity", either("cosine_similarity", dim, axis, SECOND))
    x1, x2 = pair("cosine_similarity", x1, x2)
    check_broadcast("cosine_similarity", plain(x1), plain(x2))
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    x1, x2 = [x if x.shape == shape else broadcast_to(x, shape) for x in (x1, x2)]
    return apply("sum", mul(normalize(x1, 2, dim, eps), normalize(x2, 2, dim, eps)), axis=dim)
