"""Shapes and what they were stretched from, beside the package's broadcast_to."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong
from tinygrad_gpt.kernels import registry


def ours(dy, shape):
    op = registry.reference("broadcast_to")
    _, saved = op.forward(np.zeros(shape), shape=dy.shape)
    return op.backward(dy, saved)[0]


def cases():
    rng = np.random.default_rng(0)
    for name, large, small in (
        ("a bias", (2, 3), (3,)),
        ("a column", (3, 4), (3, 1)),
        ("a row", (3, 4), (1, 4)),
        ("a square", (3, 3), (3,)),
        ("a number", (2, 3), ()),
        ("a new axis and an axis of 1", (5, 2, 3), (2, 1)),
        ("axes of 1 at both ends", (2, 3, 4), (1, 3, 1)),
        ("an axis of 1 that stays", (1, 3), (1, 3)),
        ("nothing was stretched", (2, 3), (2, 3)),
    ):
        dy = rng.normal(size=large)
        yield Case(name, (dy, small), right=ours(dy, small))


@wrong(
    "G07",
    "nothing is summed",
    why="a gradient has the shape of what it is the gradient of, and this one has the shape of y",
    look="which shape has b, and which has your gradient?",
)
def as_it_is(dy, shape):
    return dy


@wrong(
    "G08",
    "a mean is taken, not a sum",
    why="each use of b moves the loss, and a change of b moves all of them at once",
    look="if b[0] grows by 1 and three numbers of y grow with it, by how much does the sum of y grow?",
)
def averaged(dy, shape):
    right = ours(dy, shape)
    return right * right.size / dy.size


@wrong(
    "ST01",
    "axes of 1 that were stretched are not summed",
    why="not only new axes come of broadcasting: (3, 1) is stretched to (3, 4) as well",
    look="where does `shape` have a 1?",
)
def new_axes_only(dy, shape):
    return np.sum(dy, axis=tuple(range(dy.ndim - len(shape))))


@wrong(
    "ST02",
    "the axes that were summed are still there, as 1",
    why="axes that broadcasting added were not there before, so they have to go: (3,) is not (1, 3)",
    look="how many axes has `shape`, and how many has your gradient?",
)
def kept(dy, shape):
    full = (1,) * (dy.ndim - len(shape)) + tuple(shape)
    return np.sum(dy, axis=tuple(i for i, size in enumerate(full) if size == 1), keepdims=True)


@wrong(
    "ST03",
    "the shapes are compared from the left: the axes at the end are summed",
    why="NumPy compares shapes from the right, so a missing axis is one at the front. A square shows no wrong shape",
    look="to what of a matrix (3, 3) does NumPy add the three numbers of a bias: to its rows or to its columns?",
)
def from_the_left(dy, shape):
    dy = np.sum(dy, axis=tuple(range(len(shape), dy.ndim)))
    return np.sum(dy, axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)
