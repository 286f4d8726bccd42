"""Module: a part of a model, which holds Parameters and other Modules and can be called.

    class Shift(Module):
        def __init__(self, c):
            self.by = Parameter(np.zeros(c, np.float32))

        def forward(self, x):
            return x + self.by

There is nothing to register. A Module finds what it holds by walking over its attributes, in the order in which they
were set, and through lists, tuples and dictionaries among them. The path to a Parameter is its name: in
`blocks.0.norm.bias`, `blocks` is an attribute of the model, a list, and `norm` is an attribute of its first element.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import flag
from tinygrad_gpt.array import cast_or_move, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.habits import MODULE, tells
from tinygrad_gpt.modes import watches
from tinygrad_gpt.nn.watching import Watch, show
from tinygrad_gpt.state_dict import check_state, plain_state


class Parameter(Tensor):
    """A Tensor that is trained: it requires a gradient, unless it is frozen, and the Module that holds it finds it."""

    __slots__ = ()

    def __init__(self, data, requires_grad: bool = True, *, dtype=None):
        super().__init__(data, requires_grad=requires_grad, dtype=dtype)


@tells(MODULE)
class Module:
    """Base of layers and models. A subclass writes `forward`; calling the Module calls it."""

    training = True  # train() and eval() set it on the instance; Dropout asks it

    def forward(self, *inputs, **settings):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs, **settings):
        y = self.forward(*inputs, **settings)
        if watches.get():
            show(self, output=y)
        return y

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_parameters():,} parameters in {len(self.parameters())} Tensors)"

    # --- what it holds ---

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, Parameter) for each Parameter, in the order of the walk, once: under the first of its names."""
        seen = set()
        for name, leaf in _walk(self, "", set()):
            if isinstance(leaf, Parameter) and id(leaf) not in seen:
                seen.add(id(leaf))
                yield name, leaf

    def parameters(self) -> list[Parameter]:
        """All Parameters, each once, in the order of the walk."""
        return [p for _, p in self.named_parameters()]

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """(path, Module) for this Module, whose path is "", and for all those inside it, each once."""
        return ((path, thing) for path, thing in _walk(self, "", set()) if isinstance(thing, Module))

    def modules(self) -> list["Module"]:
        """This Module and all those inside it, each once."""
        return [module for _, module in self.named_modules()]

    def path_of(self, module: "Module") -> str:
        """The path of a Module inside this one, such as blocks.0.attention. Raises ValueError if it is not inside."""
        for path, inside in self.named_modules():
            if inside is module:
                return path
        raise ValueError(f"{type(self).__name__}: this {type(module).__name__} is not inside")

    def watching(self, *patterns: str) -> Watch:
        """Inside this block, watch the modules with paths that fit a pattern; without patterns, all of them. See
        nn/watching.py. Raises ValueError for a pattern that fits no path."""
        return Watch(dict(self.named_modules()), patterns)

    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.size for p in self.parameters())

    # --- what it does to all of them ---

    def train(self, mode: bool = True) -> "Module":
        """Set training mode (dropout drops), or evaluation mode, on this Module and on all inside it. Returns self."""
        mode = flag("train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Set evaluation mode (dropout does nothing). Returns self."""
        return self.train(False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside this block evaluation mode is set; after it, every Module has its earlier mode again."""
        before = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            yield
        finally:
            for module, training in before:
                module.training = training

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    def to(self, dtype_or_device) -> "Module":
        """Convert all Parameters to float32 or float64, or move them to a device ("cuda", "cpu", "auto"), in place;
        their gradients are forgotten, and tied weights stay tied. Do it before you make an optimiser, which has arrays
        like them. Returns self."""
        for p in self.parameters():
            p.data, p.grad = cast_or_move(p.data, dtype_or_device), None
        return self

    # --- saving and loading ---

    def state_dict(self) -> dict[str, np.ndarray]:
        """Name -> array for every Parameter. On the CPU these are its own arrays: copy them to keep a snapshot."""
        return {name: to_numpy(p.data) for name, p in self.named_parameters()}

    def load_state_dict(self, state: dict[str, Any], strict: bool = True) -> None:
        """Copy the arrays of `state` into the Parameters of those names, which keep their dtype and their memory.

        Raises ValueError that lists every name that is missing, unexpected, or has another shape, and loads nothing
        then. strict=False skips missing and unexpected names; another shape is still an error.
        """
        parameters, state = dict(self.named_parameters()), plain_state(state)
        check_state(type(self).__name__, {name: p.data for name, p in parameters.items()}, state, strict)
        for name, p in parameters.items():
            if name in state:
                p.data[...] = np.asarray(state[name], dtype=p.dtype, like=p.data)


def _walk(thing: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """(name, thing) for every Module and Parameter inside `thing`, itself first. Each Module, list or dictionary is
    visited once, under its first name: so a Module may hold its parent. `seen`: ids of what was visited."""
    if isinstance(thing, Parameter):
        yield name, thing
    if not isinstance(thing, Module | dict | list | tuple) or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Module):
        yield name, thing
        children = vars(thing).items()
    else:
        children = thing.items() if isinstance(thing, dict) else enumerate(thing)
    for key, child in children:
        yield from _walk(child, f"{name}.{key}" if name else str(key), seen)
