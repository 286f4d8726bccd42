"""A wrong formula is told term by term: of what it consists, and of what it should."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.check.test_diagnosis import changed, hints
from tinygrad_gpt.check import case
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops._shapes import sum_to_shape
from tinygrad_gpt.random_stream import keep_mask


@pytest.fixture(autouse=True)
def measured_along_directions_only(monkeypatch):
    """Which is faster; the diagnosis reads the reference's gradients."""
    monkeypatch.setattr(case, "ELEMENTS", 0)
    monkeypatch.setattr(case, "DIRECTIONS", 1)


def _mean(a, axis=-1):
    return np.mean(a, axis=axis, keepdims=True)


def _sum(a, axis=-1):
    return np.sum(a, axis=axis, keepdims=True)


def told(op, backward, subject, forward=None) -> str:
    """What is said of a gradient, the same in every case in which anything is."""
    pair = SimpleNamespace(forward=forward or registry.reference(op).forward, backward=backward)
    (hint,) = hints(op, pair)[f"the gradient of {subject}"]
    return hint


# --- layer norm ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dx", "words"),
    [
        (
            lambda dy, g, n, r, w: w * r * (dy - _mean(dy) - n * _mean(dy * n)),
            "weight is multiplied in at the end, not before the means are taken",
        ),
        (
            lambda dy, g, n, r, w: r * (g - _mean(g) - 0.5 * n * _mean(g * n)),
            "it is r dx̂ - r mean(dx̂) - 0.5 r x̂ mean(dx̂ x̂), where r dx̂ - r mean(dx̂) - r x̂ mean(dx̂ x̂) is right",
        ),
        (
            lambda dy, g, n, r, w: r * (g - _mean(dy) - n * _mean(g * n)),
            "it is r dx̂ - r x̂ mean(dx̂ x̂) - r mean(dy), where r dx̂ - r mean(dx̂) - r x̂ mean(dx̂ x̂) is right",
        ),
        (
            lambda dy, g, n, r, w: g - _mean(g) + n * _mean(g * n),
            "it is dx̂ + x̂ mean(dx̂ x̂) - mean(dx̂), where dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂) is right; "
            "and besides, r, one over the standard deviation, is left out",
        ),
    ],
)
def test_layer_norm(dx, words):
    def backward(grads, dy, saved):
        return dx(dy, dy * saved.weight, saved.x_hat, saved.rstd, saved.weight), *grads[1:]

    said = hints("layer_norm", changed("layer_norm", backward))
    assert said["the gradient of x"] == {words}
    assert [*said] == ["the gradient of x"], "and the others are right"


# --- softmax, cross-entropy ------------------------------------------------------------------------------------------


def test_the_exponentials_are_not_divided_by_their_sum():
    def forward(x, *, axis=-1):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True))
        return e / _sum(e, axis), (e, axis)

    def backward(dy, saved):
        e, axis = saved
        return (e * (dy - _sum(dy * e, axis)),)

    assert told("softmax", backward, "x", forward) == (
        "it is the gradient with e^(x - max), which is not divided by its sum, in the place of y"
    )


def test_a_number_of_each_row():
    def forward(x, *, axis=-1):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True))
        return e / _sum(e, axis), (e, axis)

    def backward(dy, saved):
        e, axis = saved
        y = e / _sum(e, axis)
        return (e * (dy - _sum(dy * y, axis)),)

    assert told("softmax", backward, "x", forward) == "it is e dy - e Σ y dy, where y dy - y Σ y dy is right"


def _cross_entropy(saved):
    z = saved.logits.reshape(-1, saved.logits.shape[-1])
    p = np.exp(z - saved.peak) / saved.total
    onehot = np.zeros_like(p)
    onehot[np.arange(len(p)), saved.targets] = 1
    return z, p, onehot


