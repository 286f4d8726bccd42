"""How a run ends: when, and with which weights.

patience  it ends early after so many evaluations in a row without a better deciding score (Task.metrics), and returns
          to the weights of the best evaluation
average   it ends with the mean of several weights: the last ones, and those at the last multiples of average_interval
          before. Weights that a high learning rate keeps moving circle around a better place, near which their mean
          lies. (Vaswani et al., "Attention is all you need", 2017, section 6.1: the last 5 checkpoints, or 20.)

With both, it ends early and with the mean. Until the end, evaluations and checkpoints are of the weights as trained.
Then the checkpoint has the weights that the run ends with as `model`, and those as trained as `trained`, from which an
extended run goes on.

What is needed for that lies in the run's folder, in weights-STEP.safetensors and weights-best.safetensors; for a run
without a folder, in memory.
"""

import math
from typing import Any

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.nn import Module
from tinygrad_gpt.tasks.task import Task
from tinygrad_gpt.train.checkpoint import load_checkpoint, save_checkpoint
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.run_folder import RunFolder

BEST = "best"

Weights = dict[str, Any]


class Ending:
    """The end of a run that learns a task.

    measured  the deciding score of each evaluation so far, if there is a patience; part of the run's state
    """

    def __init__(self, config: TrainConfig, task: Task, folder: RunFolder | None):
        self.config = config
        self.deciding, self.more_is_better = next(iter(task.metrics.items()), ("val_loss", False))
        self.measured: list[float] = []
        self._kept = _KeptWeights(folder)

    @property
    def out_of_patience(self) -> bool:
        return 0 < self.config.patience <= len(self.measured) - 1 - self._best

    @property
    def _best(self) -> int:
        """The number of the best evaluation, the first of equal ones; -1 before there is one. One whose score is not a
        finite number is worse than all that have one: nothing compares with NaN."""

        def rank(number: int) -> tuple[bool, float]:
            score = self.measured[number]
            return not math.isfinite(score), -score if self.more_is_better else score

        return min(range(len(self.measured)), key=rank, default=-1)

    def after_step(self, step: int, model: Module) -> None:
        """Keep the weights of a step whose turn it is, if the mean at the end may need them."""
        every, others = self.config.average_interval, self.config.average - 1
        if others and step % every == 0:
            self._kept.keep(str(step), model.state_dict())
            self._kept.drop(str(step - every * (others + 1)))

    def resume(self, step: int, measured: list[float]) -> None:
        """Take up a run at a step. If it had ended there and goes on, an evaluation is left out whose turn came only
        because of the end: a run of the new length from the start would not have made it."""
        if step < self.config.steps:
            measured = measured[: step // self.config.eval_interval if self.config.eval_interval else 0]
        self.measured = measured

    def after_evaluation(self, step: int, scores: dict[str, float], model: Module) -> None:
        """Take note of the deciding score, and keep the best weights."""
        if self.config.patience and self.deciding in scores:
            self.measured.append(scores[self.deciding])
            every = self.config.eval_interval
            has_its_turn = every and step % every == 0  # otherwise these are the last weights, and no file is needed
            if self.config.average == 1 and has_its_turn and self._best == len(self.measured) - 1:
                self._kept.keep(BEST, model.state_dict())

    def weights(self, step: int, weights: Weights) -> Weights | None:
        """Those that a run ends with, made from those of its last step; None: these themselves."""
        if self.config.average > 1:
            return _mean([weights, *(self._kept.read(str(earlier)) for earlier in self._averaged_before(step))])
        if -1 < self._best < len(self.measured) - 1:
            return self._kept.read(BEST)
        return None

    def _averaged_before(self, step: int) -> range:
        """The steps before this one whose weights the mean takes in: average - 1 of them, or fewer at the beginning."""
        every = self.config.average_interval
        return range((step - 1) // every * every, 0, -every)[: self.config.average - 1]

    def described(self, step: int) -> str:
        """Why a run ended at this step, if that is not its last one, and with which weights, if not with those of this
        step; else "". The scores in the last row of metrics are of these weights, and so not what decided."""
        if not self.measured or self._best == len(self.measured) - 1:
            return ""
        patience, name = self.config.patience, self.deciding.replace("_", " ")
        best, last = (f"{score:.4g}" for score in (self.measured[self._best], self.measured[-1]))
        averaged = 1 + len(self._averaged_before(step))
        if self.config.average == 1:
            which = f"the weights of its best evaluation, {name} {best}"
        else:
            which = f"the mean of {averaged} weights" if averaged > 1 else "its last weights"
        kept = f"it keeps {which}, and the last row has their scores"
        if step == self.config.steps:
            return kept
        evaluations = f"{patience} evaluation{'s' * (patience > 1)}"
        return f"ended early: {evaluations} without a better {name} than {best}, the last one with {last}; {kept}"


class _KeptWeights:
    """Weights by name: files beside the checkpoint, or copies in memory for a run without a folder."""

    def __init__(self, folder: RunFolder | None):
        self._folder, self._copies = folder, {}

    def keep(self, name: str, weights: Weights) -> None:
        """Raises UserError when the system refuses."""
        if self._folder is None:
            self._copies[name] = {key: np.array(to_numpy(a)) for key, a in weights.items()}
        else:
            save_checkpoint(self._folder.weights(name), weights, {})

    def read(self, name: str) -> Weights:
        """Raises UserError for a file that is missing or damaged."""
        if self._folder is None:
            return self._copies[name]
        if not self._folder.weights(name).exists():
            raise UserError(f"there is no {self._folder.weights(name)}, which the run needs to end: put it back")
        return load_checkpoint(self._folder.weights(name))[0]

    def drop(self, name: str) -> None:
        self._copies.pop(name, None)
        if self._folder is not None:
            self._folder.weights(name).unlink(missing_ok=True)


def _mean(several: list[Weights]) -> Weights:
    """The mean of each array of floats, summed in float64; of others, the first one's."""
    mean = {}
    for name, first in ((name, to_numpy(a)) for name, a in several[0].items()):
        if first.dtype.kind == "f":
            total = np.sum([to_numpy(weights[name]) for weights in several], axis=0, dtype=np.float64)
            mean[name] = (total / len(several)).astype(first.dtype)
        else:
            mean[name] = first
    return mean
