"""An op's contract in one line, read off its reference; and what in a pair's signature does not keep it.

    contract(softmax)                      # forward(x, *, axis=-1) -> (y, saved); backward(dy, saved) -> dx
    disagreements(softmax, pair)           # ["forward lacks the setting axis=-1"]

Forward's parameters are arrays, and after them settings. A setting is a parameter that is keyword-only, or has a
default other than None: `eps=1e-5` is one, `bias=None` is an array that may be left out.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinygrad_gpt.arguments import shown


@dataclass(frozen=True)
class Inputs:
    """What a forward takes.

    arrays    names of the arrays, in their order
    required  how many of them it cannot do without
    many      the name of further ones, where it takes any number; else ""
    settings  name -> default; inspect.Parameter.empty where there is none
    open      whether it takes settings by any name
    """

    arrays: tuple[str, ...]
    required: int
    many: str
    settings: dict
    open: bool

    def takes_setting(self, name: str) -> bool:
        return self.open or name in self.settings or name in self.arrays  # a setting without a default looks like one


def inputs(function: Callable) -> Inputs | None:
    """What `function`, a forward or a check, takes; None where Python cannot tell (a builtin function)."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    arrays = [p for p in positional if p.default in (None, p.empty)]
    others = [p for p in parameters if p.kind is p.KEYWORD_ONLY or (p in positional and p not in arrays)]
    return Inputs(
        tuple(p.name for p in arrays),
        sum(p.default is p.empty for p in arrays),
        next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), ""),
        {p.name: p.default for p in others},
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def contract(reference) -> str:
    """The two calls that a pair for this op answers, in one line. `reference` is the op's own pair."""
    takes = inputs(getattr(reference, "forward", None))
    if takes is None:  # of an op of the user's own, which is not right yet
        return "forward(*arrays, **settings) -> (y, saved); backward(dy, saved) -> a tuple, one gradient for each array"
    without = _without_gradient(getattr(reference, "backward", None))
    grads = ", ".join("None" if i in without else f"d{name}" for i, name in enumerate(takes.arrays))
    grads = f"({grads})" if len(takes.arrays) > 1 else grads
    if takes.many:
        grads = f"a tuple, one gradient for each of {', '.join([*takes.arrays, takes.many])}"
    dy, saved = _names_of_two(getattr(reference, "backward", None))
    return f"forward{inspect.signature(reference.forward)} -> (y, saved); backward({dy}, {saved}) -> {grads}"


def _without_gradient(backward) -> set[int]:
    """Which gradients are None whatever the inputs, as those of token ids: what backward's last line says."""
    try:
        returned = ast.parse(textwrap.dedent(inspect.getsource(backward))).body[0].body[-1].value
    except (TypeError, OSError, SyntaxError, AttributeError):  # no function, no source, another last line
        return set()
    parts = returned.elts if isinstance(returned, ast.Tuple) else ()
    return {i for i, part in enumerate(parts) if isinstance(part, ast.Constant) and part.value is None}


def _names_of_two(backward) -> tuple[str, str]:
    try:
        dy, saved = inspect.signature(backward).parameters
    except (TypeError, ValueError):  # no function, or not of two parameters
        return "dy", "saved"
    return dy, saved


def file_of(pair) -> str | None:
    """The path of the file that a pair is written in, None for one that was typed in."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(pair.forward))
    except (TypeError, AttributeError):
        return None
    return file if file and Path(file).is_file() else None


def where_it_stands(op: str, reference) -> str:
    """The contract, and what to read: the file, and the command that prints it."""
    file, asks = file_of(reference), f"the contract of {op} is {contract(reference)}"
    if inspect.ismodule(reference):
        return f"{asks}; read {file}, or run `tinygrad-gpt op {op}`"
    return f"{asks}; its first pair is in {file}" if file else asks


def disagreements(reference, pair) -> list[str]:
    """What in the signatures of a pair keeps the op from calling it; [] if nothing does, or Python cannot tell."""
    lacks = [f"the pair has no {name}" for name in ("forward", "backward") if not hasattr(pair, name)]
    return lacks or [*_of_forward(inputs(reference.forward), pair.forward), *of_backward(pair.backward)]


def why_not_called(function: Callable, arrays: tuple, settings: dict) -> str | None:
    """Why Python would refuse this call; None where it would not, or cannot tell."""
    if not callable(function):
        return "it is no function"
    try:
        inspect.signature(function).bind(*arrays, **settings)
    except ValueError:  # a builtin
        return None
    except TypeError as error:
        return str(error)
    return None


def of_backward(backward: Callable) -> list[str]:
    if not callable(backward):
        return [f"backward should be a function, it is {shown(backward)}"]
    if why_not_called(backward, (None, None), {}):
        return [f"backward is called with (dy, saved), and takes {inspect.signature(backward)}"]
    return []


def _of_forward(op: Inputs, forward: Callable) -> list[str]:
    if not callable(forward):
        return [f"forward should be a function, it is {shown(forward)}"]
    own = inputs(forward)
    if own is None or op is None:
        return []
    # A parameter that is a setting of the op is one here too, whether it has a default or not.
    arrays = [name for name in own.arrays if name not in op.settings]
    required = [name for name in own.arrays[: own.required] if name not in op.settings]
    found = []
    if lacking := op.arrays[len(arrays) :] if not own.many else ():
        found.append(f"forward does not take {' and '.join(lacking)}: it takes {', '.join(arrays) or 'no arrays'}")
    elif len(required) > len(op.arrays) and not op.many:
        found.append(f"forward needs {len(required)} arrays ({', '.join(required)}), the op has {len(op.arrays)}")
    elif op.many and not own.many:
        found.append(f"forward takes {', '.join(arrays)}, and should take any number: *{op.many}")
    for name, default in op.settings.items():
        if not own.takes_setting(name):
            found.append(f"forward lacks the setting {_setting(name, default)}")
        elif default is not inspect.Parameter.empty and (
            name in own.arrays[: own.required] or own.settings.get(name) is inspect.Parameter.empty
        ):
            found.append(f"forward's setting {name} has no default, and should have {_setting(name, default)}")
    for name, default in own.settings.items():
        if default is inspect.Parameter.empty and name not in op.settings:
            found.append(f"forward needs a setting {name}, which the op does not have")
    return found


def _setting(name: str, default) -> str:
    return name if default is inspect.Parameter.empty else f"{name}={default!r}"
