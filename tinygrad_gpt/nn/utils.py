"""PyTorch's names for clipping gradients in place. `optimizer.step(clip_scale(...))` clips without writing to them."""

import math
from collections.abc import Iterable

import numpy as np

from tinygrad_gpt.arguments import flag, number, shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.habits import UTILS, missing
from tinygrad_gpt.optim.clipping import clip_grad_norm
from tinygrad_gpt.optim.groups import tensors


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients down, in place, so that their common norm is at most `max_norm`. Returns the norm before.

    If the norm is not finite, the gradients stay as they are, to show which of them is to blame (PyTorch's all become
    nan or 0). With error_if_nonfinite it is a RuntimeError.

    norm_type  2, the root of the sum of squares; other norms are a ValueError
    """
    me, norm_type = "clip_grad_norm_", number("clip_grad_norm_", "norm_type", norm_type, finite=False)
    if norm_type != 2:
        raise ValueError(f"{me}: expected norm_type 2, got {shown(norm_type)}: clip_grad_value_ limits each element")
    params = _several(me, parameters)
    norm = clip_grad_norm(params, max_norm)
    if flag(me, "error_if_nonfinite", error_if_nonfinite) and not math.isfinite(norm):
        raise RuntimeError(f"{me}: expected a finite norm of the gradients, got {norm}")
    dtypes = [p.dtype for p in params if p.grad is not None]
    return Tensor(np.asarray(norm, dtypes[0] if dtypes else np.float32))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient, in place, to -clip_value .. clip_value."""
    limit = number("clip_grad_value_", "clip_value", clip_value, low=0)
    for p in _several("clip_grad_value_", parameters):
        if p.grad is not None:
            np.clip(p.grad, -limit, limit, out=p.grad)


def _several(me: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return tensors(me, [parameters] if isinstance(parameters, Tensor) else parameters)


def __getattr__(name: str):
    raise missing("nn.utils", name, UTILS, ("clip_grad_norm_", "clip_grad_value_"))
