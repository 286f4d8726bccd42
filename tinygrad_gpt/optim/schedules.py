"""Schedules: plain functions from the step, counted from 0, to the learning rate of that step.

optimizer.lr = warmup_cosine(step, lr=1e-3, warmup=100, total=2000)                       # before each step, or
LambdaLR(optimizer, lambda step: warmup_cosine(step, lr=1.0, warmup=100, total=2000))     # as in PyTorch
"""

import math
from collections.abc import Callable

from tinygrad_gpt.arguments import number


def warmup_cosine(step: int, *, lr: float, min_lr: float = 0.0, warmup: int = 0, total: int) -> float:
    """Up in a straight line over `warmup` steps to `lr`, down half a cosine to `min_lr` at step `total`, and on at it.

        min_lr + ½ (lr - min_lr) (1 + cos(π s)),    s = (step - warmup) / (total - warmup)

    (Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5, without restarts.)
    The first step, 0, has lr / (warmup + 1), not 0.
    """

    def down(lr, min_lr, s):
        return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * s))

    return _warmup("warmup_cosine", down, step=step, lr=lr, min_lr=min_lr, warmup=warmup, total=total)


def warmup_linear(step: int, *, lr: float, min_lr: float = 0.0, warmup: int = 0, total: int) -> float:
    """Up in a straight line over `warmup` steps to `lr`, then down in another to `min_lr` at step `total`, and on at
    min_lr. (Devlin et al., "BERT", 2019, appendix A.2, with min_lr = 0.)"""

    def down(lr, min_lr, s):
        return lr + (min_lr - lr) * s

    return _warmup("warmup_linear", down, step=step, lr=lr, min_lr=min_lr, warmup=warmup, total=total)


def noam(step: int, *, d_model: int, warmup: int, scale: float = 1.0) -> float:
    """Up in a straight line over `warmup` steps, then down with the inverse root of the step:

        scale · d_model^-½ · min(s^-½, s · warmup^-1½),    s = step + 1

    (Vaswani et al., "Attention is all you need", 2017, equation 3, which counts steps from 1.)
    """
    d_model, scale = number("noam", "d_model", d_model, above=0), number("noam", "scale", scale)
    warmup = max(1, number("noam", "warmup", warmup, low=0))
    peak = scale * (d_model * warmup) ** -0.5
    return peak * _up_and_inverse_root(number("noam", "step", step, low=0), warmup)


def inverse_sqrt(step: int, *, lr: float, warmup: int) -> float:
    """Up in a straight line over `warmup` steps to `lr`, then down with the inverse root of the step:

        lr · min(s / warmup, √(warmup / s)),    s = step + 1

    It is `noam` with its highest rate given. (fairseq has it under this name, for the Transformer's recipes.)
    """
    lr, warmup = number("inverse_sqrt", "lr", lr, low=0), max(1, number("inverse_sqrt", "warmup", warmup, low=0))
    return lr * _up_and_inverse_root(number("inverse_sqrt", "step", step, low=0), warmup)


def _up_and_inverse_root(step: float, warmup: float) -> float:
    """s / warmup, and 1 where the warm-up ends, then √(warmup / s). s counts from 1: 0 has no inverse root."""
    s = step + 1
    return min(s / warmup, math.sqrt(warmup / s))


def _warmup(me: str, down: Callable, **given) -> float:
    """lr on the way up, then down(lr, min_lr, s), with s from 0 at `warmup` to 1 at `total` and after it."""
    step, lr, min_lr, warmup, total = [number(me, name, value, low=0) for name, value in given.items()]
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    return down(lr, min_lr, min(1.0, (step - warmup) / max(1, total - warmup)))
