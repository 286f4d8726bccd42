"""The tape: how a program that runs forwards is remembered, and walked backwards.

`apply("mul", a, b)` runs an op's forward on plain arrays and wraps the result in a Tensor. If a gradient may be asked
for, the Tensor keeps a Node: which version of the op ran, what it saved, and where its inputs came from. Those edges
point from outputs to inputs only, so reference counting frees a graph at once when its outputs are gone.

    a ──┐
        ├─ Node(mul) ── y ── Node(sum) ── loss
    b ──┘
    ◄──────────── edges point this way, and gradients travel along them

`loss.backward()` starts with d loss / d loss = 1 and visits each Node after all the Nodes that used its output, handing
its backward the sum of the gradients that they sent (the chain rule over all paths). This file knows no particular op.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.arguments import HOLDS_A_TENSOR, bare, conversion, kind, shown
from tinygrad_gpt.array import FLOATS, Array, as_array, is_array, is_float, on_one_device
from tinygrad_gpt.gradients import Pending, accumulate, is_gradient
from tinygrad_gpt.habits import AUTOGRAD, missing
from tinygrad_gpt.kernels import catalogue, registry
from tinygrad_gpt.modes import debug, is_debugging, is_grad_enabled, no_grad, running
from tinygrad_gpt.read_only import ReadOnly
from tinygrad_gpt.tensor import Tensor

__all__ = ["Edge", "Node", "Step", "Tensor", "apply", "debug", "no_grad"]  # Tensor and modes: where one looks for them


class Node:
    """One application of an op on the tape.

    version  the pair that ran (tinygrad_gpt.kernels.registry.Version)
    saved    what its forward saved for its backward; dropped as soon as backward has run
    edges    for each input, where its gradient goes: an Edge, a leaf Tensor, or None
    outputs  (shape, dtype) of each output
    watched  weak references to outputs on which `retain_grad` was called
    within   the outermost and the innermost Module that ran, None outside of all
    """

    __slots__ = ("__weakref__", "edges", "freed", "lock", "many", "outputs", "saved", "version", "watched", "within")

    def __init__(self, version, inputs: tuple, outputs: tuple, many: bool, saved):
        self.version = version
        self.saved = saved
        self.edges = tuple([_edge(x) for x in inputs])
        self.outputs = tuple([(y.shape, y.dtype) for y in outputs])
        self.many = many
        self.watched = {}
        self.freed = False
        self.lock = ReadOnly(saved) if is_debugging() else None
        modules = running.modules
        self.within = (modules[0], modules[-1]) if modules else None

    def __repr__(self) -> str:
        return f"Node({self.version})"

    def free(self) -> None:
        """Release everything that only backward needed."""
        self.saved, self.edges, self.watched, self.lock, self.within, self.freed = None, (), {}, None, None, True


class Edge(NamedTuple):
    """Where the gradient of an input goes when that input is output number `output` of another Node."""

    node: Node
    output: int


class Step(NamedTuple):
    """One Node's turn in a backward walk, as `backward_steps` yields it. Printed, it is one line:

        layer_norm[numba] in blocks.0.attention_norm: dy (2, 5, 64) -> x (2, 5, 64), weight (64,), bias (64,)

    op       the op's name
    version  which version's backward ran
    dy       the gradient that came in (a tuple for an op with several outputs)
    grads    the gradients that went out, one per input of the op; None for an input without one
    inputs   for each input the leaf Tensor that it was, or the name of the op that made it, or None
    within   the outermost and the innermost Module in which the op ran, None outside of all
    """

    op: str
    version: str
    dy: Any
    grads: tuple
    inputs: tuple
    within: tuple | None = None

    @property
    def path(self) -> str | None:
        """The path of the module in which the op ran, as the model that was called names it, "" for the model itself;
        None outside of all modules, and in one that the model does not hold."""
        if self.within is None:
            return None
        model, module = self.within
        return next((path for path, inside in model.named_modules() if inside is module), None)

    @property
    def place(self) -> str:
        """Which version ran, and where: "layer_norm[numba] in blocks.0.attention_norm"."""
        where = "" if self.within is None else f" in {self.path or type(self.within[1]).__name__}"
        return f"{self.op}[{self.version}]{where}"

    def __str__(self) -> str:
        dys = self.dy if isinstance(self.dy, tuple) else (self.dy,)
        arrived = ", ".join("none" if dy is None else str(tuple(dy.shape)) for dy in dys)
        named = zip(_input_names(self.op, len(self.grads)), self.grads, strict=True)
        gone = ", ".join(f"{name} {tuple(g.shape)}" for name, g in named if g is not None)
        return f"{self.place}: dy {arrived} -> {gone or 'nothing'}"

    __repr__ = __str__


def _edge(x):
    if not isinstance(x, Tensor) or not x.requires_grad:
        return None
    return x if x.node is None else Edge(x.node, x.output)


def apply(op: str, *inputs: Any, **settings: Any) -> Any:
    """Run the op on the data of `inputs` (Tensors, arrays, or None) and put it on the tape.

    Returns a Tensor, or a tuple of them for an op with several outputs. Gradients flow only to inputs that are Tensors
    and require them. Raises TypeError for dtypes that don't go together, and whatever the op's `check` raises.
    """
    arrays = _arrays(op, inputs)
    if settings:  # as Python numbers: NumPy's float64 scalars would turn float32 arrays into float64
        settings = {name: s.item() if isinstance(s, np.generic) else s for name, s in settings.items()}
    version = registry.choose(op, arrays, settings)
    done = version.forward(*on_one_device(op, arrays), **settings)
    if not isinstance(done, tuple) or len(done) != 2:
        raise TypeError(f"{version}: forward should return (y, saved), and returned {shown(done)}")
    result, saved = done
    many = isinstance(result, tuple)
    ys = [y if is_array(y) else _as_output(version, y) for y in (result if many else (result,))]
    node = None
    if is_grad_enabled() and any([isinstance(x, Tensor) and x.requires_grad for x in inputs]):
        node = Node(version, inputs, tuple(ys), many, saved)
    tensors = tuple([_output(y, node, i) for i, y in enumerate(ys)])
    return tensors if many else tensors[0]


def _as_output(version: registry.Version, y: Any) -> Array:
    """An output that is no array: np.sum of a vector is a NumPy scalar. Raises TypeError for anything else."""
    if not isinstance(y, np.generic):
        raise TypeError(f"{version}: forward should return an array as y, and returned {shown(y)}")
    return np.asarray(y)


def _output(array: Array, node: Node | None, i: int) -> Tensor:
    """The Tensor for output number i of an op; it need not look at the array as Tensor(array) does."""
    tensor = Tensor.__new__(Tensor)
    tensor.data, tensor.grad, tensor.requires_grad = array, None, node is not None
    tensor.node, tensor.output = node, i
    return tensor


def _arrays(op: str, inputs: tuple) -> tuple:
    """What the pair takes: the data of Tensors, arrays, and None where the op may do without. Raises TypeError."""
    arrays, dtypes = [], []
    for i, x in enumerate(inputs):
        a = x.data if isinstance(x, Tensor) else x
        if type(a) is not np.ndarray:
            a = _as_it_should_be(op, i, a)
        arrays.append(a)
        if a is not None and a.dtype not in dtypes and a.dtype.kind not in "iub":
            dtypes.append(a.dtype)
    unknown = [d for d in dtypes if d not in FLOATS]
    if unknown:
        raise TypeError(f"{op}: expected float32 or float64, got {unknown[0]}: convert with .astype()")
    if len(dtypes) > 1:
        of_tensors = {x.data.dtype for x in inputs if isinstance(x, Tensor) and is_float(x.data)}
        if len(of_tensors) == 1:  # a constant from NumPy, which makes float64 of all it can, follows the Tensors
            dtype = of_tensors.pop()
            return tuple([a.astype(dtype) if is_float(a) and a.dtype != dtype else a for a in arrays])
        given = ", ".join(f"{a.dtype}{tuple(a.shape)}" for a in arrays if a is not None)
        raise TypeError(f"{op}: float32 and float64 don't mix, got {given}: convert one side with .astype()")
    return tuple(arrays)


def _as_it_should_be(op: str, i: int, a):
    """An input that is not a plain NumPy array: another kind of array, a subclass's made plain, None if allowed."""
    if isinstance(a, np.ndarray):
        return bare(op, a)
    if is_array(a):
        return a
    if isinstance(a, Tensor):  # its input is a Tensor, whose data was set to it
        raise TypeError(f"{op}: .data {HOLDS_A_TENSOR}")
    if a is not None:
        raise TypeError(f"{op}: expected Tensors or arrays, got {kind(a)}: {conversion(a)}")
    takes = catalogue.takes(op)
    if takes.many or i < takes.required:
        name = takes.arrays[i] if i < len(takes.arrays) else takes.many
        raise TypeError(f"{op}: expected Tensors or arrays, got None as {name}")
    return None


