"""P18: does the evaluation read what the training does not?

Both are watched while they read: which tokens the model is given by `task.evaluate`, and which ones `task.batch` holds.
Texts of a few tokens come again in any language; long ones do not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_gpt.check.probes.dependence import token_table
from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.nn import Module

QUESTION = Question("P18", "the share of what is evaluated that is trained on")
LONG = 24  # tokens in a row that come twice by accident in few texts
MOST = 0.1


def held_out(task: Any, model: Module, steps: int) -> Probed:
    """Few of the texts that `task.evaluate` reads are among those of so many steps of the training.

    task   as in tasks/task.py
    model  the one that is trained: its embedding of V rows sees the tokens
    steps  of the training: enough to read most of its data
    """
    with _reading(model) as read:
        task.evaluate(model, last=True)
    evaluated = set().union(*map(_texts, read))
    if not evaluated:
        return QUESTION.not_asked(f"it is not evaluated on texts of {LONG} tokens")
    trained = set()
    for step in range(steps):
        trained |= _texts(task.batch(step)[0])
    share = len(evaluated & trained) / len(evaluated)
    expected = f"at most {MOST:g}"
    if share <= MOST:
        return QUESTION.right(share, expected)
    why = f"{share:.0%} of what it is evaluated on is among what {steps} steps of the training read"
    return QUESTION.wrong(share, expected, why, "T18")


@contextmanager
def _reading(model: Module) -> Iterator[list[np.ndarray]]:
    """The ids that a model's table of tokens is called with inside this block; none if it has no table."""
    read, table = [], token_table(model)
    if table is None:
        yield read
        return
    forward = table.forward

    def record(ids):
        read.append(np.asarray(ids))
        return forward(ids)

    table.forward = record
    try:
        yield read
    finally:
        del table.forward


def _texts(ids: np.ndarray) -> set[bytes]:
    """All runs of LONG tokens in rows (..., T)."""
    if ids.shape[-1] < LONG:
        return set()
    runs = np.lib.stride_tricks.sliding_window_view(ids.astype(np.int64), LONG, axis=-1)  # (..., T - LONG + 1, LONG)
    return {run.tobytes() for run in runs.reshape(-1, LONG)}