def test_two_things_forgotten_in_cross_entropy():
    def logits_for_p(dy, saved):
        z, _, onehot = _cross_entropy(saved)
        dz = z - onehot
        share = dy.reshape(-1, 1) / (np.sum(saved.counts, dtype=dy.dtype) if saved.reduction == "mean" else 1)
        return np.where(saved.counts[:, None], dz * share, 0.0).reshape(saved.logits.shape), None

    assert told("cross_entropy", logits_for_p, "logits") == (
        "it is (the logits) - onehot, where p - (the targets, smoothed) is right"
    )

    def of_one_loss_only(dy, saved):
        """As it stands in many tutorials."""
        _, p, onehot = _cross_entropy(saved)
        return ((p - onehot) * dy.reshape(-1, 1) / max(1, len(p))).reshape(saved.logits.shape), None

    assert told("cross_entropy", of_one_loss_only, "logits") == (
        "it is p - onehot, where p - (the targets, smoothed) is right; and besides, it is divided by the number of all "
        "rows, whatever `reduction` says; rows that are ignored get a gradient"
    )


# --- attention -------------------------------------------------------------------------------------------------------


def _drop(a, saved):
    return np.where(keep_mask(saved.seed, a.shape, saved.dropout, like=a), a / (1 - saved.dropout), 0.0)


@pytest.mark.parametrize(
    ("ds", "formula"),
    [
        (lambda p, dp: p * (1 - p) * dp, "P dP - P² dP"),
        (lambda p, dp: p * (dp - _sum(dp)), "P dP - P Σ dP"),
        (lambda p, dp: dp - _sum(p * dp), "dP - Σ P dP"),
    ],
)
def test_the_softmax_inside_of_attention(ds, formula):
    def backward(grads, dy, saved):
        d = ds(saved.p, _drop(dy @ saved.v.swapaxes(-1, -2), saved))
        dmask = None if saved.mask_shape is None else sum_to_shape(d, saved.mask_shape)
        return d @ saved.k * saved.scale, d.swapaxes(-1, -2) @ saved.q * saved.scale, grads[2], dmask

    said = hints("attention", changed("attention", backward))
    assert {*said} == {"the gradient of q", "the gradient of k", "the gradient of mask"}
    words = f"dS, the gradient of the scores, is {formula}, where P dP - P Σ P dP is right"
    assert set.union(*said.values()) == {words}


def test_the_scale_is_1_over_d():
    def backward(grads, dy, saved):
        return grads[0] / saved.scale / saved.q.shape[-1], *grads[1:]

    said = hints("attention", changed("attention", backward))
    assert said["the gradient of q"] == {"it is divided by D, where the scale is meant (1/√D, if none is given)"}


# --- element by element, the variance, the mean ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "backward", "words"),
    [
        ("sigmoid", lambda g, dy, s: (s.y * s.y * dy,), "it is y² dy"),
        ("log", lambda g, dy, s: (-dy / s.x**2,), "it is -1/x² dy"),
        ("exp", lambda g, dy, s: (dy + s.y,), "it is dy + y (without dy)"),
        ("pow", lambda g, dy, s: (s.exponent * s.x * dy,), "it is n x dy, where n xⁿ⁻¹ dy is right"),
        (
            "var",
            lambda g, dy, s: (g[0] * s.divisor / max(1, s.x.shape[-1]),),
            "it is divided by the size of the last axis, whatever `axis` says",
        ),
        (
            "mean",
            lambda g, dy, s: (g[0] * (g[0].size / max(1, dy.size)) / max(1, s.shape[0]),),
            "it is divided by the size of the first axis, whatever `axis` says",
        ),
    ],
)
def test_functions_of_one_array(op, backward, words):
    assert hints(op, changed(op, backward))["the gradient of x"] == {words}


def test_nothing_is_fitted_to_noise():
    """With so many terms a formula would be found for anything, were it not asked of all cases."""

    def backward(grads, dy, saved):
        noise = np.random.default_rng(dy.size).normal(size=grads[0].shape).astype(dy.dtype)
        return (grads[0] * np.exp(noise), *grads[1:])

    for op in ("softmax", "layer_norm", "silu"):
        assert hints(op, changed(op, backward))["the gradient of x"] <= set()
