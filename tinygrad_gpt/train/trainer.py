"""The training loop: one for every model and every task.

    for each step:
        read the step's batch                             task.batch
        loss: how badly the model does on it              forward
        gradient: how the loss depends on each weight     backward; gradients of several parts add up
        shorten the gradient if it is too long            clip
        move each weight against its gradient             AdamW

Everything random in step n follows from the seed and n (the batch) or from the checkpoint (dropout). So a run that was
stopped or killed continues as if it had not been: same batches, same weights, bit for bit.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_gpt import array, devices, random_stream
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import check_fits
from tinygrad_gpt.health.watch import Watch
from tinygrad_gpt.kernels import compiling, recording
from tinygrad_gpt.nn.language_model import width_of
from tinygrad_gpt.optim import (
    AdamW,
    clip_scale,
    decay_matrices,
    grad_norm,
    inverse_sqrt,
    noam,
    warmup_cosine,
    warmup_linear,
)
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.task import Arrays, Task
from tinygrad_gpt.train.checkpoint import load_checkpoint, naming_the_file, save_checkpoint
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.ending import Ending
from tinygrad_gpt.train.interrupt import GracefulInterrupt
from tinygrad_gpt.train.metrics import MetricsLog, NoMetricsLog, read_metrics
from tinygrad_gpt.train.non_finite import NotFinite, first_non_finite
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.run_folder import RunFolder

_STATE = {  # of a checkpoint; see Trainer.save
    "step": int,
    "elapsed": float,
    "losses": [float],
    "parts?": {...: [float]},  # of an older version, which had no others
    "others?": {...: [float]},
    "measured?": [float],
    "early?": bool,
    "random_state": {"seed": int, "drawn": int},
    "optimizer": dict,
}


class StopTraining(Exception):  # noqa: N818 - a request, as StopIteration is
    """Raised by a callback or a logger: the training ends after this step, with its state saved."""


Log = Callable[[dict[str, Any]], Any]
Callback = Callable[["Trainer"], Any]


def learning_rate(step: int, config: TrainConfig, width: int | None = None) -> float:
    """The learning rate of step 0, 1, ..., steps - 1: up from 0 in the warm-up, then down to min_lr, or with the
    inverse root of the step. `width`: C of the model, for noam. Raises UserError for noam without one."""
    if config.schedule == "noam":
        if width is None:
            raise UserError("--schedule noam needs a model whose config says its width: take inverse_sqrt")
        return noam(step, d_model=width, warmup=config.warmup, scale=config.lr)
    if config.schedule == "inverse_sqrt":
        return inverse_sqrt(step, lr=config.lr, warmup=config.warmup)
    schedule = warmup_cosine if config.schedule == "cosine" else warmup_linear
    lowest = config.lr if config.schedule == "constant" else config.min_lr
    return schedule(step, lr=config.lr, warmup=config.warmup, total=config.steps, min_lr=lowest)


class Trainer:
    """A model that learns a task, and its state.

    device      where it computes
    step        updates made so far
    elapsed     seconds that the run had taken before this process
    losses      of the steps since the last row of metrics
    others      what else was measured in these steps, by its name in a row: parts of the loss, scores
    ending      decides when the run ends, and with which weights
    row         the last row of metrics, as `log` gets it; {} before the first one
    folder      where the run is kept; None: nowhere
    saved_step  the step of its checkpoint; None without one
    """

    def __init__(self, config: TrainConfig, model, task: Task, folder: RunFolder | None = None):
        self.config, self.model, self.task, self.folder = config, model, task, folder
        self.device = devices.device(config.device)
        model.to(self.device)  # weights are drawn on the CPU, so that they are the same wherever they go
        if hasattr(model, "recompute"):
            model.recompute = config.recompute
        elif config.recompute:
            raise UserError(f"--recompute: {type(model).__name__} has no `recompute` to switch on, as a GPT has")
        groups = decay_matrices(model.named_parameters(), config.weight_decay)
        self.optimizer = AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps)
        self.parameters = list(model.parameters())  # in the model's order, in which their norm is summed
        where = self.device.kind if task.fixed_shapes else "cpu"
        self._recorded = recording.recorded(self._gradients, where)
        self.step, self.elapsed, self.interrupted = 0, 0.0, False
        self.row: dict[str, Any] = {}
        self.losses: list[float] = []
        self.others: dict[str, list[float]] = {}
        self.ending = Ending(config, task, folder)
        self._trained: dict[str, Any] | None = None  # the weights as trained, once the model has those of the ending
        self._began = time.perf_counter()
        self.saved_step: int | None = None
        self._tokens = 0  # of the last step
        self._timed: list[tuple[int, float, bool]] = []  # tokens, seconds, compiled?: of the steps since the last row

    # --- one step ------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the run has made all its steps, or has run out of patience."""
        return self.step == self.config.steps or self.ending.out_of_patience

    def rate_at(self, step: int, steps: int | None = None) -> float:
        """The learning rate of a step; with `steps`, in a run of so many."""
        config = self.config if steps is None else dataclasses.replace(self.config, steps=steps)
        return learning_rate(step, config, width_of(self.model))

    def train_step(self) -> tuple[dict[str, float], float]:
        """Make one update. Returns its losses and scores, by their names in a row of metrics, and the norm of the
        gradient before clipping. Raises UserError, with the weights as they were, where one of them is not finite."""
        before = random_stream.random_state()
        batches = self.batches()
        losses = self.forward_and_backward(batches)  # p.grad of each parameter: of the mean loss
        norm = grad_norm(self.parameters)
        self._check_finite(losses["train_loss"], norm, batches, before)
        self.optimizer.lr = self.rate_at(self.step)
        self.optimizer.step(clip_scale(norm, self.config.grad_clip or math.inf))
        self.task.after_step()
        self.step += 1
        self._tokens = sum(self.task.count(*arrays) for arrays in batches)
        return losses, norm

    def batches(self) -> list[Arrays]:
        """The batch of the next update, cut into `accumulate` parts. Their gradients add up to that of the whole."""
        arrays = self.task.batch(self.step)
        parts = min(self.config.accumulate, len(arrays[0]))
        return list(zip(*(np.array_split(a, parts) for a in arrays), strict=True))

    def forward_and_backward(self, batches: list[Arrays]) -> dict[str, float]:
        """The mean losses and scores of a step. Its gradient is then in each parameter's `grad`."""
        losses, grads = self._recorded(*batches)
        for p, grad in zip(self.parameters, grads, strict=True):
            p.grad = grad  # a step that a GPU replays runs no Python, so backward has not set it
        # Only here does a step wait for the GPU.
        return {
            name: sum(s * float(loss[name]) for s, loss in zip(_shares(batches), losses, strict=True))
            for name in losses[0]
        }

    def _gradients(self, *batches: Arrays) -> tuple[list[dict[str, Any]], list]:
        """(the losses of each batch, the gradient of their mean for each parameter). Nothing in here waits for a value,
        so a GPU can record it (kernels/recording.py)."""
        self.optimizer.zero_grad()  # not at the end of a step: until here, the gradients can be inspected
        losses = []
        for share, batch in zip(_shares(batches), batches, strict=True):
            total, parts, scores = self.task.loss(self.model, *batch)
            total.backward(np.full_like(total.data, share))  # gradients add up
            measured = {"train_loss": total.data} | {f"{name}_loss": part.data for name, part in parts.items()}
            losses.append(measured | {f"train_{name}": score for name, score in scores.items()})
        return losses, [p.grad for p in self.parameters]

    def _check_finite(self, loss: float, norm: float, batches: list[Arrays], random_state: dict) -> None:
        """Raise UserError, which says where it began, if the loss or the gradient's norm is not finite."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        reason = first_non_finite(self.model, self.task, batches, random_state)
        raise NotFinite(
            f"step {self.step + 1}: the loss is {loss:.4g} and the gradient's norm {norm:.4g}: {reason}. "
            f"Stopped before the update; {self._what_is_saved()}. A smaller --lr or --grad-clip may help"
        )

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self, reporter: Reporter, log: Sequence[Log] = (), callbacks: Sequence[Callback] = ()) -> bool:
        """Train to the end, or until Ctrl-C or StopTraining, and save the state. Returns whether the end was reached:
        the last step, or that of `patience` (ending.py); `interrupted` is true after Ctrl-C, even during the last step.

        log        called with each row of metrics, numbers by name
        callbacks  called with this trainer after each step

        One of them that returns True, or raises StopTraining, ends the training after the step.
        """
        config = self.config
        self._began = time.perf_counter() - self.elapsed
        self.model.train()
        rows = MetricsLog(self.folder.metrics, self.step) if self.folder else NoMetricsLog()
        then = ", then saving" if self.folder else ""
        interrupt = GracefulInterrupt(lambda: reporter.note(f"finishing this step{then}; Ctrl-C again: stop now"))
        try:
            before = read_metrics(self.folder.metrics) if self.folder else []
            watch = Watch(self.task, self.model, config, before) if config.health else None
            reporter.unit, reporter.guesses, stop = self.task.unit, self.task.guesses(), False
            reporter.smoothed = self.task.label_smoothing > 0
            reporter.begin(config.steps, self.step)
            with interrupt, compiling.watched_by(reporter.compiling), np.errstate(all="ignore"):  # train_step checks
                while not (self.ended or interrupt.requested or stop):
                    self._go_on()
                    self._step(reporter)
                    if self._is_due(config.log_interval) or self._is_due(config.eval_interval):
                        self._report(rows, watch, reporter)
                        stop = _asks_to_stop(log, dict(self.row))
                    if self._is_due(config.checkpoint_interval):
                        self.save(rows)
                    stop |= _asks_to_stop(callbacks, self)
                if stop and self.losses:
                    self._report(rows, watch, reporter)  # of the steps since the row before
                    _asks_to_stop(log, dict(self.row))
            if self.saved_step != self.step:
                self.save(rows)
            if self.ended and (said := self.ending.described(self.step)):
                reporter.note(said)
        finally:
            reporter.end()
            rows.close()
        self.interrupted = interrupt.requested
        return self.ended

    def _step(self, reporter: Reporter) -> None:
        """One update, timed."""
        began, compiled = time.perf_counter(), compiling.times()
        losses, self._norm = self.train_step()
        self._timed.append((self._tokens, time.perf_counter() - began, compiling.times() > compiled))
        self.losses.append(losses.pop("train_loss"))
        for name, number in losses.items():
            self.others.setdefault(name, []).append(number)
        self.ending.after_step(self.step, self.model)
        reporter.step(self.step, self.losses[-1])

    def _report(self, rows: MetricsLog | NoMetricsLog, watch: Watch | None, reporter: Reporter) -> None:
        """Write a row of metrics about the steps since the row before, and report new findings."""
        row = {"step": self.step, "train_loss": _mean(self.losses)}
        row |= {name: _mean(numbers) for name, numbers in self.others.items()}
        scores = self._evaluate_or_end(reporter.validating) if self._is_due(self.config.eval_interval) else {}
        row |= scores
        row["lr"], row["grad_norm"] = self.optimizer.lr, self._norm
        timed = [step for step in self._timed if not step[2]] or self._timed  # compiling says nothing about the speed
        row[f"{self.task.unit}_per_s"] = round(sum(step[0] for step in timed) / sum(step[1] for step in timed), 1)
        row["elapsed_s"] = round(time.perf_counter() - self._began, 3)
        findings = watch.examine(row, self.losses) if watch else []
        rows.append(row)
        reporter.row(row, scores)
        self.row = {name: value for name, value in row.items() if name != "health"}
        for finding in findings:
            reporter.warn(finding)
        self.losses, self.others, self._timed = [], {}, []

    def evaluate(self, progress: Progress = no_progress) -> dict[str, float]:
        """The task's metrics on held-out data: on part of it during the run, on all of it once it has ended."""
        return self.task.evaluate(self.model, self.ended, progress)

    def _evaluate_or_end(self, progress: Progress) -> dict[str, float]:
        """The evaluation whose turn it is. If the run ends with it, those are the metrics of the weights that it ends
        with."""
        scores = {}
        if self.config.patience or not self.ended:
            scores = self.task.evaluate(self.model, False, progress)
            self.ending.after_evaluation(self.step, scores, self.model)
        if self.ended:
            self._take_the_ending()
            scores = self.evaluate(progress)
        return scores

    def _take_the_ending(self) -> None:
        """Give the model the weights that the run ends with, and keep those as trained."""
        trained = self.model.state_dict()
        weights = self.ending.weights(self.step, trained)
        if weights is not None:
            self._trained = {name: np.array(to_numpy(a)) for name, a in trained.items()}
            self.model.load_state_dict(weights)

    def _go_on(self) -> None:
        """Give the model the weights as trained again: a run that had ended goes on."""
        if self._trained is not None:
            self.model.load_state_dict(self._trained)
            self._trained = None

    def _is_due(self, interval: int) -> bool:
        return self.ended or (interval > 0 and self.step % interval == 0)

    # --- state ---------------------------------------------------------------------------------------------------

    def save(self, rows: MetricsLog | NoMetricsLog | None = None) -> None:
        """Write the checkpoint, after the rows of metrics that it relies on are on the disk; nothing without a folder.
        Raises UserError if that fails; the previous checkpoint is kept then."""
        if self.folder is None:
            return
        if rows is not None:
            rows.sync()
        # Without the settings, which the run's config has.
        optimizer = {n: a for n, a in self.optimizer.state_dict().items() if not n.startswith("param_groups.")}
        arrays = {f"model.{name}": a for name, a in self.model.state_dict().items()}
        arrays |= {f"trained.{name}": a for name, a in (self._trained or {}).items()}
        arrays |= {f"optimizer.{name}": a for name, a in optimizer.items() if array.is_array(a)}
        arrays |= {f"task.{name}": a for name, a in self.task.state().items()}
        state = {
            "step": self.step,
            "elapsed": time.perf_counter() - self._began,
            "losses": self.losses,
            "others": self.others,
            "measured": self.ending.measured,
            "early": self.ending.out_of_patience,
            "random_state": random_stream.random_state(),
            "optimizer": {name: n for name, n in optimizer.items() if not array.is_array(n)},
        }
        try:
            save_checkpoint(self.folder.checkpoint, arrays, state)
        except UserError as error:
            raise UserError(f"step {self.step}: {error}; {self._what_is_saved()}") from error
        self.saved_step = self.step

    def load(self) -> None:
        """Load the state that `save` wrote last. Raises UserError if it is damaged or of another run."""
        if self.folder is None:
            raise ValueError("Trainer.load: a trainer without a folder has saved nothing")
        arrays, state = load_checkpoint(self.folder.checkpoint)
        with naming_the_file(self.folder.checkpoint):
            check_fits(state, _STATE, "the trainer's state")
            parts = {"model": {}, "trained": {}, "task": {}, "optimizer": dict(state["optimizer"])}
            for name, a in arrays.items():
                part, _, rest = name.partition(".")
                parts[part][rest] = a
            self.model.load_state_dict(parts["model"])
            self.optimizer.load_state_dict(parts["optimizer"])
            kept = {name: self.device.move_here(a) for name, a in parts["task"].items()}
            self.task.load_state(kept, self.model, state["step"])
            random_stream.set_random_state(state["random_state"])
            self.step, self.elapsed = state["step"], state["elapsed"]
            self._trained = parts["trained"] or None
            self.ending.resume(self.step, state.get("measured", []))
            earlier = {f"{name}_loss": losses for name, losses in state.get("parts", {}).items()}
            self.losses, self.others = state["losses"], state.get("others", earlier)
            if not 0 <= self.step <= self.config.steps:
                raise ValueError(f"it is at step {self.step}, but the run has {self.config.steps} steps")
        self.saved_step = self.step

    def _what_is_saved(self) -> str:
        if self.folder is None:
            return "the model is as it was before the step"
        if self.saved_step is None:
            return "no checkpoint has been saved yet"
        return f"the checkpoint of step {self.saved_step} is kept in {self.folder.path}"


def as_functions(name: str, given: Callable | Iterable[Callable] | None) -> list[Callable]:
    """One function, several, or None, as a list. Raises TypeError, which names the argument, for anything else."""
    several = list(given) if isinstance(given, Iterable) else [] if given is None else [given]
    for function in several:
        if not callable(function):
            raise TypeError(f"expected a function, or several, as {name}, got {shown(function)}")
    return several


def _asks_to_stop(functions: Sequence[Callable], argument) -> bool:
    """Call all of them. Returns whether one of them returned True or raised StopTraining."""
    stop = False
    for function in functions:
        try:
            answer = function(argument)
            stop |= isinstance(answer, bool | np.bool_) and bool(answer)
        except StopTraining:
            stop = True
    return stop


def _shares(batches) -> list[float]:
    """The share of each batch in the rows of all batches."""
    rows = [len(arrays[0]) for arrays in batches]
    return [n / sum(rows) for n in rows]


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)
