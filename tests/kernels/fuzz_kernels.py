"""Calls of every kernel with what nobody should hand to it: it gives an error, or the right numbers; never a signal.

    python -m tests.kernels.fuzz_kernels --calls 20000              a campaign
    python -m tests.kernels.fuzz_kernels --seed 7 --first 1234      one call again, the 1234th of seed 7

Each call draws its arrays from its own seed: integers of every dtype with extreme values among them, floats that are
not finite, arrays of every layout between guard zones (memory.py), shapes that don't fit, settings that cannot be. It
goes by one of two doors: the op as users call it, with autograd, or the version's own forward and backward. Between
forward and backward somebody may write into the arrays, give them another shape or another length.

What is right is what the reference makes of copies. A call may end

    in the reference's numbers,
    in an error of ALLOWED that says something, if the op's check or the version's why_not refuses, or somebody meddled.

Anything else is a finding. It ends the process with status 1, after the call's number; so does a call that takes
longer than a minute, and a signal ends it without our help.
"""

import argparse
import faulthandler
import sys
import time
import warnings
from functools import cache

import numpy as np

from tests.kernels.fuzz_recipes import RECIPES, Call
from tests.kernels.memory import Memory
from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.kernels import registry, small
from tinygrad_gpt.kernels.numba.machine.compile import KERNELS
from tinygrad_gpt.precision import using_matmul_precision
from tinygrad_gpt.sparse_rows import dense

ALLOWED = (TypeError, ValueError, IndexError, ArithmeticError, RuntimeError)
LONGEST = 60  # seconds for one call


class Finding(AssertionError):  # noqa: N818 - it is what a fuzz is after
    """A call that ended as none may."""


def versions(op: str) -> list[registry.Version]:
    """All kernels of the package for this op that run here."""
    absent = [name for name in registry.ROUNDING if registry.cannot_round(name)]
    return [v for v in registry.versions(op) if v.name not in ("reference", *absent)]


@cache
def ops_with_kernels() -> list[str]:
    return [op for op in registry.op_names() + registry.ROUTINES if versions(op)]


def fuzz(number: int, seed: int) -> str:
    """Make call number `number`. Returns how it ended; raises Finding."""
    rng = np.random.default_rng([seed, number])
    ops = ops_with_kernels()
    op = ops[number % len(ops)]
    memory = Memory(rng)
    call = RECIPES[op](rng, memory)
    version = versions(op)[int(rng.integers(len(versions(op))))]
    door = _routine if op in registry.ROUTINES else _by_version if rng.random() < 0.5 else _by_autograd
    print(f"{number} {version} {door.__name__[1:]} {call}", flush=True)
    precision = "float32"
    if version.name in registry.ROUNDING:
        precision, call.tolerance = version.name, 0.1
    with warnings.catch_warnings(), np.errstate(all="ignore"), using_matmul_precision(precision):
        warnings.simplefilter("ignore")
        try:
            end = door(op, version, call, rng, memory)
        except AssertionError as finding:
            raise Finding(f"{finding}\n{call.meddled}") from finding
    return f"{op} {end}"


# --- doors -------------------------------------------------------------------------------------------------------


def _by_version(op, version, call: Call, rng, memory) -> str:
    """The pair itself, without the op's check."""
    refused = _refusal(op, call)
    if _tried(lambda: version.why_not(*call.arrays, **call.settings)):  # then its numbers may be of another function
        refused, call.is_extreme = refused or "why_not", True
    copies = call.copies()
    right = _tried(lambda: registry.reference(op).forward(*copies, **call.settings))
    got = _tried(lambda: version.forward(*call.arrays, **call.settings))
    memory.check()
    if not _agree(got, right, call, bool(refused), first=True):
        return "refused"
    (y, saved), (right_y, right_saved) = got, right
    dy, odd = _upstream(right_y, rng, memory)
    dy_copy = tuple(map(np.array, dy)) if isinstance(dy, tuple) else np.array(dy)
    right = _tried(lambda: registry.reference(op).backward(dy_copy, right_saved))
    if rng.random() < 0.6:
        call.meddle(rng, y)
    memory.forget()
    got = _tried(lambda: tuple(map(dense, version.backward(dy, saved))))
    memory.check()
    if isinstance(right, Exception) and not isinstance(got, Exception) and _fits_as_they_are_now(dy, call):
        return "right for another shape"
    return _ended(got, right, call, bool(refused) or odd)


def _fits_as_they_are_now(dy, call: Call) -> bool:
    """Whether an odd dy fits an array that somebody gave another shape in place: the reference's copies keep theirs."""
    shape = () if isinstance(dy, tuple) else dy.shape
    return bool(call.meddled) and any(shape == a.shape for a in call.arrays if a is not None)


