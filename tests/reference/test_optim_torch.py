"""Optimisers and schedulers side by side with PyTorch's: values over several steps, arguments and defaults."""

import inspect

import numpy as np
import pytest

from tinygrad_gpt import optim
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.optim import lr_scheduler

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.reference

OPTIMISERS = ["SGD", "Adam", "AdamW"]


def parameters(*seeds) -> tuple[list[Tensor], list]:
    """The same parameters (5, 7), ours and PyTorch's."""
    starts = [np.random.default_rng(seed).standard_normal((5, 7)) for seed in seeds]
    ours = [Tensor(start.copy(), requires_grad=True) for start in starts]
    return ours, [torch.from_numpy(start).requires_grad_() for start in starts]


def give_gradients(ours, theirs, rng) -> None:
    for a, b in zip(ours, theirs, strict=True):
        a.grad = rng.standard_normal(a.shape)
        b.grad = torch.from_numpy(a.grad.copy())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", dict(lr=0.1)),
        ("SGD", dict(lr=0.1, momentum=0.9)),
        ("SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.2)),
        ("SGD", dict(lr=0.1, weight_decay=0.2)),
        ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.3)),
        ("SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)),
        ("SGD", dict(lr=0.1, dampening=0.3)),
        ("Adam", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-6)),
        ("Adam", dict(lr=0.01, weight_decay=0.3)),
        ("AdamW", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3)),
        ("AdamW", dict(lr=0.01)),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else x,
)
def test_five_steps_agree_with_pytorch(name, settings):
    rng = np.random.default_rng(3)
    a, b = parameters(3)
    start = a[0].data.copy()
    mine, other = getattr(optim, name)(a, **settings), getattr(torch.optim, name)(b, **settings)
    for step in range(5):
        for optimizer in (mine, other):
            optimizer.param_groups[0]["lr"] = settings["lr"] / (step + 1)
        give_gradients(a, b, rng)
        mine.step()
        other.step()
        np.testing.assert_allclose(a[0].data, b[0].detach().numpy(), rtol=1e-12, atol=1e-14)
    assert np.abs(a[0].data - start).max() > 0.01


@pytest.mark.parametrize("name", OPTIMISERS)
def test_groups_agree_with_pytorch(name):
    rng = np.random.default_rng(4)
    a, b = parameters(1, 2, 3)

    def make(module, params):
        groups = [{"params": params[:1], "lr": 0.1}, {"params": params[1], "weight_decay": 0.2}]
        optimizer = getattr(module, name)(groups, lr=0.01)
        optimizer.add_param_group({"params": params[2:], "lr": 0.05})
        return optimizer

    mine, other = make(optim, a), make(torch.optim, b)
    for _ in range(3):
        give_gradients(a, b, rng)
        mine.step()
        other.step()
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x.data, y.detach().numpy(), rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(mine.param_groups, other.param_groups, strict=True):
        assert all(ours[setting] == theirs[setting] for setting in mine.defaults)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_arguments_and_defaults_are_pytorch_s(name):
    ours = inspect.signature(getattr(optim, name).__init__).parameters
    theirs = inspect.signature(getattr(torch.optim, name).__init__).parameters
    mine = [p for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for p, q in zip(mine, theirs.values(), strict=False):  # theirs has more: amsgrad, and keywords
        assert (p.name, p.default) == (q.name, q.default)
    assert len(mine) == (7 if name == "SGD" else 6)


SCHEDULES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda t: 0.9**t),
    "LambdaLR, one for each": lambda s, o: s.LambdaLR(o, [lambda t: 1 / (t + 1), lambda t: 0.5]),
    "StepLR": lambda s, o: s.StepLR(o, 4, gamma=0.3),
    "StepLR, defaults": lambda s, o: s.StepLR(o, 7),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 8, 9], gamma=0.5),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.8),
    "ConstantLR": lambda s, o: s.ConstantLR(o),
    "ConstantLR, settings": lambda s, o: s.ConstantLR(o, factor=0.5, total_iters=9),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR, settings": lambda s, o: s.LinearLR(o, 0.1, 0.7, total_iters=11),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 10, eta_min=0.001),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, T_mult=2, eta_min=0.001),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 12), s.ExponentialLR(o, 0.9)], [5, 17]
    ),
}


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_schedulers_give_pytorch_s_learning_rates(make):
    a, b = parameters(1, 2)

    def rates(module, schedulers, params):
        groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.03}]
        optimizer = module.SGD(groups, lr=0.1)
        scheduler = make(schedulers, optimizer)
        found = []
        for _ in range(25):
            found.append([group["lr"] for group in optimizer.param_groups])
            assert found[-1] == scheduler.get_last_lr()
            optimizer.step()
            scheduler.step()
        return found

    ours, theirs = rates(optim, lr_scheduler, a), rates(torch.optim, torch.optim.lr_scheduler, b)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-17)
    assert len({tuple(rate) for rate in ours}) > 1


@pytest.mark.parametrize("name", sorted({name.partition(",")[0] for name in SCHEDULES}))
def test_schedulers_take_pytorch_s_arguments(name):
    ours = inspect.signature(getattr(lr_scheduler, name).__init__).parameters.values()
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name).__init__).parameters.values()
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]