def _input_names(op: str, n: int) -> list[str]:
    """What an op calls its n inputs."""
    try:
        takes = catalogue.takes(op)
    except ValueError:  # not an op: recompute
        return ["input"] if n == 1 else [f"input[{i}]" for i in range(n)]
    names = list(takes.arrays[:n])
    return names + [f"{takes.many}[{i}]" for i in range(n - len(names))]


# --- backward ----------------------------------------------------------------------------------------------------


def backward(self: Tensor, grad=None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
    """Add d self / d leaf to `.grad` of every leaf that this Tensor was computed from, and free the graph.

    `grad` is the upstream gradient, shaped like self; it may be left out when self has a single element.
    Raises RuntimeError when there is no graph, or when an earlier backward has freed it, TypeError for what PyTorch's
    has besides: retain_graph=True and create_graph=True.
    """
    if retain_graph:
        raise TypeError("backward: no retain_graph: a graph is walked once; add up the losses, or run forward again")
    if create_graph:
        raise TypeError("backward: no create_graph: there are no second derivatives")
    deque(_walk(self, _starting_gradient(self, grad), in_place=True), maxlen=0)


def backward_steps(self: Tensor, grad=None) -> Iterator[Step]:
    """Backward, one Node at a time: yields a Step after each Node's backward has run, before the next one does.

    What a Step holds never changes: gradients add up in new arrays. A walk left halfway leaves the graph half freed.
    """
    return _walk(self, _starting_gradient(self, grad), in_place=False)


Tensor.backward, Tensor.backward_steps = backward, backward_steps


def _starting_gradient(root: Tensor, grad) -> Array:
    if not root.requires_grad:
        raise RuntimeError(
            "backward: this Tensor was not computed from anything that requires a gradient "
            "(or inside no_grad): mark inputs with requires_grad=True"
        )
    if grad is None:
        if root.size != 1:
            raise RuntimeError(
                f"backward: a gradient can be left out only for a Tensor with one element, this one has shape "
                f"{root.shape}: reduce it (.sum(), .mean()) or pass backward(grad)"
            )
        return np.ones_like(root.data)
    grad = as_array(grad.data if isinstance(grad, Tensor) else grad, root.dtype, "backward")
    if grad.shape != root.shape:
        raise ValueError(f"backward: expected a gradient of shape {root.shape}, got {grad.shape}")
    return grad.copy()  # it may be some leaf's .grad, which this backward adds to


def _walk(root: Tensor, grad: Array, in_place: bool) -> Iterator[Step]:
    """Visit the Nodes below `root`, each once, each after every Node that used one of its outputs.

    in_place  whether to add up in the arrays of the gradients that came first, which the Steps hold
    """
    if root.node is None:
        accumulate(root, grad)
        return
    pending, waiting, ready = Pending(in_place), _count_uses(root.node), [root.node]
    pending.start(root.node, root.output, grad)
    while ready:
        yield _visit(ready.pop(), pending, waiting, ready)  # between two turns nothing is held but the Step


def _visit(node: Node, pending: Pending, waiting: dict[Node, int], ready: list[Node]) -> Step:
    """A Node's turn: take the gradients of its outputs, run its backward, and add what comes out to its inputs' sums.

    waiting  Node -> how many of its users are still to come; where none is left, this turn adds the Node to `ready`
    """
    dys = pending.take(node)  # (): every user sent None, but those below may be waiting for this Node
    dy = (dys if node.many else dys[0]) if dys else None
    grads = _run_backward(node, dy, pending) if dys else (None,) * len(node.edges)
    for edge, dx in zip(node.edges, grads, strict=True):
        if isinstance(edge, Edge):
            if dx is not None:
                pending.add(*edge, dx, dys, grads)
            waiting[edge.node] -= 1
            if waiting[edge.node] == 0:
                ready.append(edge.node)
        elif edge is not None and dx is not None:
            pending.add_to_leaf(edge, dx, dys, grads)
    inputs = tuple([e.node.version.op if isinstance(e, Edge) else e for e in node.edges])
    step = Step(node.version.op, node.version.name, dy, grads, inputs, node.within)
    node.free()
    return step


def _count_uses(root: Node) -> dict[Node, int]:
    """How many inputs of Nodes below `root` each Node's outputs feed. Iterative: graphs may be very deep."""
    uses = {root: 0}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.freed:
            raise RuntimeError(
                f"backward: the graph through {node.version.op} has been freed by an earlier backward(); "
                "run the forward again (sum the losses first if you need both)"
            )
        for edge in node.edges:
            if isinstance(edge, Edge):
                if edge.node not in uses:
                    uses[edge.node] = 0
                    stack.append(edge.node)
                uses[edge.node] += 1
    return uses


def _run_backward(node: Node, dy, pending: Pending) -> tuple:
    """Run the pair's backward and hold it to the contract."""
    node.freed = True  # already: a backward that fails halfway may have used up what forward saved
    grads = node.version.backward(dy, node.saved)
    if grads is None:
        raise ValueError(f"{node.version}: backward returned None: does it end with return? (For no gradient, (None,))")
    if not isinstance(grads, tuple):
        grads = (grads,)
    if len(grads) != len(node.edges):
        raise ValueError(
            f"{node.version}: backward must return one gradient per input: "
            f"forward took {len(node.edges)}, backward returned {len(grads)}"
        )
    grads = [np.asarray(g) if isinstance(g, np.generic) else g for g in grads]
    for i, (edge, dx) in enumerate(zip(node.edges, grads, strict=True)):
        if edge is None or dx is None:
            continue
        shape, dtype = (edge.shape, edge.dtype) if isinstance(edge, Tensor) else edge.node.outputs[edge.output]
        if isinstance(dx, Tensor):
            raise TypeError(f"{node.version}: backward works on arrays and returned a Tensor (no second derivatives)")
        if not is_gradient(dx):
            raise TypeError(f"{node.version}: gradient {i} should be an array, backward returned {type(dx).__name__}")
        if dx.shape != shape or dx.dtype != dtype:
            raise ValueError(
                f"{node.version}: gradient {i} should be {dtype}{tuple(shape)} like input {i}, "
                f"backward returned {dx.dtype}{tuple(dx.shape)}"
            )
        grads[i] = pending.dense(dx, edge if isinstance(edge, Tensor) else None)
    return tuple(grads)


def __getattr__(name: str):
    raise missing("autograd", name, AUTOGRAD, __all__)
