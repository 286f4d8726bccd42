"""Indices and loops that pick other rows, columns, matrices or targets than are meant; sums taken too early; and two
mistakes at once. None is in the bank: each is told by a rule that holds for any op, or by a derivation's terms."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.check.test_diagnosis import changed, hints
from tinygrad_gpt.check import mistakes
from tinygrad_gpt.kernels import registry

pytestmark = pytest.mark.usefixtures("measured_along_directions_only")


def told(op, change, name) -> set[str]:
    """What is said of the gradient of `name`, of the reference's pair with `change` for its backward."""
    return hints(op, changed(op, change)).get(f"the gradient of {name}", set())


# --- cross-entropy ---------------------------------------------------------------------------------------------------


def of_logits(dz, mean=True, dy_is_read=True):
    """`dz(p, onehot, ε, targets)` for the gradient of each row's loss (R, V)."""

    def backward(grads, dy, s):
        z = s.logits.reshape(-1, s.logits.shape[-1])
        p, onehot = np.exp(z - s.peak) / s.total, np.zeros_like(z)
        onehot[np.arange(len(z)), s.targets] = 1
        share = (dy if dy_is_read else np.ones_like(dy)).reshape(-1, 1)
        share = share / max(1, np.sum(s.counts, dtype=dy.dtype)) if mean and s.reduction == "mean" else share
        d = np.where(s.counts[:, None], dz(p, onehot, dy.dtype.type(s.label_smoothing), s.targets) * share, 0)
        return d.reshape(s.logits.shape), None

    return backward


def whole_columns(p, onehot, eps, t):
    p[:, t] -= 1
    return p


def smoothed(onehot, eps):
    return (1 - eps) * onehot + eps / onehot.shape[-1]


def class_0_alone(p, onehot, eps, t):
    d = np.zeros_like(p)
    d[:, 0] = (p - smoothed(onehot, eps))[:, 0]
    return d


def as_many_rows_as_classes(p, onehot, eps, t):
    p -= eps / p.shape[1]
    for row in range(min(p.shape)):
        p[row, t[row]] -= 1 - eps
    return p


def first_row_alone(p, onehot, eps, t):
    for row in range(len(p)):
        p[row] -= smoothed(onehot, eps)[row]
        break
    return p


RIGHT = "where p - (the targets, smoothed) is right"
NOT_DIVIDED = "and besides, it is not divided by the number of rows, as the mean is"


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (
            of_logits(whole_columns),
            "(p[:, t] is a column for each target: p[np.arange(R), t] is one element of each row)",
        ),
        (of_logits(whole_columns, mean=False), NOT_DIVIDED),
        (
            of_logits(class_0_alone),
            "it is wrong in all classes but class 0, and only there: it is 0 there",
        ),
        (
            of_logits(lambda p, q, eps, t: p - smoothed(np.eye(q.shape[1], dtype=p.dtype)[0 * t], eps)),
            "it is the gradient with 0 in the place of all targets: are targets used?",
        ),
        (
            of_logits(lambda p, q, eps, t: p - smoothed(np.roll(q, 1, axis=1), eps)),
            "it is the gradient with targets + 1 in the place of targets",
        ),
        (
            of_logits(lambda p, q, eps, t: p - smoothed(np.roll(q, -1, axis=1), eps)),
            "it is the gradient with targets - 1 in the place of targets",
        ),
        (of_logits(lambda p, q, eps, t: p - np.roll(q, 1, axis=1)), f"it is p - (the class after the target), {RIGHT}"),
        (
            of_logits(lambda p, q, eps, t: p - smoothed(np.roll(q, -1, axis=0), eps)),
            "it is the gradient with the next row's targets in each row: are they shifted?",
        ),
        (
            of_logits(lambda p, q, eps, t: p - smoothed(q[:1] + 0 * q, eps)),
            "it is the gradient with the first of targets in the place of all: does an index stay at 0?",
        ),
        (of_logits(first_row_alone), f"it is p - (the target, in the first row alone, smoothed), {RIGHT}"),
        (
            of_logits(as_many_rows_as_classes),
            "at the targets of the rows after the first n, n being the number of classes, and only there",
        ),
        (of_logits(lambda p, q, eps, t: smoothed(q, eps) - p, mean=False), "and besides, the sign is flipped"),
        (
            of_logits(lambda p, q, eps, t: p - smoothed(q, eps), mean=False, dy_is_read=False),
            "it is not divided by the number of rows, as the mean is; dy is ignored",
        ),
    ],
)
def test_cross_entropy(backward, words):
    (said,) = told("cross_entropy", backward, "logits")
    assert words in said


