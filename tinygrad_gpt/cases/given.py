"""Cases that the user gives, for an op of their own: arrays, or shapes that random arrays are drawn for.

[(x, weight), (x, weight, {"eps": 1e-3})]       arrays, and after them settings
[((3, 5), (5,)), ((2, 3, 5), (5,))]             a shape for each array: normal numbers, the same at every call
[(3, 5), (7,)]                                  of an op with one array
{"one row": ((1, 5), (5,)), "a batch": ...}     with names
"""

from collections.abc import Mapping

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import is_array
from tinygrad_gpt.cases.case import Case
from tinygrad_gpt.cases.draw import Draw
from tinygrad_gpt.kernels.contract import Inputs, inputs

HOW_TO_GIVE = "arrays such as [(x, weight), ...], or shapes such as [((3, 5), (5,)), ((2, 3, 7), (7,))]"


def given_cases(op: str, cases, pair) -> list[Case]:
    """The cases that the user gave for `op`, whose arrays `pair` takes. Raises TypeError for what is neither arrays nor
    shapes, or too few or too many of them."""
    if isinstance(cases, str | bytes | np.ndarray) or not hasattr(cases, "__iter__"):
        raise TypeError(f"cases of {op}: expected {HOW_TO_GIVE}, got {shown(cases)}")
    named = cases.items() if isinstance(cases, Mapping) else ((f"case {i}", case) for i, case in enumerate(cases, 1))
    return [_case(op, name, case, inputs(getattr(pair, "forward", None))) for name, case in named]


def _case(op: str, name: str, given, takes: Inputs | None) -> Case:
    if hasattr(given, "arrays") and hasattr(given, "settings"):
        return given
    parts = [given] if _is_shape(given) or not isinstance(given, tuple | list) else list(given)
    settings = parts.pop() if parts and isinstance(parts[-1], dict) else {}
    if not parts:
        raise TypeError(f"{name} of {op}: expected at least one array or shape, got {shown(given)}")
    draw = Draw(f"{op}, {name}")
    arrays = tuple(_array(op, name, part, draw) for part in parts)
    if takes and not takes.many:
        arrays += (None,) * (len(takes.arrays) - len(arrays))  # what may be left out
        if len(arrays) > len(takes.arrays) or any(a is None for a in arrays[: takes.required]):
            names = ", ".join(takes.arrays)
            raise TypeError(f"{name} of {op}: expected an array or a shape for each of {names}, got {shown(given)}")
    shapes = " ".join("None" if a is None else str(a.shape) for a in arrays)
    told = "".join(f", {key}={shown(value)}" for key, value in settings.items())
    return Case(f"{name}, {shapes}{told}", arrays, settings)


def _array(op: str, name: str, part, draw: Draw):
    if part is None:
        return None
    if _is_shape(part):
        return draw.normal(*part)
    array = getattr(part, "data", part) if not is_array(part) else part  # of a Tensor
    array = np.asarray(array) if isinstance(array, float | list | np.generic) else array
    if not is_array(array) or array.dtype.kind not in "fiub":
        raise TypeError(f"{name} of {op}: expected arrays, shapes (tuples of integers) or None, got {shown(part)}")
    return array


def _is_shape(part) -> bool:
    return isinstance(part, tuple) and all(type(n) is int for n in part)
