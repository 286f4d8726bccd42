"""Modes of a thread: whether what is computed goes on the tape, whether what backward needs is locked, who watches, and
which modules run.

with no_grad():            # in a block; the same object may be entered again, and inside itself
    loss = model.loss(x, y)

@no_grad()                 # in every call of a function, a generator's steps included; the () may be left out
def evaluate(model): ...
"""

import functools
import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Self, TypeVar, overload

from tinygrad_gpt.arguments import flag, shown

# For each thread: one that generates text inside no_grad must not stop another's tape that trains.
_grad_enabled = ContextVar("grad_enabled", default=True)
_debug = ContextVar("debug", default=False)
watches: ContextVar[tuple] = ContextVar("watches", default=())  # those who look inside a model now (nn/watching.py)


class _Running(threading.local):
    """The Modules that run now in this thread, the outermost first. (A plain list: it changes at every call.)"""

    def __init__(self):
        self.modules = []


running = _Running()

is_grad_enabled = _grad_enabled.get  # called for every op: no function of ours around it
is_debugging = _debug.get


Function = TypeVar("Function", bound=Callable)


class _Kind(type):
    """So that `with no_grad:` says what is missing."""

    def __enter__(cls):
        raise TypeError(f"{cls.__name__}: call it, `with {cls.__name__}():`")

    def __exit__(cls, *error):
        pass


class _Mode(metaclass=_Kind):
    """A value that a variable has inside a block or a function, and not outside."""

    variable: ContextVar
    value: bool
    _before: threading.local

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, function: Function) -> Function: ...
    def __new__(cls, function=None):
        mode = super().__new__(cls)
        mode._before = threading.local()
        return mode if function is None else mode(function)  # `@no_grad` above a function

    def __enter__(self) -> None:
        self._before.__dict__.setdefault("values", []).append(self.variable.get())
        self.variable.set(self.value)

    def __exit__(self, *error) -> None:
        self.variable.set(self._before.values.pop())

    def __call__(self, function: Function) -> Function:
        return _inside(type(self), function)


def _inside(mode: type, function: Any, *settings) -> Any:
    """The function, each call of which runs inside `with mode(*settings):`."""
    if not callable(function):
        raise TypeError(f"{mode.__name__}: expected a function to decorate, got {shown(function)}")
    block = functools.partial(mode, *settings)
    run: Any = function  # called, awaited or iterated over, as it is made

    @functools.wraps(function)
    def called(*args, **named):
        with block():
            return run(*args, **named)

    @functools.wraps(function)
    async def awaited(*args, **named) -> Any:
        with block():
            return await run(*args, **named)

    @functools.wraps(function)
    def stepped(*args, **named):
        steps = run(*args, **named)
        turn, sent = steps.send, None
        try:
            while True:
                with block():  # while a step runs, and not while whoever iterates has the turn
                    value = turn(sent)
                try:
                    turn, sent = steps.send, (yield value)
                except GeneratorExit:
                    raise
                except BaseException as error:  # it.throw(error), which is for the function
                    turn, sent = steps.throw, error
        except StopIteration as end:
            return end.value
        finally:
            with block():
                steps.close()

    if inspect.isgeneratorfunction(function):
        return stepped
    return awaited if inspect.iscoroutinefunction(function) else called


class no_grad(_Mode):  # noqa: N801 - called like a function, as in PyTorch
    """Inside this block nothing goes on this thread's tape: for evaluation, generation and parameter updates."""

    variable, value = _grad_enabled, False


inference_mode = no_grad  # as PyTorch has it, for code that says so


class enable_grad(_Mode):  # noqa: N801
    """Inside this block operations go on the tape again, where a no_grad around it says otherwise."""

    variable, value = _grad_enabled, True


class set_grad_enabled:  # noqa: N801
    """Whether operations go on this thread's tape: from this call on, inside `with set_grad_enabled(mode):`, or in
    every call of a function below `@set_grad_enabled(mode)`."""

    def __init__(self, mode: bool):
        self._mode, self._before = flag("set_grad_enabled", "mode", mode), _grad_enabled.get()
        _grad_enabled.set(self._mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error) -> None:
        _grad_enabled.set(self._before)

    def __call__(self, function: Function) -> Function:
        _grad_enabled.set(self._before)
        return _inside(set_grad_enabled, function, self._mode)


class debug(_Mode):  # noqa: N801
    """Inside this block, arrays that a backward will need cannot be written to until that backward has run.

    `x.data *= 2` between forward and backward would silently give a wrong gradient; now it raises NumPy's "ValueError:
    assignment destination is read-only". CuPy arrays stay writeable.
    """

    variable, value = _debug, True
