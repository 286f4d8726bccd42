"""Sums of gradients during a backward, and who owns their memory.

Where an array was used k times, its gradient is the sum of k gradients (the chain rule over all paths). Adding in place
saves memory and time, but is right only in memory that nothing else shows: an op may pass on `dy` itself, or give two
inputs views of one array. This file decides that, so that the walk in autograd.py need not know about it.
"""

import numpy as np

from tinygrad_gpt.arguments import HOLDS_A_TENSOR
from tinygrad_gpt.array import Array, is_array
from tinygrad_gpt.memory import is_view_of_all, owner
from tinygrad_gpt.sparse_rows import SparseRows
from tinygrad_gpt.tensor import Tensor


class Pending:
    """The gradients that have arrived at outputs of Nodes whose turn is still to come.

    in_place  whether to add up in the arrays that came first; False leaves every gradient as it was
    """

    def __init__(self, in_place: bool):
        self.in_place = in_place
        self._sums = {}  # Node -> output -> (sum so far, whether it is ours to add to)

    def start(self, node, output: int, dy: Array) -> None:
        """Begin with the gradient of the Tensor that backward was called on."""
        self._sums[node] = {output: (dy, False)}

    def take(self, node) -> tuple[Array, ...]:
        """The gradient of every output of `node`, zeros for one that the loss did not use; () if none has arrived."""
        sums = self._sums.pop(node, None)
        if sums is None:
            return ()
        some, _ = next(iter(sums.values()))
        dys = []
        for i, (shape, dtype) in enumerate(node.outputs):
            dys.append(sums[i][0] if i in sums else np.zeros(shape, dtype, like=some))
            watcher = node.watched[i]() if i in node.watched else None
            if watcher is not None:
                accumulate(watcher, dys[i])
        return tuple(dys)

    def add(self, node, output: int, dx: Array, dys: tuple, grads: tuple) -> None:
        """Add one more gradient of that output; dx is among the `grads` that a backward made from `dys`."""
        is_new = self.in_place and _is_new(dx, dys, grads)
        sums = self._sums.setdefault(node, {})
        if output not in sums:
            sums[output] = dx, is_new
            return
        total, is_ours = sums[output]
        if is_ours:
            total += dx
        elif is_new:
            dx += total
            total = dx
        else:
            total = np.add(total, dx, out=np.empty_like(total))  # total + dx of arrays without axes is not an array
        sums[output] = total, True

    def add_to_leaf(self, leaf, dx: "Array | SparseRows", dys: tuple, grads: tuple) -> None:
        """leaf.grad += dx, which is among the `grads` that a backward made from `dys`."""
        accumulate(leaf, dx, is_new=self.in_place and _is_new(dx, dys, grads))

    def dense(self, dx: "Array | SparseRows", leaf) -> "Array | SparseRows":
        """dx as an array; but SparseRows stay if they can be added in place to the .grad of `leaf`, if it is one's."""
        stay = self.in_place and leaf is not None and leaf.grad is not None
        return dx if stay or is_array(dx) else dx.dense()


def is_gradient(x) -> bool:
    """Whether x is something that a backward may return as a gradient."""
    return is_array(x) or isinstance(x, SparseRows)


def accumulate(tensor, dx: "Array | SparseRows", is_new: bool = False) -> None:
    """tensor.grad += dx. If `is_new`, the memory of dx may be kept, since nothing else shows it.

    Raises ValueError for a gradient of another shape or dtype that is there already (NumPy might broadcast to it),
    TypeError for a Tensor there.
    """
    there = tensor.grad
    if there is not None and not (is_array(there) and there.shape == dx.shape and there.dtype == dx.dtype):
        if isinstance(there, Tensor):
            raise TypeError(f"backward: .grad {HOLDS_A_TENSOR}")
        given = f"{there.dtype}{tuple(there.shape)}" if is_array(there) else type(there).__name__
        raise ValueError(
            f"backward: expected .grad to be None or {dx.dtype}{tuple(dx.shape)} like the data, found {given}: "
            "call zero_grad() when .data is replaced"
        )
    if isinstance(dx, SparseRows):
        dx.add_to(tensor.grad)
    elif tensor.grad is not None:
        tensor.grad += dx
    else:
        tensor.grad = dx if is_new else dx.copy()


def _is_new(dx: Array, dys: tuple, grads: tuple) -> bool:
    """Whether no other gradient can show the memory of dx, so that it may be kept or added to in place.

    The contract lets a backward return `dy` itself or a view of it, and memory that two inputs share; any other
    memory that it returns is new. But a view must be all of its memory: a part would keep the rest alive, and one
    number broadcast to many cannot be added to.
    """
    memory = owner(dx)
    if memory is not dx and not is_view_of_all(dx):
        return False
    return all([owner(dy) is not memory for dy in dys]) and [owner(g) is memory for g in grads].count(True) == 1
