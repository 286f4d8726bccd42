"""Which ops there are: those of the textbook, ops/NAME.py, and the user's own.

An op of the user's own has no file. The pair that it is made with is its reference, and stands here for the module.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tinygrad_gpt import ops
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import did_you_mean
from tinygrad_gpt.kernels.contract import Inputs, inputs, of_backward

PACKAGE = __name__.split(".")[0]
ROUTINES = ("adamw", "block_step", "likeliest", "sum_squares")


@dataclass(frozen=True, eq=False)
class OwnOp:
    """An op of the user's own.

    cases  what it is checked on, as the user gave them (see cases/given.py); None for none
    """

    forward: Callable
    backward: Callable
    cases: Any = None


_own: dict[str, OwnOp] = {}


@cache
def op_names() -> tuple[str, ...]:
    """The package's ops: the files of `tinygrad_gpt/ops`, less routines and names that begin with an underscore."""
    names = (m.name for m in pkgutil.iter_modules(ops.__path__))
    return tuple(sorted(n for n in names if not n.startswith("_") and n not in ROUTINES))


def all_ops() -> tuple[str, ...]:
    """The package's ops, and the user's own."""
    return (*op_names(), *_own)


def own_ops() -> tuple[str, ...]:
    """The user's own ops."""
    return tuple(_own)


def own_op(op: str) -> OwnOp | None:
    """The user's own op of this name, None where there is none."""
    return _own.get(op)


@cache
def reference(op: str) -> Any:
    """The module ops/NAME.py: `forward`, `backward`, and `check` where the op has rules about its inputs; or the
    OwnOp of this name."""
    if op in _own:
        return _own[op]
    if op not in op_names() + ROUTINES:
        raise ValueError(no_such_op(op))
    return importlib.import_module(f"{PACKAGE}.ops.{op}")


def no_such_op(op) -> str:
    """What to say about a name that no op has."""
    near = did_you_mean(op, all_ops())
    known = "`tinygrad-gpt op` lists the ops" if near else f"the ops are {', '.join(all_ops())}"
    return f"there is no op {shown(op)}{near}; {known}"


@cache
def takes(op: str) -> Inputs:
    """The arrays and settings that an op takes."""
    module = reference(op)
    return inputs(getattr(module, "check", module.forward))


def parts(op: str) -> tuple[str, ...]:
    """The ops whose work `op` does as one: its PARTS."""
    return getattr(reference(op), "PARTS", ())


@cache
def inside(op: str) -> frozenset[str]:
    """The ops whose work `op` does, and those whose work they do."""
    return frozenset(parts(op)).union(*[inside(part) for part in parts(op)])


def why_no_name(op) -> str | None:
    """Why a new op cannot have this name; None if it can."""
    if not isinstance(op, str) or not op.isidentifier() or op.startswith("_"):
        return f"expected a name such as 'my_norm', got {shown(op)}"
    if op in ROUTINES:
        return f"{op} is a routine of the package; a new op needs another name"
    if op in op_names():
        return (
            f"the package has {op} already: register({op!r}, forward, backward) runs your pair in its place; "
            "a new op needs another name"
        )
    return None


def add_own(op: str, own: OwnOp) -> None:
    """Enter an op of the user's own, in place of an earlier one of this name.

    Raises ValueError for a name that the package has, or that is no name; TypeError for functions that are no pair.
    """
    if why := why_no_name(op):
        raise ValueError(f"op: {why}")
    if not callable(own.forward):
        raise TypeError(f"op {op}: expected a function as forward, got {shown(own.forward)}")
    found = inputs(own.forward)
    if found is None or not (found.arrays or found.many):
        raise TypeError(f"op {op}: expected forward(x, ..., *, setting=...), which takes an array at least")
    if wrong := of_backward(own.backward):
        raise TypeError(f"op {op}: {wrong[0]}; it returns one gradient for each array of forward")
    _own[op] = own
    reference.cache_clear()
    takes.cache_clear()


def remove_own(op: str) -> None:
    """Forget an op of the user's own."""
    del _own[op]
    reference.cache_clear()
    takes.cache_clear()
