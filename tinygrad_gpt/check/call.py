"""One call of a pair, and what is said about what it returned."""

import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tinygrad_gpt import autograd
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import catalogue
from tinygrad_gpt.kernels.contract import where_it_stands

_HERE = Path(__file__).parent
DIGITS = "float64 has 15 digits, and about 7 of them are right: "
FLOAT32_INSIDE = f"{DIGITS}is something computed in float32 inside, or a small number added, such as an eps?"
SMALL_ADDED = f"{DIGITS}is a small number added, such as an eps?"  # where all errors have one sign


class Call:
    """One forward and, later, one backward of a pair, with copies of all that must not change meanwhile.

    The pair never gets `arrays` and `dys` themselves, only copies: what it does to them cannot mislead the measuring.
    """

    def __init__(self, arrays: tuple):
        self.arrays = arrays
        self.ys = self.saved = self.dys = self.grads = self.right = None
        self.missing: set[str] = set()  # inputs that backward returned no gradient for
        self.watched: list[tuple[str, np.ndarray, np.ndarray]] = []  # (what, array, its copy)

    def watch(self, what: str, arrays) -> None:
        self.watched += [(what, a, a.copy()) for a in arrays if isinstance(a, np.ndarray)]

    def changed(self) -> list[str]:
        return [what for what, a, copy in self.watched if a.tobytes() != copy.tobytes()]


@contextmanager
def quietly() -> Iterator[None]:
    """No warnings of NumPy, such as of a mean of no rows: what comes of it is checked, and at the edge of a domain even
    a right pair divides by zero."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def describe(x) -> str:
    return f"a tuple of {len(x)}" if isinstance(x, tuple) else f"{type(x).__name__}"


def dtype_hint(dtype) -> str:
    """A hint about an array of this dtype, where the inputs have another."""
    if dtype == np.float64:
        return (
            "numbers that NumPy makes are float64 and turn float32 arrays into float64: np.zeros(shape) without a "
            "dtype, np.sqrt(64) of a Python number, np.float64(...), np.arange(n) / n. Use np.zeros(shape, "
            "dtype=x.dtype), math.sqrt(64), float(...)"
        )
    return (
        "is a dtype written down somewhere? Results have the dtype of the inputs, x.dtype"
        if dtype == np.float32
        else ""
    )


def inexact_hint(got: np.ndarray, right: np.ndarray) -> str:
    """Rounding errs up and down; a small number that is added makes all numbers smaller, or all larger."""
    larger = np.abs(got)[got != right] > np.abs(right)[got != right]
    one_sign = larger.size > 5 and (larger.all() or not larger.any())
    return SMALL_ADDED if one_sign else FLOAT32_INSIDE


def changing_dy(root: Tensor, dy: np.ndarray) -> dict[str, None]:
    """Walk backward from `root`; the places, as layer_norm[mine], of the ops whose backward changed its dy."""
    sent: dict[int, tuple] = {}  # id -> (a gradient that an op sent on, its copy)
    changing, first = {}, True
    for step in root.backward_steps(dy):
        for d in step.dy if isinstance(step.dy, tuple) else (step.dy,):
            before = dy if first else sent.get(id(d), (None, None))[1]
            if before is not None and not np.array_equal(d, before, equal_nan=True):
                changing[f"{step.op}[{step.version}]"] = None
        sent |= {id(g): (g, g.copy()) for g in step.grads if isinstance(g, np.ndarray)}
        first = False
    return changing


def where_raised(error: Exception) -> str:
    """The line that raised it: the innermost outside of NumPy and the checks. Of an op that the tape refuses, its
    contract. "" where the call itself was refused."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != _HERE]
    named = re.match(r"(\w+)\[", str(error))
    if frames and frames[-1].filename == autograd.__file__ and named and named[1] in catalogue.all_ops():
        return where_it_stands(named[1], catalogue.reference(named[1]))
    own = [f for f in frames if "numpy" not in Path(f.filename).parts] or frames
    if own and not own[-1].line:  # code that was typed in
        return f"it was raised in {own[-1].filename}, line {own[-1].lineno}"
    return f"it was raised by `{own[-1].line}` ({own[-1].filename}, line {own[-1].lineno})" if own else ""
