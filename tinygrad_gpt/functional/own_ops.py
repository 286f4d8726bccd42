"""An op of one's own: a pair of functions on arrays becomes a function of Tensors."""

import inspect
from collections.abc import Callable
from typing import Any, cast

from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.errors import did_you_mean
from tinygrad_gpt.kernels import catalogue, registry
from tinygrad_gpt.kernels.contract import Inputs
from tinygrad_gpt.operands import operand


def op(name: str, forward: Callable | None = None, backward: Callable | None = None, *, cases=None) -> Callable:
    """Make a new op of a pair, and return it as a function of Tensors, which is on the tape like any other.

        def forward(x, weight, *, eps=1e-5):
            rstd = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
            return x * rstd * weight, (x, weight, rstd)

        def backward(dy, saved): ...                       # -> (dx, dweight)

        my_norm = tg.op("my_norm", forward, backward)
        my_norm(x, weight, eps=1e-6).sum().backward()

    name      what `explain`, `using`, `register`, `check_op` and the tape call it
    forward   (*arrays, **settings) -> (y, saved), or y a tuple of arrays; a parameter that is keyword-only, or has a
              default other than None, is a setting
    backward  (dy, saved) -> one gradient per array, None where there is none
    cases     inputs to check it on, as `tinygrad_gpt.check.check_op` takes them

    The pair is the op's reference. `register` gives the op a faster one, which is compared with it. In place of the two
    functions, `forward` may be an object that has both: a module, a class. With the name alone, `op` returns the
    function of an op that is made elsewhere, before the first call. Making an op again replaces it.

    Raises ValueError for a name that the package has, and TypeError for functions that are no pair. (PyTorch calls
    it a custom Function.)
    """
    if forward is None and backward is None:
        if why := catalogue.why_no_name(name):
            raise ValueError(f"op: {why}; functional.{name} is its function" if name in registry.op_names() else why)
        return _function(name)
    if backward is None and hasattr(forward, "forward") and hasattr(forward, "backward"):
        both: Any = forward
        forward, backward = both.forward, both.backward
    registry.define(name, cast(Callable, forward), cast(Callable, backward), cases)
    return _function(name)


def _function(name: str) -> Callable:
    """The op as a function of Tensors, with forward's signature and docstring."""

    def function(*arrays, **settings) -> Tensor | tuple[Tensor, ...]:
        if catalogue.own_op(name) is None:
            near = did_you_mean(name, catalogue.own_ops())
            raise ValueError(
                f"there is no op {name!r} of your own{near}: make it with op({name!r}, forward, backward), "
                "or give `tinygrad-gpt train` its file, --with"
            )
        takes = catalogue.takes(name)
        if not takes.many and (len(arrays) != len(takes.arrays) or not settings.keys() <= takes.settings.keys()):
            arrays, settings = _sorted_out(name, takes, arrays, settings)
        return apply(name, *[None if a is None else operand(name, a) for a in arrays], **settings)

    function.__name__ = function.__qualname__ = name
    if made := catalogue.own_op(name):
        function.__doc__, function.__signature__ = made.forward.__doc__, inspect.signature(made.forward)
    return function


def _sorted_out(name: str, takes: Inputs, arrays: tuple, settings: dict) -> tuple[tuple, dict]:
    """(an entry for each array that the op takes, the settings), where arrays are given by their names or left out, or
    settings by their place."""
    signature = inspect.signature(catalogue.reference(name).forward)
    places = [p.name for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = dict(zip(places, arrays, strict=False))
    call = f"{name}{signature}"
    if len(arrays) > len(given):
        raise TypeError(f"{call}: expected at most {len(given)} arguments without a name, got {len(arrays)}")
    for key, value in settings.items():
        if key in given:
            raise TypeError(f"{call}: got {key} twice, by its place and by its name")
        if key not in takes.settings and key not in takes.arrays and not takes.open:
            near = did_you_mean(key, [*takes.settings, *takes.arrays])
            raise TypeError(f"{call}: there is no setting {key}{near}")
        given[key] = value
    missing = [key for key in takes.arrays[: takes.required] if key not in given]
    if missing:
        raise TypeError(f"{call}: expected {takes.required} arrays, and {', '.join(missing)} is missing")
    return tuple(given.pop(key, None) for key in takes.arrays), given
