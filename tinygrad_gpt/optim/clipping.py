"""Clipping: the common norm of all gradients, and gradients made shorter where it is too large."""

import math
from collections.abc import Iterable

from tinygrad_gpt.arguments import HOLDS_A_TENSOR, number
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.optim.groups import tensors


def grad_norm(params: Iterable[Tensor]) -> float:
    """The common norm of all gradients, √(Σ over parameters Σ g²), summed in float64."""
    grads = [p.grad for p in tensors("grad_norm", params)]
    if any([isinstance(grad, Tensor) for grad in grads]):
        raise TypeError(f"grad_norm: .grad {HOLDS_A_TENSOR}")
    return math.sqrt(float(registry.run("sum_squares", *[grad for grad in grads if grad is not None])))


def clip_scale(norm: float, max_norm: float) -> float:
    """The factor for gradients of this common norm that brings it down to at most `max_norm`:

        max_norm / (norm + 1e-6) where that is a reduction, else 1

    (Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, section 3.2; the
    1e-6 is PyTorch's.) The gradients keep their direction. For a norm that is not finite, too, the factor is 1.

    Raises ValueError for a max_norm that is not positive.
    """
    norm = number("clip_scale", "norm", norm, finite=False)
    max_norm = number("clip_scale", "max_norm", max_norm, above=0, finite=False)
    return min(1.0, max_norm / (norm + 1e-6)) if math.isfinite(norm) else 1.0


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients down, in place, so that their common norm is at most `max_norm`. Returns the norm before.

    `optimizer.step(clip_scale(grad_norm(params), max_norm))` makes the same update without writing to the gradients:
    one pass over them less. If the norm is not finite, they stay as they are, to show which of them is to blame.
    """
    params = [p for p in tensors("clip_grad_norm", params) if p.grad is not None]
    norm = grad_norm(params)
    scale = clip_scale(norm, max_norm)
    if scale < 1:
        for p in params:
            p.grad *= scale
    return norm