def test_of_nonsense_nothing_is_said_and_soon(monkeypatch):
    """Least squares are asked of all terms together, before they are of any two."""
    asked, lstsq = [], np.linalg.lstsq
    monkeypatch.setattr(np.linalg, "lstsq", lambda *a, **k: asked.append(1) or lstsq(*a, **k))
    said = told("cross_entropy", of_logits(lambda p, q, eps, t: p * 1.1 + 0.01 * np.sin(40 * p)), "logits")
    assert not said
    assert len(asked) < 1000


# --- softmax ---------------------------------------------------------------------------------------------------------


def total(a, axis):
    return np.sum(a, axis=axis, keepdims=True)


def loop_for_two_axes(y, dy, axis):
    dx = np.zeros_like(y)
    for i in range(len(y)):
        dx[i] = y[i] * (dy[i] - np.sum(y[i] * dy[i]))
    return dx


def loop_over_too_few_rows(y, dy, axis):
    moved = np.moveaxis(y, axis, -1)
    rows, dys = (np.moveaxis(a, axis, -1).reshape(-1, y.shape[axis]) for a in (y, dy))
    dxs = np.zeros_like(rows)
    for i in range(len(y)):
        dxs[i] = rows[i] * (dys[i] - np.sum(rows[i] * dys[i]))
    return np.moveaxis(dxs.reshape(moved.shape), -1, axis).copy()


@pytest.mark.parametrize(
    ("dx", "words"),
    [
        (loop_for_two_axes, "it is y dy - y Σ y dy over all axes but the first, where y dy - y Σ y dy is right"),
        (loop_over_too_few_rows, "in the rows along `axis` after the first n, n being the size of the first axis"),
        (lambda y, dy, axis: y * (total(y * dy, axis) - dy) / y.shape[axis], "and the sign is flipped besides"),
        (lambda y, dy, axis: y * (dy + total(y * dy, -1)), "it is y dy + y Σ y dy over the last axis"),
        (lambda y, dy, axis: y * (dy - total(dy, -1)), "it is y dy - y Σ dy over the last axis"),
        (
            lambda y, dy, axis: y * (dy - total(dy, axis)) / y.shape[axis],
            "it is y dy - y Σ dy, where y dy - y Σ y dy is right; and besides, it is divided by the size of the axis",
        ),
    ],
)
def test_softmax(dx, words):
    def backward(grads, dy, saved):
        some_axes = dy.ndim > (1 if dx is not loop_over_too_few_rows else 2) and dy.size
        return grads if not some_axes else (dx(saved.y, dy, saved.axis),)

    said = told("softmax", backward, "x")
    assert said and all(words in hint for hint in said)


# --- other axes, other rows, other matrices --------------------------------------------------------------------------


def max_that_keeps_x(x, *, axis=None, keepdims=False):
    y, saved = registry.reference("max").forward(x, axis=axis, keepdims=keepdims)
    return y, (x, saved.axes)


@pytest.mark.parametrize(
    ("send", "words"),
    [
        (lambda x, dy: dy, "it is the gradient with is_largest found for axis=None: is axis used there?"),
        (
            lambda x, dy: np.sum(dy),
            "it is the gradient for axis=None and the sum of all of dy: does backward use axis?",
        ),
    ],
)
def test_the_largest_of_all(send, words):
    def backward(dy, saved):
        x, axes = saved
        dy = dy.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])
        return (np.where(x == np.max(x, initial=-np.inf), send(x, dy), 0).astype(x.dtype),)

    pair = SimpleNamespace(forward=max_that_keeps_x, backward=backward)
    assert hints("max", pair)["the gradient of x"] == {words}


