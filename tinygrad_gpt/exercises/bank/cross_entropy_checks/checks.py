"""Right and wrong cross-entropies, for a learner's test."""

from types import SimpleNamespace

import numpy as np

from tinygrad_gpt.exercises.writing import Case, pairs_of, wrong
from tinygrad_gpt.kernels import registry

REFERENCE = registry.reference("cross_entropy")
WRONG = ("C01", "C02", "C03", "C04", "C05", "C07", "C10", "C11")


def without_dy(dy, saved):
    return REFERENCE.backward(np.ones_like(dy), saved)


def first_rows(dy, saved):
    """The loop ends a row early."""
    dlogits = REFERENCE.backward(dy, saved)[0].copy()
    dlogits[1:][-1:] = 0
    return dlogits, None


def one_by_one(dy, saved):
    """Row by row, with the classes sorted by their logits: right, but for rounding."""
    dlogits = np.zeros_like(saved.logits)
    for row, (z, t, counts) in enumerate(zip(saved.logits, saved.targets, saved.counts, strict=True)):
        e = np.exp(z)
        dlogits[row] = counts * dy / np.sum(saved.counts) * (e / np.sum(np.sort(e)) - (np.arange(len(z)) == t))
    return dlogits, None


def cases():
    for name, pair, right in pairs_of("cross_entropy", WRONG):
        yield Case(name, (pair,), right=right)
    for name, backward, right in (
        ("another right one, row by row", one_by_one, False),
        ("a gradient without dy", without_dy, True),
        ("a gradient whose last row is missing", first_rows, True),
    ):
        yield Case(name, (SimpleNamespace(forward=REFERENCE.forward, backward=backward),), right=right)


def onehot(targets):
    """True at the target of each row that has one."""
    return np.arange(5) == targets[:, None]


def checked(pair, *, padding=True, dy=-0.7, rows=4, where=None, tolerance=1e-6):
    """The right test, but for what is given: where(targets) chooses what of the gradient is compared."""
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=(rows, 5)), rng.integers(0, 5, rows)
    if padding:
        targets[1:3] = -100
    counts = targets >= 0
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = dy * (p - onehot(targets)) * counts[:, None] / np.sum(counts)
    got = pair.backward(np.array(dy), pair.forward(logits, targets)[1])[0]
    where = np.ones_like(p, bool) if where is None else where(targets)
    assert np.max(np.abs(got - right)[where]) <= tolerance


@wrong(
    "CC01",
    "no row is padding",
    why="then all rows count, and it makes no difference by how many is divided, and what padding gets",
    look="which wrong pairs differ from the right one only where a target is -100?",
)
def no_padding(pair):
    checked(pair, padding=False)


@wrong(
    "CC02",
    "dy is 1",
    why="a backward that leaves dy out is right for a dy of 1, and wrong where the loss is one of two",
    look="what is 1 times anything?",
)
def dy_of_one(pair):
    checked(pair, dy=1.0)


@wrong(
    "CC03",
    "a single row",
    why="its count is 1, so a sum and a mean are the same; and no row can be missing",
    look="what does it change to divide by 1?",
)
def one_row(pair):
    checked(pair, rows=1, padding=False)


@wrong(
    "CC04",
    "it asks only whether each row of the gradient sums to 0",
    why="that is true of p - onehot, and of many others: of twice as much, of its negative, of zeros",
    look="which of the wrong ones have rows that sum to 0?",
)
def rows_sum_to_zero(pair):
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=(4, 5)), np.array([0, -100, 3, 1])
    got = pair.backward(np.array(-0.7), pair.forward(logits, targets)[1])[0]
    assert np.max(np.abs(np.sum(got, axis=-1))) < 1e-6


@wrong(
    "CC05",
    "only the targets' own logits are compared",
    why="the other classes have gradients as well, and padding has no target at which to look",
    look="in which elements may a gradient be wrong?",
)
def targets_alone(pair):
    checked(pair, where=onehot)


@wrong(
    "CC06",
    "numbers must be equal to the last digit",
    why="another order of the same sums rounds otherwise: right pairs of other people fail",
    look="is 0.1 + 0.2 + 0.3 the same from both ends?",
)
def to_the_last_digit(pair):
    checked(pair, tolerance=0.0)
