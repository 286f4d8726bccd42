"""Activation recomputation: memory for time.

    y = recompute(block, x)       # the same y, and the same gradients, as block(x)

Backward needs what every op of the forward saved: most of the memory of a deep model at long sequences. Once y is
computed, `recompute` frees everything that `block` saved and keeps only x. When the gradient of y arrives, it runs
`block(x)` a second time and walks that small graph. With one `recompute` around each of n layers, a training step holds
n inputs and the insides of one layer, and pays with one more forward, about a third more arithmetic. (Chen, Xu, Zhang
and Guestrin, "Training deep nets with sublinear memory cost", 2016, algorithm 1. PyTorch calls it checkpointing.)

The second run must repeat the first bit for bit. So it has the same random numbers (dropout drops the same elements),
modes, versions of the ops and precision of products. Inside `watching` (nn/watching.py) nothing is recomputed.
"""

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import NamedTuple

from tinygrad_gpt import random_stream
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import is_array
from tinygrad_gpt.autograd import Node, Tensor
from tinygrad_gpt.kernels.registry import Version
from tinygrad_gpt.modes import watches
from tinygrad_gpt.precision import matmul_precision, using_matmul_precision


class Saved(NamedTuple):
    function: Callable
    inputs: tuple  # arrays of those inputs that were Tensors, the others as they are
    wanted: tuple  # for each input, whether it requires a gradient; None if it was not a Tensor
    context: Context  # modes of the thread: the tape, debug, forced versions
    random_state: dict
    precision: str


def recompute(function: Callable, *inputs) -> Tensor:
    """Run function(*inputs) and keep only its inputs; backward runs it again.

    function  returns one Tensor, the same at every call with these inputs and random numbers. The parameters that it
              uses get their gradients as usual. Any other Tensor that needs a gradient must be among the inputs
    inputs    Tensors, or anything else that it takes

    Raises TypeError if `function` is not a function, or does not return one Tensor.
    """
    if not callable(function):
        raise TypeError(f"recompute: expected a function, and then its inputs, got {shown(function)}")
    if watches.get():
        return function(*inputs)
    wanted = tuple(x.requires_grad if isinstance(x, Tensor) else None for x in inputs)
    arrays = tuple(_kept(x.data if isinstance(x, Tensor) else x) for x in inputs)
    saved = Saved(function, arrays, wanted, copy_context(), random_stream.random_state(), matmul_precision())
    y = _call(saved)[0]
    if not y.requires_grad:  # inside no_grad, or without anything to train
        return y
    result = y.detach()  # y goes, and with it everything that its graph saved
    result.node, result.requires_grad = Node(_VERSION, inputs, (y.data,), False, saved), True
    return result


def _kept(x):
    """x, copied if it holds ids or a mask, so that the second run reads what the first one read."""
    return x.copy() if is_array(x) and x.dtype.kind in "iub" else x


def _call(saved: Saved) -> tuple[Tensor, list]:
    """(function's result, the inputs it was called with: for each Tensor a leaf of its own)."""
    inputs = [x if w is None else Tensor(x, requires_grad=w) for x, w in zip(saved.inputs, saved.wanted, strict=True)]
    y = saved.function(*inputs)
    if not isinstance(y, Tensor):
        raise TypeError(f"recompute: expected a function that returns one Tensor, got {type(y).__name__}")
    return y, inputs


def _backward(dy, saved: Saved) -> tuple:
    """The gradients of the inputs. On the way, those of parameters are added to their .grad."""
    state = random_stream.random_state()
    random_stream.set_random_state(saved.random_state)
    try:
        with using_matmul_precision(saved.precision):
            y, inputs = saved.context.run(_call, saved)
    finally:
        random_stream.set_random_state(state)
    y.backward(dy)
    return tuple(x.grad if isinstance(x, Tensor) else None for x in inputs)


_VERSION = Version("recompute", "again", recompute, _backward, why_not=None)  # is called, never chosen
