"""Optimisers side by side with PyTorch's, over several steps of random gradients."""

import numpy as np
import pytest

from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.optim import SGD, Adam, AdamW

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.reference


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (SGD, "SGD", dict(lr=0.1)),
        (SGD, "SGD", dict(lr=0.1, momentum=0.9)),
        (SGD, "SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.2)),
        (SGD, "SGD", dict(lr=0.1, weight_decay=0.2)),
        (Adam, "Adam", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-6)),
        (AdamW, "AdamW", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3)),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else None,
)
def test_five_steps_agree_with_pytorch(ours, theirs, settings):
    rng = np.random.default_rng(3)
    start = rng.standard_normal((5, 7))
    a = Tensor(start.copy(), requires_grad=True)
    b = torch.from_numpy(start.copy()).requires_grad_()
    mine, other = ours([a], **settings), getattr(torch.optim, theirs)([b], **settings)
    for step in range(5):
        mine.lr = settings["lr"] / (step + 1)
        other.param_groups[0]["lr"] = mine.lr
        a.grad = rng.standard_normal((5, 7))
        b.grad = torch.from_numpy(a.grad.copy())
        mine.step()
        other.step()
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-12, atol=1e-14)
    assert np.abs(a.data - start).max() > 0.01
