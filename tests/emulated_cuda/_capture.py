"""Capturing what a stream is asked to do, as a graph that can be launched again and again.

A GPU records while a stream captures, and runs nothing. Here each step runs at once as well, since NumPy must have
values to go on with; what it does is kept as a function to be called again.

A graph knows addresses, not arrays. It keeps nothing alive: what a pool has given to somebody else in the meantime, a
launch reads and writes nevertheless. So steps are kept with `alias`es of their arrays, which own nothing; and memory
that was taken while capturing is filled with garbage at each launch, as whoever had it in the meantime may leave it.
"""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from tests.emulated_cuda import _memory
from tests.emulated_cuda._errors import CUDADriverError, CUDARuntimeError

ILLEGAL_STATE, UNSUPPORTED, INVALIDATED, IMPLICIT = 401, 900, 901, 906

current_streams: list = []  # of this process, the latest last
_capture: SimpleNamespace | None = None  # stream, steps, valid


def begin(stream) -> None:
    global _capture
    if _capture is not None:
        raise CUDARuntimeError(ILLEGAL_STATE, "a stream captures already")
    _capture = SimpleNamespace(stream=stream, steps=[], valid=True)
    _memory.on_new = lambda memory: record(memory.poison())
    _memory.may_unmap = False  # some graph may go there


def end(stream) -> list[Callable]:
    global _capture
    if _capture is None or _capture.stream is not stream:
        raise CUDARuntimeError(ILLEGAL_STATE, "this stream does not capture")
    ended, _capture, _memory.on_new = _capture, None, None
    if not ended.valid:
        raise CUDARuntimeError(INVALIDATED)
    return ended.steps


def is_capturing(stream) -> bool:
    return _capture is not None and _capture.stream is stream


def recording() -> bool:
    """Whether the work that comes now is captured. Work for the default stream meanwhile is an error."""
    if _capture is None:
        return False
    if current_streams[-1] is not _capture.stream:
        _capture.valid = False
        raise CUDARuntimeError(IMPLICIT, "work for another stream while one captures")
    if not _capture.valid:  # the driver, which launches kernels, has errors of its own
        raise CUDADriverError("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "a previous error during capture")
    return True


def invalidate() -> None:
    """If a stream captures: from now on it is in vain."""
    if _capture is not None:
        _capture.valid = False


def refuse(what: str) -> None:
    """What waits for the GPU is an error while capturing."""
    if _capture is not None:
        invalidate()
        raise CUDARuntimeError(UNSUPPORTED, what)


def refuse_cublas() -> None:
    """CuPy calls no function of cuBLAS while a stream captures, though cuBLAS would let it."""
    if is_capturing(current_streams[-1]):
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")


def record(step: Callable) -> None:
    """Keep a step, if a stream captures."""
    if recording():
        _capture.steps.append(step)


def record_call(function: Callable, args: tuple, settings: dict, result) -> None:
    """Keep a call of NumPy's that gave `result`. Where it gave new arrays, later calls write theirs there."""
    if not recording():
        return
    inputs = _arrays_in((args, settings))
    owners = {id(_memory.memory_of(a)) for a in inputs}
    new = [None if id(_memory.memory_of(a)) in owners else alias(a) for a in _arrays_in(result)]
    args, settings = _aliased(args), _aliased(settings)

    def step():
        for to, value in zip(new, _arrays_in(function(*args, **settings)), strict=True):
            if to is not None:
                to[...] = value

    _capture.steps.append(step)


def alias(a: np.ndarray) -> np.ndarray:
    """An array at the same address that keeps nothing alive."""
    return np.asarray(SimpleNamespace(__array_interface__=a.__array_interface__))


def _arrays_in(x) -> list[np.ndarray]:
    if isinstance(x, np.ndarray | np.generic):
        return [np.asarray(x)]
    if isinstance(x, dict):
        x = x.values()
    return [a for part in x for a in _arrays_in(part)] if isinstance(x, tuple | list | type({}.values())) else []


def _aliased(x):
    if isinstance(x, np.ndarray):
        return alias(x)
    if isinstance(x, dict):
        return {name: _aliased(part) for name, part in x.items()}
    return type(x)(map(_aliased, x)) if isinstance(x, tuple | list) else x
