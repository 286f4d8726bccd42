"""Right and wrong softmaxes, for a learner's check."""

from types import SimpleNamespace

import numpy as np

from tinygrad_gpt.exercises.writing import Case, pairs_of, wrong
from tinygrad_gpt.kernels import registry


def zeros(dy, saved):
    return (np.zeros_like(dy),)


def without_dy(dy, saved):
    return registry.reference("softmax").backward(np.ones_like(dy), saved)


def along_the_last(dy, saved):
    return registry.reference("softmax").backward(dy, saved._replace(axis=-1))


def one_row_only(dy, saved):
    dx = registry.reference("softmax").backward(dy, saved)[0].copy()
    dx[1:] = 0
    return (dx,)


def by_the_jacobian(dy, saved):
    y, axis = saved
    ys, dys = np.moveaxis(y, axis, -1), np.moveaxis(dy, axis, -1)
    dx = np.einsum("...i,...ij->...j", dys, ys[..., None] * (np.eye(ys.shape[-1]) - ys[..., None, :]))
    return (np.moveaxis(dx, -1, axis),)


def cases():
    forward = registry.reference("softmax").forward
    for name, pair, right in pairs_of("softmax", ("S01", "S02", "S03")):
        yield Case(name, (pair,), right=right)
    for name, backward, right in (
        ("another right softmax, by the Jacobian", by_the_jacobian, False),
        ("a gradient of zeros", zeros, True),
        ("a gradient without dy", without_dy, True),
        ("a gradient along the last axis, whatever the axis", along_the_last, True),
        ("a gradient that ends after the first row", one_row_only, True),
    ):
        yield Case(name, (SimpleNamespace(forward=forward, backward=backward),), right=right)


def measured(pair, axes=(-1, 0), ones=False, places=None, tolerance=1e-6):
    """The right check, but for what is given."""
    rng = np.random.default_rng(0)
    for axis in axes:
        x, dy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
        dy = np.ones_like(dy) if ones else dy
        dx = pair.backward(dy, pair.forward(x, axis=axis)[1])[0]
        for place in places or np.ndindex(x.shape):
            h = np.zeros_like(x)
            h[place] = 1e-6
            up, down = (np.sum(dy * pair.forward(x + d, axis=axis)[0]) for d in (h, -h))
            assert abs((up - down) / 2e-6 - dx[place]) < tolerance


@wrong(
    "SC01",
    "dy is all ones",
    why="the outputs of a row sum to 1, so their sum has gradient 0: zeros look right, and so does a lost dy",
    look="what is the gradient of Σ y, without any computing?",
)
def with_ones(pair):
    measured(pair, ones=True)


@wrong(
    "SC02",
    "it asks only whether the gradient is not zero",
    why="a wrong number is not zero either",
    look="which of the wrong pairs return zeros?",
)
def not_zero(pair):
    x, dy = np.random.default_rng(0).normal(size=(2, 3, 4))
    assert np.any(pair.backward(dy, pair.forward(x)[1])[0] != 0)


@wrong(
    "SC03",
    "only the last axis is tried",
    why="a pair that ignores its setting is right for the default",
    look="which arguments has forward besides x?",
)
def one_axis(pair):
    measured(pair, axes=(-1,))


@wrong(
    "SC04",
    "only one element is measured",
    why="an error elsewhere goes unseen",
    look="in which elements can a gradient be wrong?",
)
def one_element(pair):
    measured(pair, places=[(0, 0)])


@wrong(
    "SC05",
    "the tolerance is below what the measurement can tell",
    why="rounding of L over h of 1e-6 leaves errors of about 1e-10: a right gradient differs by as much",
    look="how exact is the measured derivative itself?",
)
def too_strict(pair):
    measured(pair, tolerance=1e-14)
