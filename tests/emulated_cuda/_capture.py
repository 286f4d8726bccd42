"""Capturing what a stream is asked to do, as a graph that can be launched again and again.

A GPU records while a stream captures, and runs nothing. Here each step runs at once as well, since NumPy must have
values to go on with; but what it does is kept as (step, the arrays it gave), and `Graph.launch` runs the steps again on
the same memory. A step whose result has new memory writes there again; in the meantime anyone may have changed what the
first run left.
"""

import numpy as np

from tests.emulated_cuda import _memory
from tests.emulated_cuda._errors import CUDARuntimeError

CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED = 900, 901

_steps: list | None = None  # of the capture that is going on


def recording() -> bool:
    return _steps is not None


def begin() -> None:
    global _steps
    if _steps is not None:
        raise CUDARuntimeError(400, "a stream that captures already")
    _steps = []


def end() -> list:
    global _steps
    if _steps is None:
        raise CUDARuntimeError(401, "no capture was begun")
    steps, _steps = _steps, None
    return steps


def refuse(what: str) -> None:
    """What waits for the GPU, or takes memory that a graph cannot take, is an error while capturing."""
    if _steps is not None:
        raise CUDARuntimeError(CAPTURE_UNSUPPORTED, what)


def record(step, result=None) -> None:
    """Keep a step: a function without arguments. Where `result` (arrays) was new memory, later runs write there."""
    if _steps is not None:
        _steps.append((step, result))


def run(steps: list) -> None:
    for step, result in steps:
        _write(result, step())


def _write(to, values) -> None:
    if isinstance(to, tuple | list):
        for part, value in zip(to, values, strict=True):
            _write(part, value)
    elif to is not None and hasattr(to, "_a"):
        values = np.asarray(values)
        if _memory.memory_of(values) is not _memory.memory_of(to._a):  # not a view, or written in place
            to._a[...] = values
