"""Sequential, ModuleList and ModuleDict: Modules that hold others by number or name.

A plain list or dictionary as an attribute of a Module does the same, and gives the same paths. These have PyTorch's
names, and are Modules themselves: they can be called (Sequential), printed, watched and moved alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module


class _Numbered(Module):
    """Modules as attributes with numbers for names, so that the path to the first one is 0."""

    def _named(self) -> dict[str, Module]:
        return {name: thing for name, thing in vars(self).items() if isinstance(thing, Module)}

    def _items(self) -> list[Module]:
        return [*self._named().values()]

    def _put(self, modules: Iterable[Module]) -> None:
        """Hold these in place of those so far, numbered anew."""
        modules = [self._checked(str(i), module) for i, module in enumerate(modules)]
        for name in self._named():
            delattr(self, name)
        for i, module in enumerate(modules):
            self._add(str(i), module, Module)

    def _checked(self, name: str, module: Module) -> Module:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected Modules, got {shown(module)} as number {name}")
        return module

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items())

    def __bool__(self) -> bool:
        return True  # an empty one is a Module too

    def __getitem__(self, index: int | slice) -> Module:
        """The Module at an index; for a slice, a new container of the same kind that shares its Modules."""
        if not isinstance(index, slice):
            return self._items()[index]
        return self._part(dict([*self._named().items()][index]))

    def _part(self, named: dict[str, Module]) -> Module:
        kind: Any = type(self)
        return kind([*named.values()])

    def __setitem__(self, index: int, module: Module) -> None:
        name = [*self._named()][integer(type(self).__name__, "an index", index)]
        self._add(name, self._checked(name, module), Module)

    def __delitem__(self, index: int | slice) -> None:
        items = self._items()
        del items[index]
        self._put(items)

    def __add__(self, modules: Iterable[Module]):
        """A new container of the same kind with the Modules of both, numbered."""
        if not isinstance(modules, Iterable):
            return NotImplemented
        both = self[:]
        both._put([*self, *modules])
        return both

    def pop(self, index: int = -1) -> Module:
        """Take a Module out, and return it."""
        module = self[index]
        del self[index]
        return module

    def append(self, module: Module):
        """Add a Module at the end, under the next number. Returns self."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]):
        """Add several Modules at the end, under the next numbers. Returns self."""
        here = self._named()
        new = {str(i): self._checked(str(i), module) for i, module in enumerate(modules, len(here))}
        for name in new:
            if name in here:
                raise KeyError(f"{type(self).__name__}: the name {name} is taken")
        for name, module in new.items():
            self._add(name, module, Module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a Module before the one at an index."""
        items = self._items()
        items.insert(integer("insert", "index", index), module)
        self._put(items)


class Sequential(_Numbered):
    """Modules that run one after the other: Sequential(Linear(4, 8), ReLU(), Linear(8, 2))(x).

    A dictionary as the only argument names them: Sequential({"up": Linear(4, 8), "down": Linear(8, 4)}).
    """

    def __init__(self, *modules: Module):
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self._add(name, module, Module)
        else:
            self._put(modules)

    def _part(self, named):
        part = type(self)()
        for name, module in named.items():
            part._add(name, module, Module)
        return part

    def forward(self, x: Any) -> Tensor:
        for module in self._items():
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of Modules. It has no forward: the Module that holds it says how they run."""

    def __init__(self, modules: Iterable[Module] | None = None):
        if isinstance(modules, Module) and not isinstance(modules, _Numbered):
            raise TypeError(f"ModuleList: expected a list of Modules, got {shown(modules)}: put it in a list")
        self._put(modules or ())


class ModuleDict(Module):
    """Modules by name. It has no forward: the Module that holds it says how they run.

    Names are attributes too, so a name that Module uses itself, such as `train`, is a KeyError.
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        self.update(modules or ())

    def _names(self) -> dict[str, Module]:
        return {name: thing for name, thing in vars(self).items() if isinstance(thing, Module)}

    def update(self, modules: "Mapping[str, Module] | Iterable[tuple[str, Module]]") -> None:
        """Add the Modules of a dictionary, or of (name, Module) pairs."""
        pairs: Any = modules.items() if isinstance(modules, Mapping | ModuleDict) else modules
        for name, module in dict(pairs).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if module is None:
            raise TypeError(f"ModuleDict: expected a Module as {name}, got None")
        self._add(name, module, Module)

    def __getitem__(self, name: str) -> Module:
        return self._names()[name]

    def __delitem__(self, name: str) -> None:
        del self._names()[name]
        delattr(self, name)

    def __contains__(self, name) -> bool:
        return name in self._names()

    def __len__(self) -> int:
        return len(self._names())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def keys(self):
        """The names."""
        return self._names().keys()

    def values(self):
        """The Modules."""
        return self._names().values()

    def items(self):
        """(name, Module) pairs."""
        return self._names().items()

    def pop(self, name: str) -> Module:
        """Take a Module out, and return it."""
        module = self[name]
        del self[name]
        return module
