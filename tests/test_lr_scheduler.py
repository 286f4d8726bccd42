"""Schedulers: what they set, their states, and what they refuse. (PyTorch's rates: tests/reference.)"""

import json

import numpy as np
import pytest

from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.optim import SGD, warmup_cosine
from tinygrad_gpt.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
    StepLR,
)


def optimizer(*rates) -> SGD:
    rates = rates or (0.1,)
    return SGD([{"params": [Tensor(np.ones(2), requires_grad=True)], "lr": lr} for lr in rates])


def run(scheduler: LRScheduler, steps: int) -> list[list[float]]:
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in scheduler.optimizer.param_groups])
        scheduler.step()
    return rates


def test_the_first_rate_is_set_at_once_and_each_group_keeps_its_own():
    rates = run(ExponentialLR(optimizer(1.0, 0.5), gamma=0.5), 3)
    assert rates == [[1.0, 0.5], [0.5, 0.25], [0.25, 0.125]]


def test_our_schedules_work_through_a_lambda():
    rates = run(LambdaLR(optimizer(0.2), lambda t: warmup_cosine(t, lr=1.0, warmup=3, total=10)), 12)
    np.testing.assert_allclose(
        [rate for (rate,) in rates], [warmup_cosine(t, lr=0.2, warmup=3, total=10) for t in range(12)], rtol=1e-12
    )


def sequence(o: SGD) -> SequentialLR:
    return SequentialLR(o, [LinearLR(o, total_iters=4), CosineAnnealingLR(o, 9)], milestones=[4])


@pytest.mark.parametrize("make", [lambda o: StepLR(o, 3, 0.5), sequence])
def test_a_state_goes_through_json_and_on_where_it_was(make):
    scheduler = make(optimizer(0.1, 0.2))
    run(scheduler, 5)
    state = json.loads(json.dumps(scheduler.state_dict()))
    expected = run(scheduler, 6)
    other = make(optimizer(0.1, 0.2))
    other.load_state_dict(state)
    assert run(other, 6) == expected


def test_last_epoch_goes_on_from_the_groups_first_rates():
    o = optimizer(0.1)
    with pytest.raises(KeyError, match="initial_lr in group 0 to go on from step 4"):
        StepLR(o, 3, last_epoch=4)
    run(StepLR(o, 3), 5)
    assert StepLR(o, 3, last_epoch=4).get_last_lr() == [pytest.approx(0.1 * 0.1)]


def test_what_cannot_be_is_refused():
    o = optimizer()
    with pytest.raises(TypeError, match=r"StepLR: expected an optimiser, got 0.1"):
        StepLR(0.1, 3)
    with pytest.raises(ValueError, match=r"StepLR: expected step_size >= 1, got 0"):
        StepLR(o, 0)
    with pytest.raises(TypeError, match=r"LambdaLR: expected a function, or 1 in a list, got 0.9"):
        LambdaLR(o, 0.9)
    with pytest.raises(ValueError, match="SequentialLR: expected schedulers of this optimiser"):
        SequentialLR(o, [StepLR(optimizer(), 3)], [])
    with pytest.raises(ValueError, match=r"SequentialLR: expected 1 milestones for 2 schedulers, got \[\]"):
        SequentialLR(o, [StepLR(o, 3), StepLR(o, 3)], [])
    with pytest.raises(ValueError, match=r"LambdaLR: expected lr >= 0, got -0.1"):
        LambdaLR(o, lambda t: -1.0)


def test_a_scheduler_of_one_s_own():
    class Halving(LRScheduler):
        def get_lr(self):
            return [lr / (1 + self.last_epoch) for lr in self.base_lrs]

    assert run(Halving(optimizer(1.0)), 3) == [[1.0], [0.5], [1.0 / 3]]


def test_a_rate_that_something_else_changed_is_refused():
    def stepped_by_two():
        made = optimizer(0.1)
        both = StepLR(made, 1), ExponentialLR(made, 0.5)
        for scheduler in both:
            scheduler.step()

    def changed_by_hand():
        scheduler = StepLR(optimizer(0.1, 0.2), 1)
        scheduler.optimizer.param_groups[1]["lr"] *= 0.1
        scheduler.step()

    for change in (stepped_by_two, changed_by_hand):
        with pytest.raises(ValueError, match=r"expected the learning rates that it set, \[.*\], got \[.*one LambdaLR"):
            change()


def test_schedulers_go_on_after_the_optimisers_state():
    made = optimizer(1.0)
    scheduler = StepLR(made, 1, gamma=0.5)
    run(scheduler, 3)
    states = made.state_dict(), scheduler.state_dict()
    for first in (0, 1):
        other = StepLR(optimizer(1.0), 1, gamma=0.5)
        for i in (first, 1 - first):
            (other.optimizer, other)[i].load_state_dict(states[i])
        other.step()
        assert other.optimizer.lr == 0.0625
