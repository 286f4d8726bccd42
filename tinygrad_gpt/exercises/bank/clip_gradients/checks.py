"""Clipping, beside the package's factor."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong
from tinygrad_gpt.optim import clip_scale

ITEM = "gradient"


def length(grads):
    return np.sqrt(sum(np.sum(g**2) for g in grads))


def cases():
    rng = np.random.default_rng(0)
    matrix, vector, number = rng.normal(size=(4, 3)), rng.normal(size=5), np.array(2.0)
    with_inf, with_nan = vector.copy(), vector.copy()
    with_inf[1], with_nan[2] = np.inf, np.nan
    for name, grads, max_norm in (
        ("too long", [matrix, 10 * vector, number], 1.0),
        ("one long gradient beside a short one", [100 * vector, 0.01 * matrix], 1.0),
        ("short enough", [0.1 * matrix, 0.1 * vector], 5.0),
        ("a norm below 1, and a lower max_norm", [0.05 * matrix, 0.05 * vector], 0.1),
        ("zeros", [np.zeros(3), np.zeros((2, 2))], 1.0),
        ("an element is inf", [matrix, with_inf], 1.0),
        ("an element is nan", [matrix, with_nan], 1.0),
    ):
        scale = clip_scale(length(grads), max_norm)
        given = [g.copy() for g in grads]
        yield Case(name, (given, max_norm), right=[g * scale for g in grads])
    frozen = [g.copy() for g in (matrix, vector)]
    for g in frozen:
        g.flags.writeable = False
    scale = clip_scale(length(frozen), 0.5)
    yield Case("arrays that must stay as they are", (frozen, 0.5), right=[g * scale for g in frozen])


def scaled(grads, norm, max_norm):
    scale = min(1.0, max_norm / (norm + 1e-6)) if np.isfinite(norm) else 1.0
    return [g * scale for g in grads]


@wrong(
    "T15",
    "each gradient is clipped by its own norm",
    why="the long ones are made shorter and the short ones not, so the step goes another way",
    look="what is the ratio of two gradients' norms, before and after?",
)
def one_by_one(grads, max_norm):
    return [scaled([g], length([g]), max_norm)[0] for g in grads]


@wrong(
    "CL01",
    "each element is clipped by its value",
    why="that keeps each element below max_norm, not the norm, and turns the vector",
    look="what becomes of (3, 4) with a max_norm of 1?",
)
def by_value(grads, max_norm):
    return [np.clip(g, -max_norm, max_norm) for g in grads]


@wrong(
    "CL02",
    "short gradients are made longer",
    why="clipping sets a limit; what is below it stays. Near a minimum, gradients should become small",
    look="what becomes of a norm of 0.1 with a max_norm of 5?",
)
def always(grads, max_norm):
    norm = length(grads)
    return [g * (max_norm / (norm + 1e-6) if np.isfinite(norm) else 1.0) for g in grads]


@wrong(
    "CL03",
    "the norms of the gradients are added, not their squares",
    why="norms add up like the sides of a right triangle: √(a² + b²), which is less than a + b",
    look="what is the norm of (3, 4)?",
)
def sum_of_norms(grads, max_norm):
    return scaled(grads, sum(length([g]) for g in grads), max_norm)


@wrong(
    "CL04",
    "the root is missing: Σ g² is taken for the norm",
    why="then a norm of 10 is divided by 100; and one of 0.3 counts as 0.09, which escapes a limit of 0.1",
    look="if all gradients are doubled, what becomes of your norm?",
)
def squared(grads, max_norm):
    return scaled(grads, length(grads) ** 2, max_norm)


@wrong(
    "CL05",
    "nothing is done about a norm of inf or nan",
    why="max_norm / inf is 0: every gradient becomes 0, the culprit nan, and nobody learns where inf came from",
    look="what is max_norm / inf, and what is 0 · inf?",
)
def not_finite(grads, max_norm):
    norm = length(grads)
    scale = np.minimum(1.0, max_norm / (norm + 1e-6))
    return [g * scale for g in grads]


@wrong(
    "CL06",
    "the gradients that were given are changed",
    why="the task asks for new arrays: a caller may want to look at the old ones",
    look="does `*=` make a new array?",
)
def in_place(grads, max_norm):
    norm = length(grads)
    if np.isfinite(norm) and norm > max_norm:
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return grads
