"""Module: a part of a model, which holds Parameters and other Modules and can be called.

    class Shift(Module):
        def __init__(self, c):
            self.by = Parameter(np.zeros(c, np.float32))

        def forward(self, x):
            return x + self.by

There is nothing to register, and nothing to call first (`super().__init__()` does no harm). A Module finds what it
holds by walking over its attributes, in the order in which they were set, and through lists, tuples and dictionaries
among them. The path to a Parameter is its name: in `blocks.0.norm.bias`, `blocks` is an attribute of the model, a list,
and `norm` is an attribute of its first element. A tied Parameter has its first name.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from tinygrad_gpt.arguments import flag, shown
from tinygrad_gpt.array import cast_float_or_move, cast_or_move, is_array, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.habits import MODULE, tells
from tinygrad_gpt.modes import running, watches
from tinygrad_gpt.nn.saving import buffer_names, joined, saved_tensors, with_first_names
from tinygrad_gpt.nn.summary import table
from tinygrad_gpt.nn.watching import Watch, show
from tinygrad_gpt.operands import HasForward, P, R
from tinygrad_gpt.state_dict import check_state, plain_state


class Parameter(Tensor):
    """A Tensor that is trained, and that the Module which holds it finds. With requires_grad=False, which may be set at
    any time, it is frozen: it is still found, saved and loaded, and gets no gradient."""

    __slots__ = ()

    def __init__(self, data, requires_grad: bool = True, *, dtype=None):
        super().__init__(data, requires_grad=requires_grad, dtype=dtype)


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        """PyTorch's words."""
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _entered(method: Callable) -> Callable:
    """A method, at whose calls the Module counts among those that run (so that a Step can say where it ran)."""

    @functools.wraps(method)
    def entered(self, *inputs, **settings):
        modules = running.modules
        modules.append(self)
        try:
            return method(self, *inputs, **settings)
        finally:
            modules.pop()

    return entered


