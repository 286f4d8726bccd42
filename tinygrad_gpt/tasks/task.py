"""Task: what is learned from what. All that training knows of a model's purpose.

    arrays = task.batch(step)                  what update number `step` reads
    total, parts = task.loss(model, *arrays)   how badly the model does on it, as Tensors
    task.evaluate(model, last=False)           {"val_loss": 1.47, ...} on data that it does not learn from
    "".join(task.sample(model))                what its work looks like

A task that has these four can be trained, resumed, drawn and diagnosed as any other.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.progress import Progress, no_progress

Arrays = tuple[np.ndarray, ...]


class Loss(NamedTuple):
    """total  what training makes smaller, a Tensor ()
    parts  the terms that it is the weighted sum of, by name: rows of metrics hold NAME_loss. {} for a single term
    """

    total: Tensor
    parts: dict[str, Tensor] = {}  # noqa: RUF012 - read only


class Task(ABC):
    """What is learned from what.

    name          of the kind of task, for config.json
    metrics       name -> whether more is better, of each number that `evaluate` returns; the first one decides which of
                  two models is the better one
    fixed_shapes  whether the arrays of all steps have the same shapes (a GPU may then record a step)
    """

    name: str
    metrics: dict[str, bool] = {"val_loss": False}  # noqa: RUF012 - read only
    fixed_shapes = True

    @abstractmethod
    def batch(self, step: int) -> Arrays:
        """What update number `step` (0, 1, ...) reads: arrays (B, ...), the model's input first.

        The seed and `step` alone decide what that is, so a resumed run reads what an uninterrupted one would.
        """

    @abstractmethod
    def loss(self, model, *arrays) -> Loss:
        """The model's mean loss on some or all rows of a batch."""

    @abstractmethod
    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        """The numbers that `metrics` names, in evaluation mode; the `last` time in a run on all held-out data."""

    def sample(self, model) -> Iterator[str]:
        """What the model's work looks like, piece by piece; the same at each call. By default nothing."""
        yield from ()

    def probe(self) -> Arrays | None:
        """A small, fixed piece of held-out data, in the arrays of `batch`, that the health check looks at the model
        with; None for a task that has no `answers`."""
        return None

    def answers(self, model, *arrays) -> tuple[Tensor, np.ndarray]:
        """(logits (B, ..., K), targets (B, ...)): the scores of K answers to choose from, and the right ones. The mean
        cross-entropy of the two is the first part of `loss`, or all of it."""
        raise NotImplementedError(f"{type(self).__name__} has no answers to choose from")

    def facts(self, model) -> dict[str, Any]:
        """What the health check compares the loss with, as far as that makes sense: `choices`, how many answers there
        are to choose from, and the unigram_entropy and commonest_share of the right ones (tasks/baselines.py)."""
        return {}

    def settings(self) -> dict[str, Any]:
        """What the task was made from, as JSON values for config.json."""
        return {}