def rows_of(dy, x):
    return dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])


def dweight(made):
    def backward(grads, dy, saved):
        rows, x = rows_of(dy, saved.x)
        return grads[0], made(rows, x) if len(x) else grads[1], grads[2]

    return backward


def first_matrices(g, rest=0.0):
    g = g.copy()
    if g.ndim > 2:
        matrices = g.reshape(-1, *g.shape[-2:])
        matrices[1:] *= rest
    return g


def first_matrix_of_dy(grads, dy, saved):
    first, axes = np.zeros_like(dy), (saved.a.ndim > 1) + (saved.b.ndim > 1)
    index = (0,) * (dy.ndim - axes)
    first[index] = dy[index]
    return registry.reference("matmul").backward(first, saved)


def sum_of_rows(a):
    return np.sum(a, axis=tuple(range(a.ndim - 1)))


@pytest.mark.parametrize(
    ("op", "backward", "name", "words"),
    [
        (
            "linear",
            dweight(lambda dy, x: np.outer(dy.sum(0), x.sum(0))),
            "weight",
            "it is the gradient with the sum of all rows of dy in the place of each: are they added up too early?",
        ),
        (
            "linear",
            dweight(lambda dy, x: np.outer(dy.sum(0), x.mean(0))),
            "weight",
            "it is the gradient with the mean of all rows of dy in the place of each: are they added up too early?",
        ),
        (
            "linear",
            dweight(lambda dy, x: np.outer(dy.sum(0), x[0])),
            "weight",
            "it is the gradient with the first row of x in the place of all: does an index stay at 0?",
        ),
        (
            "layer_norm",
            lambda g, dy, s: (g[0], sum_of_rows(dy) * sum_of_rows(s.x_hat), g[2]),
            "weight",
            "it is the gradient with the sum of all rows of dy in the place of each: are they added up too early?",
        ),
        (
            "layer_norm",
            lambda g, dy, s: (g[0], sum_of_rows(dy * s.x_hat * s.rstd), g[2]),
            "weight",
            "it is the gradient for dy · rstd: is rstd one factor too many?",
        ),
        (
            "matmul",
            lambda g, dy, s: tuple(map(first_matrices, g)),
            "a",
            "it is wrong in the matrices after the first one of the batch, and only there: it is 0 there",
        ),
        ("matmul", first_matrix_of_dy, "b", "it is what the first matrix of dy gives, alone: is the rest left out?"),
        (
            "matmul",
            lambda g, dy, s: tuple(a.reshape(-1, *a.shape[-2:])[0] if a.ndim > 2 else a for a in g),
            "b",
            "it is the first matrix of the right one, alone, without an axis for the batch",
        ),
        (
            "layer_norm",
            lambda g, dy, s: (g[0], -sum_of_rows(dy * s.x_hat * s.rstd), g[2]),
            "weight",
            "it is -1 times the gradient for dy · rstd: is rstd one factor too many?",
        ),
        (
            "embedding",
            lambda g, dy, s: (None, np.roll(g[1], 1, axis=0)),
            "weight",
            "it is the gradient with ids + 1 in the place of ids",
        ),
    ],
)
def test_rows_and_matrices(op, backward, name, words):
    assert told(op, backward, name) == {words}


# --- what some cases have in common ----------------------------------------------------------------------------------


def test_an_input_that_is_given_in_some_cases_alone():
    known = mistakes.by_id("N08")

    def backward(grads, dy, saved):
        noise = np.exp(np.sin(40 * saved.x_hat)).astype(dy.dtype)
        return known.backward(dy, saved)[0] if saved.has_bias else grads[0] * noise, *grads[1:]

    (said,) = told("layer_norm", backward, "x")
    assert said == f"where bias is given, as in N08: {known.sentence}"
