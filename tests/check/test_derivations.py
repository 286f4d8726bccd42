"""A wrong formula is told term by term: of what it consists, and of what it should."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.check.test_diagnosis import changed, hints
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops._shapes import sum_to_shape
from tinygrad_gpt.random_stream import keep_mask


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
            "weight is multiplied in at the end, where dy has to be, before the means are taken",
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
            "it is dx̂ - mean(dx̂) + x̂ mean(dx̂ x̂), where dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂) is right; "
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
        share = dy.reshape(-1, 1) / (np.sum(saved.counts) if saved.reduction == "mean" else 1)
        return np.where(saved.counts[:, None], dz * share, 0.0).reshape(saved.logits.shape), None

    assert told("cross_entropy", logits_for_p, "logits") == "it is -onehot + the logits, where p - q is right"

    def of_one_loss_only(dy, saved):
        """As it stands in many tutorials."""
        _, p, onehot = _cross_entropy(saved)
        return ((p - onehot) * dy.reshape(-1, 1) / max(1, len(p))).reshape(saved.logits.shape), None

    assert told("cross_entropy", of_one_loss_only, "logits") == (
        "it is p - onehot, where p - q is right; and besides, it is divided by the number of all rows, whatever "
        "`reduction` says; rows that are ignored get a gradient"
    )


# --- attention -------------------------------------------------------------------------------------------------------


def _drop(a, saved):
    return np.where(keep_mask(saved.seed, a.shape, saved.dropout, like=a), a / (1 - saved.dropout), 0.0)


@pytest.mark.parametrize(
    ("ds", "formula"),
    [
        (lambda p, dp: p * (1 - p) * dp, "P dP{0} - (P² dP){0}"),
        (lambda p, dp: p * (dp - _sum(dp)), "P dP{0} - (P Σ dP){0}"),
        (lambda p, dp: dp - _sum(p * dp), "dP{0} - (Σ P dP){0}"),
    ],
)
def test_the_softmax_inside_of_attention(ds, formula):
    def backward(grads, dy, saved):
        d = ds(saved.p, _drop(dy @ saved.v.swapaxes(-1, -2), saved))
        dmask = None if saved.mask_shape is None else sum_to_shape(d, saved.mask_shape)
        return d @ saved.k * saved.scale, d.swapaxes(-1, -2) @ saved.q * saved.scale, grads[2], dmask

    said = hints("attention", changed("attention", backward))
    assert "the gradient of v" not in said
    assert said