@tells(MODULE)
class Module:
    """Base of layers and models. A subclass writes `forward`; calling the Module calls it."""

    training = True  # train() and eval() set it on the instance; Dropout asks it

    if TYPE_CHECKING:  # of what stands at run time only: buffers, and Modules inside containers

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Raises TypeError for what would silently end a Parameter or a buffer of that name: only
        another Parameter takes a Parameter's place, only a Tensor or an array a buffer's; None takes either's."""
        held = vars(self)
        if value is not None and isinstance(held.get(name), Parameter) and not isinstance(value, Parameter):
            raise TypeError(
                f"{type(self).__name__}: expected a Parameter or None as {name}, got {shown(value)}: write "
                f"m.{name} = nn.Parameter(x), or m.{name}.data = x.data to keep the one that is there"
            )
        if value is not None and name in held.get("_buffers", ()) and not isinstance(value, Tensor):
            if not is_array(value):
                raise TypeError(f"{type(self).__name__}: expected a Tensor or None as {name}, got {shown(value)}")
            value = Tensor(value)
        super().__setattr__(name, value)

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if inspect.isfunction(vars(cls).get("loss")):  # training calls it in place of the Module
            cls.loss = _entered(cls.loss)

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self: HasForward[P, R], *inputs: P.args, **settings: P.kwargs) -> R:
        modules = running.modules
        modules.append(self)
        try:
            y = self.forward(*inputs, **settings)
        finally:
            modules.pop()
        if watches.get():
            show(self, output=y)
        return y

    # --- how it is printed ---

    def extra_repr(self) -> str:
        """The settings, as they stand in brackets when the Module is printed."""
        return ""

    def __repr__(self) -> str:
        """One line: a layer with its settings, anything else with its size."""
        extra, own = self.extra_repr(), list(self.parameters())
        size = f"{self.num_parameters():,} parameters in {len(own)} Tensors"
        return f"{type(self).__name__}({extra if extra or not own else size})"

    def __str__(self) -> str:
        """A table of the modules inside, with their parameters; for a layer, its one line."""
        return table(self, _held) if any(True for _ in self.children()) else repr(self)

    def _repr_pretty_(self, printer, cycle: bool) -> None:
        """What a notebook shows of it."""
        printer.text(str(self))

    # --- what it holds ---

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(name, Parameter) for each Parameter, in the order of the walk, frozen ones too, once: under the first of
        its names.

        prefix            put before each name, with a dot
        recurse           whether those of the Modules inside are among them
        remove_duplicate  False: also under its other names
        """
        seen = set()
        for name, leaf in _walk(self, prefix, set(), remove_duplicate) if recurse else _held(self, prefix):
            if isinstance(leaf, Parameter) and not (remove_duplicate and id(leaf) in seen):
                seen.add(id(leaf))
                yield name, leaf

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All Parameters, each once, in the order of the walk. An iterator: it gives them once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(name, Tensor) for each buffer (see `register_buffer`); the arguments are those of named_parameters."""
        seen = set()
        for path, module in _walk(self, prefix, set(), remove_duplicate) if recurse else [(prefix, self)]:
            for name in buffer_names(module):
                tensor = getattr(module, name)
                if tensor is not None and not (remove_duplicate and id(tensor) in seen):
                    seen.add(id(tensor))
                    yield joined(path, name), tensor

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once. An iterator."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """(path, Module) for this Module, whose path is "", and for all those inside it, each once."""
        return ((path, thing) for path, thing in _walk(self, "", set()) if isinstance(thing, Module))

    def modules(self) -> Iterator["Module"]:
        """This Module and all those inside it, each once. An iterator."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """(name, Module) for each Module that this one holds itself, in attributes, lists and dictionaries, once."""
        seen = {id(self)}
        for name, thing in _held(self, ""):
            if isinstance(thing, Module) and id(thing) not in seen:
                seen.add(id(thing))
                yield name, thing

    def children(self) -> Iterator["Module"]:
        """The Modules that this one holds itself, each once. An iterator."""
        return (module for _, module in self.named_children())

    def path_of(self, module: "Module") -> str:
        """The path of a Module inside this one, such as blocks.0.attention. Raises ValueError if it is not inside."""
        for path, inside in self.named_modules():
            if inside is module:
                return path
        raise ValueError(f"{type(self).__name__}: this {type(module).__name__} is not inside")

    def get_submodule(self, target: str) -> "Module":
        """The Module at a path. Raises AttributeError if there is none."""
        return self._at(target, Module)

    def get_parameter(self, target: str) -> Parameter:
        """The Parameter of a name, tied ones under each of their names. Raises AttributeError if there is none."""
        return self._at(target, Parameter)

    def _at(self, target: str, kind: type) -> Any:
        for path, thing in _walk(self, "", set(), once=False):
            if path == target and isinstance(thing, kind):
                return thing
        raise AttributeError(f"{type(self).__name__} has no {kind.__name__} at {shown(target)}")

    def watching(self, *patterns: str) -> Watch:
        """Inside this block, watch the modules with paths that fit a pattern; without patterns, all of them. See
        nn/watching.py. Raises ValueError for a pattern that fits no path."""
        return Watch(dict(self.named_modules()), patterns)

    def num_parameters(self, trained: bool | None = None) -> int:
        """How many numbers the Parameters hold: all of them (None), those that are trained (True), or those that are
        frozen (False): Parameters whose requires_grad was set to False."""
        return sum(p.size for p in self.parameters() if trained is None or p.requires_grad is trained)

    # --- what may be added to it by name ---

    def add_module(self, name: str, module: "Module | None") -> None:
        """As self.NAME = module. Raises KeyError for a name that is no attribute's, or is one of Module's own."""
        self._add(name, module, Module)

    register_module = add_module

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """As self.NAME = param."""
        self._add(name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """self.NAME = tensor, which belongs to the model but is not trained, such as a mask: `to` moves it, and
        state_dict holds it if it is persistent. An array becomes a Tensor. (An attribute that is not registered stays
        where it is.)"""
        self._add(name, Tensor(tensor) if is_array(tensor) else tensor, Tensor)
        vars(self).setdefault("_buffers", {})[name] = flag("register_buffer", "persistent", persistent)

    def _add(self, name: str, thing, kind: type) -> None:
        if not isinstance(name, str) or not name or "." in name or hasattr(type(self), name):
            raise KeyError(f"{type(self).__name__}: expected a free name without dots, got {shown(name)}")
        if thing is not None and not isinstance(thing, kind):
            raise TypeError(f"{type(self).__name__}: expected a {kind.__name__} or None as {name}, got {shown(thing)}")
        setattr(self, name, thing)

    # --- what it does to all of them ---

    def apply(self, fn: Callable[["Module"], Any]) -> Self:
        """Call fn(module) for every Module inside, and for this one last. Returns self."""
        for module in _inside_first(self, set()):
            fn(module)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all Parameters (False), or train them again (True). Returns self."""
        requires_grad = flag("requires_grad_", "requires_grad", requires_grad)
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode (dropout drops), or evaluation mode, on this Module and on all inside it. Returns self."""
        mode = flag("train", "mode", mode)
        for module in list(self.modules()):  # before the attribute is set: the walk goes over attributes
            module.training = mode
        return self

    def eval(self) -> Self:
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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; with set_to_none=False, fill them with zeros instead."""
        for p in self.parameters():
            if flag("zero_grad", "set_to_none", set_to_none):
                p.grad = None
            elif p.grad is not None:
                p.grad[...] = 0

    def to(self, dtype_or_device) -> Self:
        """Convert all Parameters and float buffers to float32 or float64, or move them and all buffers to a device
        ("cuda", "cpu", "auto"), in place; gradients are forgotten, and tied weights stay tied. Do it before you make an
        optimiser, which has arrays like them. Returns self."""
        for p in self.parameters():
            p.data, p.grad = cast_or_move(p.data, dtype_or_device), None
        for buffer in self.buffers():
            buffer.data = cast_float_or_move(buffer.data, dtype_or_device)
        return self

    def cpu(self) -> Self:
        """to("cpu")"""
        return self.to("cpu")

    def cuda(self) -> Self:
        """to("cuda")"""
        return self.to("cuda")

    def float(self) -> Self:
        """to(np.float32)"""
        return self.to(np.float32)

    def double(self) -> Self:
        """to(np.float64)"""
        return self.to(np.float64)

    # --- saving and loading ---

    def state_dict(self) -> dict[str, np.ndarray]:
        """Name -> array for every Parameter, and for every persistent buffer after them. On the CPU these are the
        model's own arrays: copy them to keep a snapshot."""
        return {name: to_numpy(tensor.data) for name, tensor in saved_tensors(self).items()}

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the arrays of a state into the Parameters and buffers of those names, which keep their dtype and their
        memory. A tied Parameter may stand there under any of its names, or under several if they hold the same.

        Raises ValueError that lists every name that is missing, unexpected, or has another shape, and loads nothing
        then. strict=False skips missing and unexpected names, and returns them; another shape is still an error.
        """
        saved, state = saved_tensors(self), with_first_names(self, plain_state(state_dict))
        check_state(type(self).__name__, {name: p.data for name, p in saved.items()}, state, strict)
        for name, p in saved.items():
            if name in state:
                p.data[...] = np.asarray(state[name], dtype=p.dtype, like=p.data)
        return IncompatibleKeys([n for n in saved if n not in state], [n for n in state if n not in saved])


def _held(module: Module, path: str) -> Iterator[tuple[str, Any]]:
    """(name, thing) for every Module and Parameter that a Module holds itself: in its attributes, and in lists, tuples
    and dictionaries there."""
    stack, seen = [iter([(joined(path, name), thing) for name, thing in vars(module).items()])], set()
    while stack:
        name, thing = next(stack[-1], (None, None))
        if name is None:
            stack.pop()
        elif isinstance(thing, Module | Parameter):
            yield name, thing
        elif isinstance(thing, dict | list | tuple) and id(thing) not in seen:
            seen.add(id(thing))
            items = thing.items() if isinstance(thing, dict) else enumerate(thing)
            stack.append(iter([(joined(name, key), child) for key, child in items]))


def _walk(thing: Any, name: str, seen: set[int], once: bool = True) -> Iterator[tuple[str, Any]]:
    """(name, thing) for every Module and Parameter inside `thing`, itself first. Each Module is visited once, under its
    first name; without `once`, under all its names, but not inside itself: so a Module may hold its parent.

    seen  ids of the Modules that were visited
    """
    if isinstance(thing, Parameter):
        yield name, thing
    elif id(thing) not in seen:
        seen.add(id(thing))
        yield name, thing
        for path, child in _held(thing, name):
            yield from _walk(child, path, seen, once)
        if not once:
            seen.remove(id(thing))


def _inside_first(module: Module, seen: set[int]) -> Iterator[Module]:
    """Every Module inside, and then the Module itself, each once."""
    seen.add(id(module))
    for child in list(module.children()):
        if id(child) not in seen:
            yield from _inside_first(child, seen)
    yield module
