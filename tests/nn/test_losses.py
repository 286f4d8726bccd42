"""Losses as Modules, and RMSNorm: their settings reach the functions."""

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt import nn

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((2, 4, 3))
IDS = np.array([0, 2, 1, 2])
LOGS = F.log_softmax(X).data
WEIGHT = np.array([1.0, 2.0, 0.5])
LOSSES = [
    (nn.CrossEntropyLoss, {}, F.cross_entropy, X, IDS),
    (nn.CrossEntropyLoss, dict(ignore_index=2, label_smoothing=0.1), F.cross_entropy, X, IDS),
    (nn.NLLLoss, {}, F.nll_loss, LOGS, IDS),
    (nn.NLLLoss, dict(weight=WEIGHT, ignore_index=1), F.nll_loss, LOGS, IDS),
    (nn.MSELoss, {}, F.mse_loss, X, Y),
    (nn.L1Loss, {}, F.l1_loss, X, Y),
    (nn.BCEWithLogitsLoss, {}, F.binary_cross_entropy_with_logits, X, abs(Y)),
    (nn.BCEWithLogitsLoss, dict(weight=WEIGHT, pos_weight=WEIGHT), F.binary_cross_entropy_with_logits, X, abs(Y)),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind, settings, function, x, y", LOSSES)
def test_a_loss_is_its_function(kind, settings, function, x, y, reduction):
    loss = kind(**settings, reduction=reduction)
    assert (loss(x, y).data == function(x, y, **settings, reduction=reduction).data).all()
    assert kind(**settings).reduction == "mean" and not list(loss.parameters())
    assert [name for name, _ in loss.named_buffers()] == [name for name in settings if "weight" in name]


def test_what_is_refused():
    for kind in {kind for kind, *_ in LOSSES}:
        with pytest.raises(ValueError, match=f'{kind.__name__}: expected reduction="mean", "sum" or "none", got 3'):
            kind(reduction=3)
    with pytest.raises(TypeError, match=r"CrossEntropyLoss: expected no weight, .*NLLLoss\(weight\)"):
        nn.CrossEntropyLoss(WEIGHT)


@pytest.mark.parametrize("shape", [3, (3,), (4, 3)])
def test_rms_norm(shape):
    norm = nn.RMSNorm(shape, eps=0.1)
    norm.weight.data[...] = rng.standard_normal(norm.weight.shape)
    x = X.astype(np.float32)
    axes = -1 if norm.weight.ndim == 1 else (-2, -1)
    expected = x / np.sqrt((x * x).mean(axes, keepdims=True) + 0.1) * norm.weight.data
    np.testing.assert_allclose(norm(x).data, expected, rtol=1e-5)
    assert repr(nn.RMSNorm(4)) == "RMSNorm((4,), eps=None, elementwise_affine=True)"
    assert nn.RMSNorm(3, elementwise_affine=False).weight is None
