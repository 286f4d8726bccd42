"""How both sides of `ops.py` answer, given how a side makes its calls.

prepare(number, version)  get ready for a case of op_cases.ALL; returns the reason where this version can't run it
results(file)             write what forward and backward return to a file for np.load; returns the bytes of y
memory()                  peak MiB of new arrays during forward and backward
time(seconds)             mean milliseconds (forward, backward) of calls that take so long together
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import harness
import numpy as np
import op_cases


@dataclass
class Call:
    """An op with its arrays.

    forward   () -> what backward wants
    backward  what forward returned -> gradients, one for each array that forward took; None for a routine
    results   what forward returned -> y, a tuple of NumPy arrays
    before    called before each forward, outside the time that is counted
    """

    forward: Callable
    backward: Callable | None
    results: Callable
    before: Callable = lambda: None


def serve(
    prepare: Callable[[op_cases.OpCase, str], Call | str],
    to_numpy: Callable,
    memory: Callable,
    synchronize: Callable = harness.nothing,
    **more,
) -> None:
    """Answer. `memory(function)` runs the function and returns the peak MiB of new arrays; `synchronize` waits until
    all is done that was asked for."""
    call, of = None, None

    def ready(number: int, version: str) -> str | None:
        nonlocal call, of
        if of != (number, version):
            call, of = None, (number, version)  # the old arrays go before the next are made
            call = prepare(op_cases.ALL[number], version)
        return call if isinstance(call, str) else None

    def run() -> tuple[tuple, list]:
        """y and the gradients; `before` has been called."""
        made = call.forward()
        gradients = [] if call.backward is None else call.backward(made)
        return call.results(made), [None if g is None else to_numpy(g) for g in gradients]

    def results(file: str) -> int:
        call.before()
        y, gradients = run()
        named = {f"y{i}": a for i, a in enumerate(y)} | {f"gradient{i}": a for i, a in enumerate(gradients)}
        np.savez(file, **{name: a for name, a in named.items() if a is not None})
        return sum(a.nbytes for a in y)

    def peak() -> float:
        call.before()
        return memory(run)

    def timed(seconds: float) -> tuple[float, float]:
        forward = backward = 0.0
        calls, end = 0, time.perf_counter() + seconds
        while calls == 0 or time.perf_counter() < end:
            call.before()
            synchronize()
            start = time.perf_counter()
            made = call.forward()
            synchronize()
            middle = time.perf_counter()
            if call.backward is not None:
                gradients = call.backward(made)
                synchronize()
            backward += time.perf_counter() - middle
            forward += middle - start
            made = gradients = None  # noqa: F841 (freed here, outside the time that is counted)
            calls += 1
        return 1e3 * forward / calls, 1e3 * backward / calls

    harness.serve(
        {
            "prepare": ready,
            "results": results,
            "memory": peak,
            "time": timed,
            **more,
        }
    )
