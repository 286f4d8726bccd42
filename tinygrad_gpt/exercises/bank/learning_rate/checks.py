"""Schedules at their ends, beside the package's."""

import math

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong
from tinygrad_gpt.optim import warmup_cosine


def cases():
    for name, steps, settings in (
        ("the warm-up", (0, 1, 2, 3, 4), dict(lr=1.0, min_lr=0.1, warmup=4, total=20)),
        ("the way down", (4, 5, 8, 12, 19), dict(lr=1e-3, min_lr=1e-4, warmup=4, total=20)),
        ("the end and after it", (19, 20, 21, 30), dict(lr=1e-3, min_lr=1e-4, warmup=4, total=20)),
        ("no warm-up", (0, 1, 5, 10), dict(lr=3e-4, min_lr=0.0, warmup=0, total=10)),
        ("one step of warm-up", (0, 1, 2), dict(lr=0.5, min_lr=0.05, warmup=1, total=7)),
        ("down to 0", (3, 10, 29, 30, 40), dict(lr=0.02, min_lr=0.0, warmup=3, total=30)),
    ):
        yield Case(
            name, (steps, *settings.values()), right=np.array([warmup_cosine(step, **settings) for step in steps])
        )


def run(module, steps, lr, min_lr, warmup, total):
    return np.array([module.learning_rate(step, lr, min_lr, warmup, total) for step in steps])


def down(s, lr, min_lr):
    return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * s))


def share(step, warmup, total):
    return min(1.0, (step - warmup) / (total - warmup))


@wrong(
    "T13",
    "the first step has a rate of 0: step / warmup",
    why="a step with a rate of 0 reads a batch and learns nothing from it",
    look="what does a training of one step learn?",
)
def from_zero(step, lr, min_lr, warmup, total):
    return lr * step / warmup if step < warmup else down(share(step, warmup, total), lr, min_lr)


@wrong(
    "LR01",
    "the warm-up ends a step early: (step + 1) / warmup",
    why="step `warmup` - 1 has lr already, and step `warmup` has it again: the top is two steps wide",
    look="how many steps have the highest rate?",
)
def a_step_early(step, lr, min_lr, warmup, total):
    return lr * (step + 1) / warmup if step < warmup else down(share(step, warmup, total), lr, min_lr)


@wrong(
    "LR02",
    "the way down is counted from step 0: step / total",
    why="at the end of the warm-up the cosine has begun long ago, so the rate jumps down",
    look="what is the rate of the step after the warm-up?",
)
def counted_from_the_start(step, lr, min_lr, warmup, total):
    return lr * (step + 1) / (warmup + 1) if step < warmup else down(min(1.0, step / total), lr, min_lr)


@wrong(
    "LR03",
    "after `total` the rate rises again",
    why="a cosine goes on: at 2π it is back at 1, and a training that is prolonged starts anew with lr",
    look="what is cos πs for s = 2?",
)
def up_again(step, lr, min_lr, warmup, total):
    s = (step - warmup) / (total - warmup)
    return lr * (step + 1) / (warmup + 1) if step < warmup else down(s, lr, min_lr)


@wrong(
    "LR04",
    "min_lr is added to a whole cosine of lr",
    why="what falls is the difference of lr and min_lr; so the top is lr + min_lr",
    look="what is the highest rate?",
)
def added(step, lr, min_lr, warmup, total):
    s = share(step, warmup, total)
    return lr * (step + 1) / (warmup + 1) if step < warmup else min_lr + 0.5 * lr * (1 + math.cos(math.pi * s))
