"""One call of a pair, and what is said about what it returned."""

import traceback
from pathlib import Path

import numpy as np

_HERE = Path(__file__).parent


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


def describe(x) -> str:
    return f"a tuple of {len(x)}" if isinstance(x, tuple) else f"{type(x).__name__}"


def gradient_of_another(shape: tuple, name: str, inputs: dict) -> str:
    """A hint about a gradient of the wrong shape which is that of another of these inputs, or ""."""
    other = next((other for other, a in inputs.items() if other != name and a.shape == shape), None)
    return f"it has the shape of {other}: are the gradients in the order of forward's inputs?" if other else ""


def where_raised(error: Exception) -> str:
    """The line that raised it: the innermost outside of NumPy and the checks. "" where the call itself was refused."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != _HERE]
    own = [f for f in frames if "numpy" not in Path(f.filename).parts] or frames
    return f"it was raised by `{own[-1].line}` ({own[-1].filename}, line {own[-1].lineno})" if own else ""
