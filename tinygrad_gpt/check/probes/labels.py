"""P15: is each place asked for the token after it?

Whether a batch has the right labels its arrays tell: read along them, label j is token j + 1. But a loss that shifts
them too is as common, and says nothing. So the loss is asked which place it compares label j with. With another label
there, it moves by log p_t(one) - log p_t(other) of that place t, which depends on the tokens up to t and on no later
one: so place t is the last whose token makes a difference to how the loss moves.
"""

import dataclasses
from typing import Any

import numpy as np

from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import Subject, in_float64
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

QUESTION = Question("P15", "places from a token to the one it is asked for")
FEWEST = 5  # tokens of a text that tell
AROUND = 2  # places before and after a label that are asked whether it is theirs
LITTLE = 0.01  # share of the largest difference; less is rounding


def labels(subject: Subject, remade) -> Probed:
    """The label of each place is the token after it.

    subject  of a model that reads from left to right, with the batch and the loss that are asked; see `with_task`
    remade   model -> the same Subject of it
    """
    subject = in_float64(subject, remade) or subject
    if not subject.in_order or subject.next_scores is None or subject.loss is None:
        return QUESTION.not_asked("it is not trained on the next token")
    read, asked = subject.ids[:1, subject.sources :], subject.targets[0][:1]
    if read.shape != asked.shape or read.shape[1] < FEWEST or len(np.unique(read)) < FEWEST:
        return QUESTION.not_asked("its texts are too short to tell")
    ahead = _ahead(read[0], asked[0])
    if ahead is None:
        return QUESTION.not_asked("its labels are not the tokens of its text")
    j = (read.shape[1] - 1) // 2
    place = None if asked[0, j] == IGNORE_INDEX else _place_of(subject, j)
    if place is None:
        return QUESTION.not_asked("the loss does not tell which place a label belongs to")
    distance = ahead + (j - place)
    if distance == 1:
        return QUESTION.right(distance, "1")
    token = f"token t{distance:+d}" if distance else "token t, which it reads"
    why = f"place t is asked for {token}: the batch shifts its texts by {ahead}, and the loss by {j - place}"
    return QUESTION.wrong(distance, "1", why, "T02" if distance < 1 else "T01")


def with_task(subject: Subject, task: Any, step: int = 0) -> Subject:
    """The same model, asked with the batch of a step of a task (tasks/task.py), and with its loss:

    labels(with_task(subject_of(model), task), lambda model: with_task(subject_of(model), task))
    """
    ids, *targets = task.batch(step)

    def loss(ids, *targets):
        return task.loss(subject.model, ids, *targets).total

    return dataclasses.replace(subject, ids=ids, targets=tuple(targets), loss=loss)


def _ahead(read: np.ndarray, asked: np.ndarray) -> int | None:
    """How far ahead of what is read the labels stand in the batch; None if they are no part of the text."""
    for k in (1, 0, 2, 3):
        one, other = read[k:], asked[: len(read) - k]
        counts = other != IGNORE_INDEX
        if counts.any() and (one == other)[counts].all():
            return k
    return None


def _place_of(subject: Subject, j: int) -> int | None:
    """The place whose scores the loss compares label j of row 0 with; None where nothing near j makes a difference."""
    moved = _moved(subject, subject.ids, j)
    nearby = range(max(0, j - AROUND), min(subject.targets[0].shape[1], j + AROUND + 1))
    apart = {}
    for s in nearby:
        ids, at = subject.ids.copy(), (0, subject.sources + s)
        ids[at] = ids[ids != ids[at]][-1]
        apart[s] = abs(_moved(subject, ids, j) - moved)
    largest = max(apart.values())
    return max((s for s in nearby if apart[s] > LITTLE * largest), default=None)


def _moved(subject: Subject, ids: np.ndarray, j: int) -> float:
    """By how much the loss moves if label j of row 0 is exchanged for another one."""
    targets, *more = subject.targets
    others = targets.copy()
    others[0, j] = targets[(targets != IGNORE_INDEX) & (targets != targets[0, j])][-1]
    with no_grad():
        before, after = (float(subject.loss(ids, asked, *more).item()) for asked in (targets, others))
    return after - before
