"""What the functions call an axis: PyTorch's dim= and keepdim=, or NumPy's axis= and keepdims=."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

Axes = int | tuple[int, ...] | list[int] | None

Function = TypeVar("Function", bound=Callable)


class Default(int):
    """A default that can be told from the same value when it is given."""

    __repr__ = int.__repr__


class _No(Default):
    def __repr__(self) -> str:  # in help(): keepdim: bool = False
        return "False"


FIRST, LAST = Default(0), Default(-1)
NO: Any = _No(False)


def either(who: str, pytorchs, numpys, default=None, names: str = "dim= and axis="):
    """What was given, by PyTorch's name or by NumPy's; `default` where neither was. Raises TypeError for both."""
    if numpys is default:
        return pytorchs
    if pytorchs is not default:
        raise TypeError(f"{who}: {names} are two names of one argument: give one of them")
    return numpys


def keeps(who: str, keepdim, keepdims):
    return either(who, keepdim, keepdims, NO, "keepdim= and keepdims=")


def for_tensors(function: Function) -> Function:
    """Decorate a function so that dtype= and out=, which np.sum(x) hands on, raise an error that says what to do."""

    @functools.wraps(function)
    def called(*args, **settings):
        if "dtype" in settings or "out" in settings:
            name, given = function.__name__, "out" if "out" in settings else "dtype"
            raise TypeError(f"{name}: has no {given}=; np.{name} takes x.numpy()")
        return function(*args, **settings)

    return cast(Function, called)