def _by_autograd(op, version, call: Call, rng, memory) -> str:
    """The op as users call it. Where they have meddled with the shape of an array, the tape has its own word."""
    refused = _refusal(op, call)
    copies = call.copies()
    right = _tried(lambda: registry.reference(op).forward(*copies, **call.settings))
    floats = [isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.dtype.isnative for a in call.arrays]
    leaves = _tried(lambda: [Tensor(a, requires_grad=f) if f else a for a, f in zip(call.arrays, floats, strict=True)])
    if isinstance(leaves, Exception):
        return "refused"
    with registry.using(**{op: version.name}):
        got = _tried(lambda: apply(op, *leaves, **call.settings))
    memory.check()
    if refused and not isinstance(got, Exception):
        raise Finding(f"was not refused, though check says {refused}")
    if isinstance(got, Exception):
        if not refused and not call.may_refuse:
            raise Finding(f"refused what is right: {got!r}") from got
        return "refused"
    ys = got if isinstance(got, tuple) else (got,)
    data = tuple([y.data for y in ys])
    if not _agree((data if len(data) > 1 else data[0], None), right, call, False, first=True):
        return "refused"
    y = ys[int(rng.integers(len(ys)))]
    if not y.requires_grad:
        return "no gradient"
    dy = np.asarray(rng.standard_normal(y.shape), y.dtype)
    zeros = tuple(dy if one is y else np.zeros_like(one.data) for one in ys)
    right = _tried(lambda: registry.reference(op).backward(zeros if len(ys) > 1 else dy, right[1]))
    there, odd = [], False
    for leaf in leaves:
        if isinstance(leaf, Tensor) and rng.random() < 0.3:
            leaf.grad, is_odd = _gradient_there(leaf, rng, memory)
            there.append((leaf, np.array(leaf.grad)))
            odd = odd or is_odd
    if rng.random() < 0.6:
        call.meddle(rng, y.data)
    memory.forget()
    got = _tried(lambda: y.backward(dy))
    memory.check()
    if not isinstance(got, Exception):
        before = {id(leaf): grad for leaf, grad in there}
        got = tuple(
            None if not isinstance(leaf, Tensor) or leaf.grad is None else leaf.grad - before.get(id(leaf), 0)
            for leaf in leaves
        )
        if not isinstance(right, Exception):
            right = tuple(g if f else None for g, f in zip(right, floats, strict=True))
    return _ended(got, right, call, odd)


def _routine(op, version, call: Call, rng, memory) -> str:
    """A routine, which writes to the arrays themselves, by the registry or directly."""
    by_registry = rng.random() < 0.5
    refused = _refusal(op, call) or (not by_registry and version.why_not(*call.arrays, **call.settings))
    copies = call.copies()
    right = _tried(lambda: registry.reference(op).run(*copies, **call.settings))
    run = (lambda *a, **s: registry.run(op, *a, **s)) if by_registry else version.forward
    got = _tried(lambda: run(*call.arrays, **call.settings))
    memory.check()
    if isinstance(got, Exception) or isinstance(right, Exception):
        return _ended(got, right, call, bool(refused))
    if op == "adamw":
        got, right = [[a for some in lists for a in some] for lists in (call.arrays, copies)]
    else:
        got, right = [y if isinstance(y, tuple) else (np.asarray(y),) for y in (got, right)]
    return _ended(tuple(got), tuple(right), call, bool(refused))


# --- verdicts ----------------------------------------------------------------------------------------------------


def _tried(function):
    """What the function returns, or the exception that it raises."""
    try:
        return function()
    except Exception as error:
        return error


def _refusal(op: str, call: Call) -> str | None:
    check = getattr(registry.reference(op), "check", None)
    error = _tried(lambda: check(*call.arrays, **call.settings)) if check else None
    if op not in registry.ROUTINES:
        floats = {a.dtype for a in call.arrays if isinstance(a, np.ndarray) and a.dtype.kind not in "iub"}
        if len(floats) > 1 or not floats <= set(FLOATS):
            return f"the tape takes no {floats}"
    return repr(error) if isinstance(error, Exception) else None


