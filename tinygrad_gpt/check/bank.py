"""The mistakes of the bank, made for the very arrays, settings and upstream gradients of the cases, and compared.

An entry is named for an input where what came equals what the entry gives in all cases, the right ones among them, and
where the entry's is not the right gradient in an ordinary case, or at a kink. Where an entry raises an error, what was
checked must have raised one too. Of entries that explain the same inputs the first in the op's file is named; one that
explains more inputs comes before one that explains fewer; one that would spoil an input that is right is not named. A
wrong forward is named for an output in the same way.
"""

from collections.abc import Callable

import numpy as np

from tinygrad_gpt import sparse_rows
from tinygrad_gpt.check import mistakes
from tinygrad_gpt.check.evidence import ENOUGH, Evidence, largest
from tinygrad_gpt.check.hypothesis import Cases
from tinygrad_gpt.check.measure import as_tuple
from tinygrad_gpt.check.mistakes import Mistake

EQUAL = 1e-7  # of the largest value: two formulas for one thing in float64, with digits to spare


class Bank:
    """The entries of an op, run on cases; what each gives in a case is computed once."""

    def __init__(self, op: str):
        self.entries = mistakes.of(op)
        self._made: dict[tuple, object] = {}

    def named(self, subjects: dict[str, Cases]) -> dict[str, Mistake]:
        """The mistake of each subject that an entry explains."""
        wrong = {s: cases for s, cases in subjects.items() if cases.failed}
        explains = {m.id: [s for s, cases in wrong.items() if self._is(m, cases)] for m in self.entries}
        found: dict[str, Mistake] = {}
        for m in sorted(self.entries, key=lambda m: -len(explains[m.id])):
            if explains[m.id] and not self.spoils(m, subjects):
                found |= {s: m for s in explains[m.id] if s not in found}
        return found

    def gradient(self, m: Mistake) -> Callable[[Evidence], np.ndarray | None]:
        """What an entry gives in a case; None where that is no array."""

        def of(e: Evidence):
            made = self._make(m, e) if self._applies(m, e) else None
            return made if isinstance(made, np.ndarray) else None

        return of

    def spoils(self, m: Mistake, subjects: dict[str, Cases]) -> bool:
        """Whether an entry would make wrong what is right."""
        return any(self._spoils(m, cases) for cases in subjects.values() if not cases.failed)

    def _is(self, m: Mistake, cases: Cases) -> bool:
        shows = []
        for e in (*cases.failed, *cases.right):
            equal = self._equal(m, e)
            if equal is False:
                return False
            if equal and not e.ok and e.raised is None:
                shows.append(e)
        return cases.speak(shows) or any(e.kink and e.x.size > ENOUGH for e in shows)

    def _spoils(self, m: Mistake, cases: Cases) -> bool:
        ordinary = [e for e in (*cases.failed, *cases.right) if not e.degenerate and e.right is not None][:3]
        return any(not _alike(self._make(m, e), e.right, e) for e in ordinary if self._applies(m, e))

    def _applies(self, m: Mistake, e: Evidence) -> bool:
        """A wrong backward is made on what the reference's forward saves, so forward has to be the reference's."""
        return m.forward is not None or (e.i is not None and e.check.agrees)

    def _equal(self, m: Mistake, e: Evidence) -> bool | None:
        """Whether what came is what the entry gives; None where that cannot be told."""
        if not self._applies(m, e):
            return None if e.i is not None or e.ok else False
        made = self._make(m, e)
        if isinstance(made, type) or e.raised is not None:
            return made is e.raised
        if e.i is not None and m.forward is not None and not _alike(self._output(m, e), e.y, e):
            return False
        return _alike(made, e.got, e)

    def _make(self, m: Mistake, e: Evidence):
        """The entry's output or gradient in this case: an array or None, or the type of the error that it raises."""
        made = self._run(m, e)
        if isinstance(made, type):
            return made
        ys, grads = made
        if e.i is None:
            return ys[e.k] if e.k < len(ys) else None
        if isinstance(grads, type):
            return grads
        return grads[e.i] if e.i < len(grads) else None

    def _output(self, m: Mistake, e: Evidence):
        made = self._run(m, e)
        return None if isinstance(made, type) else made[0][e.k]

    def _run(self, m: Mistake, e: Evidence):
        """(outputs, gradients), or errors in their places."""
        key = (m.id, e.case)
        if key not in self._made:
            pair, call = m.pair(), e.call
            try:
                y, saved = pair.forward(*(_copy(a) for a in call.arrays), **e.settings)
                ys = tuple(np.asarray(part) for part in as_tuple(y))
            except Exception as error:  # as a learner's code may
                self._made[key] = type(error)
                return self._made[key]
            try:
                dys = tuple(dy.copy() for dy in call.dys or ())
                grads = as_tuple(pair.backward(dys if isinstance(y, tuple) else dys[0], saved)) if dys else ()
                grads = tuple(g if g is None else np.asarray(sparse_rows.dense(g)) for g in grads)
            except Exception as error:
                grads = type(error)
            self._made[key] = ys, grads
        return self._made[key]


def _copy(a):
    return a.copy() if isinstance(a, np.ndarray) else a


def _alike(a, b, e: Evidence) -> bool:
    """Equal but for rounding: shapes, places of nan and inf, numbers; or both None."""
    if a is None or b is None or isinstance(a, type):
        return a is None and b is None
    if a.shape != b.shape:
        return False
    with np.errstate(invalid="ignore"):
        close = np.abs(a - b) <= EQUAL * max(largest(a), largest(b), 0.01 * largest(e.right))
    return bool(np.all(close | (a == b) | (np.isnan(a) & np.isnan(b))))
