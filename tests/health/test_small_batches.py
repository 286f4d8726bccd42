"""Rows of single steps on a few words each: the loss is as restless as the text, and that is no illness."""

import numpy as np
import pytest

from tinygrad_gpt.health.checkup import diagnose
from tinygrad_gpt.health.history import Plan

PLAN = Plan(
    steps=600,
    lr=1e-3,
    warmup=0,
    grad_clip=1.0,
    norm="pre",
    activation="gelu_tanh",
    dropout=0.0,
    choices=65,
    unigram_entropy=3.3,
    commonest_share=0.15,
)


def rows_of(losses, every=1) -> list[dict]:
    """A row after each `every` steps with the loss of that one step."""
    return [
        {"step": every * (i + 1), "train_loss": float(x), "health": {"loss_first": float(x), "loss_max": float(x)}}
        for i, x in enumerate(losses)
    ]


def restless(steps, seed=0):
    """Losses (steps,) around 2.5 that now and then, for one step, are nats away from it."""
    return 2.5 + 0.3 * np.random.default_rng(seed).standard_t(3, steps)


def kinds(losses, every=1) -> set[str]:
    return {finding.kind for finding in diagnose(PLAN, rows_of(losses, every)).findings}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_odd_batches_are_no_jumps(seed):
    assert kinds(restless(600, seed)) == set()


@pytest.mark.long
def test_jumps_that_last_are_found():
    losses = restless(600)
    for at in (200, 300, 400):
        losses[at : at + 5] += 3.0
    assert kinds(losses) == {"lr-too-high"}


def test_a_jump_of_the_first_steps_is_found():
    losses = restless(300)
    losses[5:30] += 4.0
    assert "no-warmup" in kinds(losses)


def test_rows_that_begin_after_the_first_steps_tell_nothing_of_them():
    assert kinds(restless(10), every=150) == set()


def test_a_level_that_chance_moves_is_none():
    """The halves of the window differ by less than a part in a hundred; so do they where the loss falls by as much."""
    losses = PLAN.unigram_entropy + 0.6 * np.random.default_rng(1).normal(size=150)
    losses[75:] += losses[:75].mean() - losses[75:].mean()
    assert kinds(losses) == set()
    assert kinds(PLAN.unigram_entropy + (losses - PLAN.unigram_entropy) / 10) == {"unigram"}
