"""PyTorch's schedulers: objects that set the learning rate of every group of an optimiser.

    scheduler = CosineAnnealingLR(optimizer, T_max=1000)
    for x, y in batches:
        optimizer.zero_grad()
        model.loss(x, y).backward()
        optimizer.step()
        scheduler.step()                 # after the optimiser's

Each computes the learning rate from the group's first one, `initial_lr`, and t, the steps so far. PyTorch computes
some of them from the learning rate before. The two agree unless something else changes it in between, another scheduler
say, and then `step` refuses. A new scheduler begins with `initial_lr` again.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_gpt.arguments import integer, number, shown, sizes
from tinygrad_gpt.habits import SCHEDULERS, missing
from tinygrad_gpt.optim.optimizer import Optimizer


class LRScheduler:
    """Base of the schedulers. A subclass writes `get_lr`, the learning rates of all groups after `last_epoch` steps.

    base_lrs    the first learning rate of each group
    last_epoch  the steps so far. -1 starts; another number goes on from there, with the `initial_lr` of each group
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        me = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{me}: expected an optimiser, got {shown(optimizer)}")
        self.optimizer, self.last_epoch = optimizer, integer(me, "last_epoch", last_epoch, low=-1)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{me}: expected initial_lr in group {i} to go on from step {last_epoch}")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._go_to(self.last_epoch + 1)

    def get_lr(self) -> list[float]:
        """The learning rate of each group after `last_epoch` steps."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one step, and set the learning rates. Raises ValueError if they are no longer what was set last."""
        found = [group["lr"] for group in self.optimizer.param_groups]
        if found != self._last_lr:
            raise ValueError(
                f"{type(self).__name__}: expected the learning rates that it set, {self._last_lr}, got {found}: for "
                "what else changes them write one LambdaLR with the product, or set them without a scheduler"
            )
        self._go_to(self.last_epoch + 1)

    def _go_to(self, t: int) -> None:
        self.last_epoch = t
        self._last_lr = [number(type(self).__name__, "lr", lr, low=0) for lr in self.get_lr()]
        self._set()

    def _set(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The learning rates that were set last, one per group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on, besides the settings; JSON can hold it."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs), "_last_lr": list(self._last_lr)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, and set the learning rates of then. (PyTorch keeps them in the
        optimiser's state; here that has no settings.)"""
        self.last_epoch, self.base_lrs = state_dict["last_epoch"], list(state_dict["base_lrs"])
        self._last_lr = list(state_dict["_last_lr"])
        self._set()


class _Factor(LRScheduler):
    """Every group's first learning rate times one factor, `factor(t)`."""

    def factor(self, t: int) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        factor = self.factor(self.last_epoch)
        return [lr * factor for lr in self.base_lrs]


class LambdaLR(LRScheduler):
    """lr = initial_lr · lr_lambda(t). One function for all groups, or a list with one for each.

    A schedule of this package takes lr=1.0: LambdaLR(optimizer, lambda t: warmup_cosine(t, lr=1.0, total=1000))
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable | Sequence[Callable], last_epoch: int = -1):
        groups = getattr(optimizer, "param_groups", [])
        each = lr_lambda if isinstance(lr_lambda, list | tuple) else [lr_lambda] * len(groups)
        self.lr_lambdas: list[Any] = [*each]
        if len(self.lr_lambdas) != len(groups) or not all(map(callable, self.lr_lambdas)):
            raise TypeError(f"LambdaLR: expected a function, or {len(groups)} in a list, got {shown(lr_lambda)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class StepLR(_Factor):
    """lr = initial_lr · gamma^⌊t / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size = integer("StepLR", "step_size", step_size, low=1)
        self.gamma = number("StepLR", "gamma", gamma, low=0)
        super().__init__(optimizer, last_epoch)

    def factor(self, t):
        return self.gamma ** (t // self.step_size)


class MultiStepLR(_Factor):
    """lr = initial_lr · gamma^(milestones passed)."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones = sorted(sizes("MultiStepLR", milestones, "milestones"))
        self.gamma = number("MultiStepLR", "gamma", gamma, low=0)
        super().__init__(optimizer, last_epoch)

    def factor(self, t):
        return self.gamma ** bisect.bisect_right(self.milestones, t)


class ExponentialLR(_Factor):
    """lr = initial_lr · gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = number("ExponentialLR", "gamma", gamma, low=0)
        super().__init__(optimizer, last_epoch)

    def factor(self, t):
        return self.gamma**t


class ConstantLR(_Factor):
    """lr = initial_lr · factor for the first total_iters steps, then initial_lr."""

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1):
        self.start = number("ConstantLR", "factor", factor, low=0, most=1)
        self.total_iters = integer("ConstantLR", "total_iters", total_iters, low=0)
        super().__init__(optimizer, last_epoch)

    def factor(self, t):
        return self.start if t < self.total_iters else 1.0


class LinearLR(_Factor):
    """lr = initial_lr times a factor that goes in a straight line from start_factor to end_factor in total_iters steps,
    and stays."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        self.start_factor = number("LinearLR", "start_factor", start_factor, above=0, most=1)
        self.end_factor = number("LinearLR", "end_factor", end_factor, low=0, most=1)
        self.total_iters = integer("LinearLR", "total_iters", total_iters, low=1)
        super().__init__(optimizer, last_epoch)

    def factor(self, t):
        return self.start_factor + (self.end_factor - self.start_factor) * min(t, self.total_iters) / self.total_iters


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + ½ (initial_lr - eta_min) (1 + cos(π t / T_max)): down in T_max steps. After it, up again.

    (Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5, without restarts.)
    `warmup_cosine` of schedules.py stays at the lowest instead.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max = integer("CosineAnnealingLR", "T_max", T_max, low=1)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, low=0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [_cosine(lr, self.eta_min, self.last_epoch / self.T_max) for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """As CosineAnnealingLR, but after T_0 steps it starts again from the top, then after T_0 · T_mult more, and so on.
    (The same paper, with restarts.)"""

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ):
        me = "CosineAnnealingWarmRestarts"
        self.T_0, self.T_mult = integer(me, "T_0", T_0, low=1), integer(me, "T_mult", T_mult, low=1)
        self.eta_min = number(me, "eta_min", eta_min, low=0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        t, length = self.last_epoch, self.T_0
        while t >= length:
            t, length = t - length, length * self.T_mult
        return [_cosine(lr, self.eta_min, t / length) for lr in self.base_lrs]


class SequentialLR(LRScheduler):
    """Several schedulers of one optimiser, one after the other: milestones[i] is the step at which number i + 1 takes
    over, and begins at its own step 0."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        me, schedulers = "SequentialLR", list(schedulers)
        milestones = list(sizes(me, milestones, "milestones"))
        if not schedulers or not all(isinstance(s, LRScheduler) and s.optimizer is optimizer for s in schedulers):
            raise ValueError(f"{me}: expected schedulers of this optimiser, got {shown(schedulers)}")
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{me}: expected {len(schedulers) - 1} milestones for {len(schedulers)} schedulers, got {milestones}"
            )
        self._schedulers, self._milestones = schedulers, milestones
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        i = bisect.bisect_right(self._milestones, self.last_epoch)
        self._schedulers[i]._go_to(self.last_epoch - (self._milestones[i - 1] if i else 0))
        return self._schedulers[i].get_last_lr()

    def state_dict(self):
        return super().state_dict() | {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict):
        for scheduler, its_state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(its_state)
        super().load_state_dict(state_dict)


def _cosine(lr: float, eta_min: float, s: float) -> float:
    """From lr at s = 0 to eta_min at s = 1 along half a cosine."""
    return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * s)) / 2


def __getattr__(name: str):
    raise missing("lr_scheduler", name, SCHEDULERS)