def _agree(got, right, call: Call, may_refuse: bool, *, first: bool = False) -> bool:
    """Whether both went well. Raises Finding where an error is none that may be, or the numbers are not the same."""
    if isinstance(got, Exception):
        if not isinstance(got, ALLOWED) or not str(got):
            raise Finding(f"an error of another kind: {type(got).__module__}.{got!r}") from got
        if not may_refuse and not call.may_refuse and not isinstance(right, Exception):
            raise Finding(f"refused what is right: {got!r}") from got
        return False
    if isinstance(right, Exception):
        if call.may_refuse and not call.meddled:  # odd settings, which one of them does not come to use
            return False
        raise Finding(f"took what the reference refuses: {right!r}")
    gots, rights = (got[0], right[0]) if first else (got, right)
    gots, rights = [x if isinstance(x, tuple) else (x,) for x in (gots, rights)]
    for i, (a, b) in enumerate(zip(gots, rights, strict=True)):
        a, b = dense(a), dense(b)
        if a is None or b is None:
            if a is not b and not call.is_extreme:
                raise Finding(f"result {i}: {a!r}, but the reference has {b!r}")
            continue
        a, b = np.asarray(a), np.asarray(b)
        if call.meddled and a.size == b.size:
            b = b.reshape(a.shape)  # like the data as they are now
        if (a.shape, a.dtype) != (b.shape, b.dtype) and not call.is_extreme:
            raise Finding(f"result {i}: {a.dtype}{a.shape}, but the reference has {b.dtype}{b.shape}")
        tolerance = call.tolerance or (1e-4 if a.dtype == np.float32 else 1e-9)
        tolerance *= max(1.0, float(np.abs(b).max(initial=0)))
        if not call.is_extreme and not np.allclose(a, b, rtol=0, atol=tolerance, equal_nan=True):
            raise Finding(f"result {i}: wrong numbers, by {np.abs(a - b).max()}\n{a}\n{b}")
    return True


def _ended(got, right, call: Call, may_refuse: bool) -> str:
    return "right" if _agree(got, right, call, may_refuse) else "refused"


# --- what comes in backward --------------------------------------------------------------------------------------


def _upstream(y, rng, memory: Memory) -> tuple:
    """(dy for these outputs, whether it may be refused)"""
    if isinstance(y, tuple):
        dys, odd = zip(*[_upstream(one, rng, memory) for one in y], strict=True)
        return dys, any(odd)
    y = np.asarray(y)
    dy = rng.standard_normal(y.shape).astype(y.dtype)
    odd = rng.random() < 0.3
    if odd:
        shapes = [
            (*y.shape, 1),
            y.shape[::-1],
            (y.size,),
            y.shape[1:],
            (1, *y.shape),
            tuple(n + 1 for n in y.shape),
            (),
        ]
        if rng.random() < 0.5:
            dy = rng.standard_normal(shapes[int(rng.integers(len(shapes)))]).astype(y.dtype)
        else:
            dy = dy.astype(["f2", "f4", "f8", ">f4", ">f8", "i4", "i8", "u1", "?"][int(rng.integers(9))])
    dy = memory.place(dy)
    return dy, odd or not dy.flags.aligned


def _gradient_there(leaf: Tensor, rng, memory: Memory) -> tuple:
    """(a .grad for the leaf, whether it may be refused)"""
    shape, dtype = leaf.shape, leaf.dtype
    kind = rng.choice(["right", "right", "shape", "dtype", "locked", "laid out"])
    if kind == "shape":
        shapes = [shape[1:], (*shape, 1), shape[::-1], tuple(max(0, n - 1) for n in shape), ()]
        shape = shapes[int(rng.integers(len(shapes)))]
    elif kind == "dtype":
        dtype = np.dtype("f4" if dtype == np.float64 else "f8")
    layout = {"right": "plain", "locked": "locked"}.get(kind)
    grad = memory.place(np.asarray(rng.standard_normal(shape), dtype), layout=layout, written=True)
    return grad, kind != "right"


def _compile() -> None:
    """All kernels that run here, before calls are timed."""
    ops_with_kernels()
    for one in KERNELS:
        for dtype in one.dtypes:
            if dtype in FLOATS or registry.cannot_round("bfloat16") is None:
                one.compile(dtype)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop", action=argparse.BooleanOptionalAction, default=True, help="at the first finding")
    options = parser.parse_args()
    faulthandler.enable()
    small.LEAST = 0  # kernels are to take small arrays too
    _compile()
    ends, found, watched_from = {}, 0, None
    for number in range(options.first, options.first + options.calls):
        now = time.monotonic()
        if watched_from is None or now - watched_from > 1:  # who watches is a thread, which takes as long as a call
            faulthandler.dump_traceback_later(LONGEST, exit=True)
            watched_from = now
        try:
            end = fuzz(number, options.seed)
        except AssertionError as finding:
            found += 1
            print(f"FINDING in call {number} of seed {options.seed}: {finding}", flush=True)
            if options.stop:
                raise
            continue
        ends[end] = ends.get(end, 0) + 1
    faulthandler.cancel_dump_traceback_later()
    print(*(f"{n:7} {end}" for end, n in sorted(ends.items())), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
