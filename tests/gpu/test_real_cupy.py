"""Whatever the other tests here have called of the emulated CuPy, the real one takes, where it is installed: no GPU is
needed to compare signatures. conftest.py runs this last."""

import inspect
import json
import os
import subprocess
import sys

import pytest

from tests.gpu.on_gpu import emulated

# Run by another Python, in which cupy is the real one: reads calls, writes a line for each that does not fit.
COMPARE = r"""
import inspect, json, operator, re, sys
try:
    import cupy
except ImportError:
    sys.exit(77)

def signature(function):
    try:
        return inspect.signature(function)
    except ValueError:  # compiled: the first line of its documentation has it, with types and defaults
        listed = re.match(r"[\w.]+\((.*)\)", function.__doc__ or "")
        if not listed:
            return None
        names, P = [], inspect.Parameter
        for part in listed[1].replace("\\", "").split(", "):
            name, _, default = part.partition("=")
            name = name.split()[-1] if name.strip() else ""
            if name.startswith("*"):
                names += [P(name[1:], P.VAR_POSITIONAL)] if name[1:] else []
            elif name and name != "/":
                after = any(p.kind in (P.VAR_POSITIONAL, P.KEYWORD_ONLY) for p in names)
                kind = P.KEYWORD_ONLY if after else P.POSITIONAL_OR_KEYWORD
                names.append(P(name, kind, default=default if default else P.empty))
        return inspect.Signature(names)

for kind, name, count, keywords in json.load(sys.stdin):
    try:
        function = operator.attrgetter(name)(cupy.ndarray if kind == "method" else cupy)
    except AttributeError:
        print(f"{kind} {name} does not exist")
        continue
    if kind == "ufunc":
        wrong = set(keywords) - {"out", "dtype", "casting"}
        if wrong:
            print(f"ufunc {name} has no {wrong}")
        continue
    known = signature(function)
    if known is None:
        continue
    try:
        known.bind(*range(count), **dict.fromkeys(keywords))
    except TypeError as error:
        print(f"{kind} {name}{known}: {error}")
"""


@pytest.mark.skipif(not emulated, reason="the emulation knows what was called")
def test_the_real_one_takes_these_calls():
    from tests.emulated_cuda import calls, cupy

    own = [function for function in vars(cupy).values() if inspect.isfunction(function)]
    own = [("function", f.__name__, 0, tuple(inspect.signature(f).parameters)) for f in own if f.__name__ in OWN]
    assert len(own) == len(OWN)
    lines = _compared([*calls, *own])
    assert not lines, "\n".join(lines)


# functions that the emulation does not leave to NumPy: what parameters they have, the real ones have
OWN = {"array", "asarray", "ascontiguousarray", "asfortranarray", "asnumpy", "copy", "may_share_memory"}


@pytest.mark.skipif(not emulated, reason="compares the emulation's calls")
def test_the_comparison_can_fail():
    wrong = [("function", "sum", 1, ("where",)), ("method", "sum", 2, ("initial",)), ("ufunc", "exp", 1, ("where",))]
    wrong += [("function", "ediff1d", 9, ()), ("method", "astype", 1, ())]
    assert len(_compared(wrong)) == len(wrong)


def _compared(calls: list) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TINYGRAD_GPT_EMULATE_GPU"}
    command = [sys.executable, "-c", COMPARE]
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, env=environment)
    if done.returncode == 77:
        pytest.skip("CuPy is not installed")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
