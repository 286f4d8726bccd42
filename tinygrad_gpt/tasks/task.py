"""Task: what is learned from what. The trainer knows a model's purpose only through it.

    arrays = task.batch(step)                  the batch of update number `step`
    task.loss(model, *arrays)                  how badly the model does on it: a Loss
    task.evaluate(model, last=False)           {"val_loss": 1.47, ...} on held-out data
    "".join(task.sample(model))                an example of the model's work

A task with these four methods can be trained, resumed, drawn and diagnosed like any other.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.progress import Progress, no_progress

Arrays = tuple[np.ndarray, ...]


class Loss(NamedTuple):
    """total   the loss that training minimises, a Tensor ()
    parts   the terms of its weighted sum by name: rows of metrics hold NAME_loss. {} for a single term
    scores  what else is measured on the way, arrays () by name: rows of metrics hold train_NAME. Weighted like the loss
            where a step has several batches, and no part of it
    """

    total: Tensor
    parts: dict[str, Tensor] = {}  # noqa: RUF012 - read only
    scores: dict[str, Array] = {}  # noqa: RUF012 - read only


class Task(ABC):
    """What is learned from what.

    name          of the kind of task, for config.json
    metrics       name -> whether more is better, for each number that `evaluate` returns; the first one decides which
                  of two models is better
    unit          what `count` counts, for the speed
    left_to_right which of a batch's arrays (B, T) of ids the model may read, at each place, only so far; None: none
    fixed_shapes  whether the arrays of all steps have the same shapes (a GPU may then record a step)
    label_smoothing  of the loss in training, which evaluations measure without it; 0 where there is none
    """

    name: str
    metrics: dict[str, bool] = {"val_loss": False}  # noqa: RUF012 - read only
    left_to_right: int | None = None
    fixed_shapes = True
    unit = "tokens"
    label_smoothing: float = 0.0

    @abstractmethod
    def batch(self, step: int) -> Arrays:
        """The batch of update number `step` (0, 1, ...): arrays (B, ...), the model's input first.

        It depends on the seed and `step` alone, so a resumed run reads what an uninterrupted one would.
        """

    def count(self, *arrays) -> int:
        """How much the model reads with these arrays."""
        return arrays[0].size

    @abstractmethod
    def loss(self, model, *arrays) -> Loss:
        """The model's mean loss on some or all rows of a batch."""

    def after_step(self) -> None:  # noqa: B027 - by default nothing
        """The update of the weights has been made. What `loss` read for it in training mode, a task may keep from now
        on for the next step. (`loss` alone must not: a step may be read twice, to find what went wrong in it.)"""

    def state(self) -> dict[str, Array]:
        """What the task keeps from step to step: arrays by name, for the checkpoint. By default nothing."""
        return {}

    def load_state(self, arrays: dict[str, Array], model, step: int) -> None:
        """Go on from what `state` returned after so many steps of this model. Raises ValueError for arrays that do not
        fit them."""
        if arrays:
            raise ValueError(f"the task {self.name} keeps nothing, but it holds {', '.join(sorted(arrays))}")

    @abstractmethod
    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        """The numbers that `metrics` names, in evaluation mode; on all held-out data if it is the run's `last` time."""

    def sample(self, model) -> Iterator[str]:
        """An example of the model's work, piece by piece; the same at each call. By default nothing."""
        yield from ()

    def probe(self) -> Arrays | None:
        """A small, fixed piece of held-out data for the health check, as arrays like those of `batch`; None for a task
        that has no `answers`."""
        return None

    def answers(self, model, *arrays) -> tuple[Tensor, np.ndarray]:
        """(logits (B, ..., K), targets (B, ...)): the scores of K possible answers, and the right ones. Their mean
        cross-entropy is the first part of `loss`, or all of it. Places that the loss leaves out have the target -100.
        """
        raise NotImplementedError(f"{type(self).__name__} has no answers to choose from")

    def facts(self, model) -> dict[str, Any]:
        """What the health check compares the loss with, as far as it makes sense: `choices`, the number of possible
        answers, and the unigram_entropy and commonest_share of the right ones (tasks/baselines.py); and where the loss
        has parts, the `part` that these are about, the first one."""
        return {}

    def data(self) -> str:
        """What it is learned from, in a few words: "1,003 tokens of my.txt (102 to validate)". By default nothing."""
        return ""

    def guesses(self) -> dict[str, float]:
        """What a guess without a model scores, for those of the `metrics` that are shown beside it."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The task's settings, as JSON values for config.json."""
        return {}
