"""Look inside a model: what its parts return, how its attention looks around, and the gradients of both.

    with model.watching("blocks.*.attention", "blocks.*.feed_forward.up") as seen:
        model.loss(x, y).backward()
    seen["blocks.0.attention"].output    # a Tensor (B, T, C)
    seen["blocks.0.attention"].weights   # a Tensor (B, H, T, T)
    seen["blocks.0.attention"].grad      # an array (B, T, C): the gradient of `output`

A pattern is a module's path, in which each part may have the wildcards of fnmatch: `blocks.*` matches every block, and
nothing inside a block. The model computes the same as ever, but `recompute` keeps everything while it is watched.
"""

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import in_short
from tinygrad_gpt.modes import watches


@dataclass(slots=True)
class Seen:
    """What a module did when it was last called. (A Transformer calls its token_embedding for the source, then for the
    target: watch `model.encode` alone to see the former.)

    output   what its forward returned
    weights  the attention weights before dropout, without a gradient; None for modules other than attention
    """

    output: Any = None
    weights: Tensor | None = None

    @property
    def grad(self) -> "Array | tuple | None":
        """The gradient of `output`, None before backward; a tuple if the module returns several Tensors."""
        if isinstance(self.output, tuple):
            return tuple(getattr(y, "grad", None) for y in self.output)
        return getattr(self.output, "grad", None)


class Watch(dict):
    """Path -> Seen for every module that was called while its path was watched, in the order of the first calls.

    Raises KeyError, which says why, for a path that is not there.
    """

    def __init__(self, modules: dict[str, Any], patterns: tuple[str, ...]):
        super().__init__()
        for pattern in patterns:
            if not any([_fits(path, pattern) for path in modules]):
                raise ValueError(f"watching: no module is at {shown(pattern)}: {_hint(pattern, modules)}")
        fits = [path for path in modules if not patterns or any([_fits(path, pattern) for pattern in patterns])]
        self.path_of = {id(modules[path]): path for path in fits}

    def __enter__(self) -> "Watch":
        self._token = watches.set((*watches.get(), self))
        return self

    def __exit__(self, *error) -> None:
        watches.reset(self._token)

    def __missing__(self, path):
        if path in self.path_of.values():
            raise KeyError(f"{path} is watched, but it was not called")
        raise KeyError(f"{shown(path)} is not watched, but {in_short(', '.join(self.path_of.values()))}")


def is_watched(module) -> bool:
    """Whether anybody looks at this module now, in this thread."""
    return any([id(module) in watch.path_of for watch in watches.get()])


def show(module, **what) -> None:
    """Give those who watch `module` its `output`, or its `weights`; gradients of Tensors will be kept."""
    for watch in watches.get():
        if id(module) in watch.path_of:
            seen = watch.setdefault(watch.path_of[id(module)], Seen())
            for name, value in what.items():
                setattr(seen, name, value)
                for y in value if isinstance(value, tuple) else (value,):
                    if isinstance(y, Tensor) and y.requires_grad:
                        y.retain_grad()


def _fits(path: str, pattern: str) -> bool:
    if not isinstance(pattern, str):
        raise TypeError(f"watching: expected paths of modules as texts, got {shown(pattern)}")
    names, wanted = path.split("."), pattern.split(".")
    return len(names) == len(wanted) and all(map(fnmatchcase, names, wanted))


def _hint(pattern: str, modules: dict[str, Any]) -> str:
    """Patterns that fit something, the nearest first: paths with * in place of numbers."""
    paths = {".".join("*" if name.isdecimal() else name for name in path.split(".")): None for path in modules}
    near = difflib.get_close_matches(pattern, [path for path in paths if path], n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else "named_modules() lists all paths"
