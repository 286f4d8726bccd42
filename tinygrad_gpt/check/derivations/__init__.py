"""The derivation, term by term: which of its terms are missing, of another size, or stand in another's place?

Of some ops the right gradient is known as a sum of terms, each of which is an array: of softmax, dy y - y Σ dy y. What
came is tried as a sum of the same terms, and of such as stand in their places (y Σ dy, where the sum lacks its y), with
a number before each: least squares over all ordinary cases at once find the numbers. If nothing is left over in any
case, what came *is* that formula, and it is printed beside the right one.

A derivation also knows its readings: the whole of it with one thing done otherwise, such as a mean that is not divided,
or a weight that is multiplied in at the end. Two mistakes at once, one of each kind, are told apart by that.

    reading.py      what a derivation says of a case
    norms.py        layer norm, also after a sum
    exponents.py    softmax, log-softmax, logsumexp, cross-entropy
    attending.py    attention
    elementwise.py  functions of one array, quotients, products; the variance
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations

import numpy as np

from tinygrad_gpt.check.derivations import attending, elementwise, exponents, norms
from tinygrad_gpt.check.derivations.reading import Reading
from tinygrad_gpt.check.evidence import ROUNDING, Evidence, largest
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis, predicting

FEW = 6  # cases that all terms together have to explain, before any two of them are tried on more
CASES = 32  # that least squares see; whether the formula fits is asked of all
ENTRIES = 48  # of each case
LEFT_OVER = 1e-6  # of what came: more is no rounding


def hypotheses(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses that what came is another formula than the derivation's, the nearest to it first."""
    first = cases.failed[0]
    readings = [r for module in (norms, exponents, attending, elementwise) for r in module.readings(first)]
    return _of(readings, cases)


def of_elements(cases: Cases, alone: bool = False) -> Iterator[Hypothesis]:
    """Hypotheses that what came is a simple function of x and y, with dy or without it: one of them `alone`, or two; or
    one beside the right gradient."""
    return _of([*elementwise.of_any(cases.failed[0], alone)], cases)


def _of(readings: list[Reading], cases: Cases) -> Iterator[Hypothesis]:
    shown = [e for e in (*cases.failed, *cases.right) if e.comparable and not e.degenerate]
    shown = shown[:: 1 + len(shown) // CASES]
    if all(e.ok for e in shown):
        return
    some = [e for e in shown if not e.ok][:FEW]
    tables = [
        (reading, table)
        for reading in readings
        if _explained(_table(reading, some)) and _explained(table := _table(reading, shown))
    ]
    for others in (0, 1, 2):  # terms that the right formula lacks
        for reading, table in tables:
            if others < 2 or reading.pairs:
                yield from _fitted(reading, table, others)


def _explained(table: tuple | None) -> bool:
    """Whether all terms together, of whatever size each, add up to what came: if not, no few of them do."""
    if table is None:
        return False
    _, _, columns, came = table
    sizes = np.linalg.norm(columns, axis=0)
    sizes[sizes == 0] = 1
    found = np.linalg.lstsq(columns / sizes, came, rcond=None)[0]
    return bool(np.linalg.norm(columns / sizes @ found - came) <= LEFT_OVER * (float(np.linalg.norm(came)) or 1.0))


def _fitted(reading: Reading, table: tuple, others: int) -> Iterator[Hypothesis]:
    """The hypothesis of this reading with so many terms that the right formula lacks, if there is one."""
    names, right, columns, came = table
    own = [k for k, c in enumerate(right) if c]
    sizes = np.linalg.norm(columns, axis=0)
    sizes[sizes == 0] = 1
    scale = float(np.linalg.norm(came)) or 1.0
    for more in combinations([k for k, c in enumerate(right) if not c], others):
        chosen = [*own, *more]
        found, _, rank, _ = np.linalg.lstsq(columns[:, chosen] / sizes[chosen], came, rcond=1e-9)
        found = found / sizes[chosen]
        if rank < len(chosen) or np.linalg.norm(columns[:, chosen] @ found - came) > LEFT_OVER * scale:
            continue
        numbers = {names[k]: _plain(c) for k, c in zip(chosen, found, strict=True)}
        if not any(numbers.values()) or not all(numbers[names[k]] for k in more):
            continue
        yield _hypothesis(reading, numbers, {names[k]: right[k] for k in own})
        return


def _table(reading: Reading, shown: list[Evidence]) -> tuple | None:
    """(names, the right numbers, a column for each term, what came), of some entries of each case, each case with the
    same weight. Terms that some case does not have, or not as finite numbers, are left out; None where a right one is.
    """
    of_cases = []
    with np.errstate(all="ignore"), suppress(ArithmeticError, LookupError, TypeError, ValueError):
        of_cases = [reading.terms(e) for e in shown]
    if not of_cases:  # the derivation does not know such cases
        return None
    fits = [{n for n, (_, a) in t.items() if _fits(a, e)} for t, e in zip(of_cases, shown, strict=True)]
    names = [name for name in of_cases[0] if all(name in fit for fit in fits)]
    if not names or any(c and name not in names for terms in of_cases for name, (c, _) in terms.items()):
        return None
    rng, columns, came = np.random.default_rng(0), [], []
    for e, terms in zip(shown, of_cases, strict=True):
        some = rng.choice(e.got.size, min(ENTRIES, e.got.size), replace=False)
        weight = 1 / max(largest(e.got), largest(e.right), e.least / ROUNDING)
        columns.append(np.stack([terms[name][1].ravel()[some] for name in names], axis=1) * weight)
        came.append(e.got.ravel()[some] * weight)
    return names, [of_cases[0][name][0] for name in names], np.concatenate(columns), np.concatenate(came)


def _fits(a: np.ndarray, e: Evidence) -> bool:
    return a.shape == e.got.shape and bool(np.isfinite(a).all())


def _plain(c: float) -> float:
    """The number that is meant: without what least squares leave of 0, 1/2 or 3."""
    near = round(12 * c) / 12
    return near if abs(c - near) < 1e-6 else c


def _hypothesis(reading: Reading, numbers: dict[str, float], right: dict[str, float]) -> Hypothesis:
    def predict(e: Evidence):
        terms = reading.terms(e)
        return sum(c * terms[name][1] for name, c in numbers.items()) if terms else None

    formula, wanted = _formula(numbers), _formula(right)
    if all(abs(numbers[name] - right.get(name, 0.0)) < 1e-9 for name in numbers):
        said = reading.words
    elif not right or elementwise.RIGHT in right:
        said = f"it is {formula}"
    else:
        said = f"{reading.of} is {formula}, where {wanted} is right"
        said += f"; and besides, {reading.words}" * bool(reading.words)
        said += "".join(f" ({note})" for name, note in reading.notes.items() if numbers.get(name))
    return predicting("", said, predict)


def _formula(numbers: dict[str, float]) -> str:
    """ "a - 0.5 b": the terms with what stands before them."""
    text = ""
    for name, c in sorted(numbers.items(), key=lambda term: term[1] < 0):
        if c:
            size = "" if abs(abs(c) - 1) < 1e-9 else f"{abs(c):.4g} "
            text += (" - " if c < 0 else " + " if text else "") + size + name
    return text.removeprefix(" - ") if not text.startswith(" - ") else f"-{text[3:]}"
