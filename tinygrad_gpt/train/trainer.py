"""The training loop.

    for each step:
        take a batch of text, or several              x (B, T), and y: the token after each
        loss = how badly the model predicts y         forward
        how the loss depends on each weight           backward; gradients of several batches add up
        shorten the gradient if it is too long        clip
        move each weight against its gradient         AdamW

Everything random about step n follows from the seed and n (the batch) or is part of the checkpoint (dropout), so a run
that was stopped, killed or interrupted goes on exactly as if it had not been: same batches, same weights, bit for bit.
"""

import math
import time
from itertools import chain
from typing import Any

import numpy as np

from tinygrad_gpt import array, devices, random_stream
from tinygrad_gpt.data.batches import ORDERS
from tinygrad_gpt.data.tokens import TokenSet
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import check_fits
from tinygrad_gpt.health.watch import Watch
from tinygrad_gpt.kernels import compiling, recording, registry
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.optim import AdamW, clip_scale, warmup_cosine, warmup_linear
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.perplexity import evaluate
from tinygrad_gpt.train.checkpoint import load_checkpoint, naming_the_file, save_checkpoint
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.interrupt import GracefulInterrupt
from tinygrad_gpt.train.metrics import MetricsLog, read_metrics
from tinygrad_gpt.train.non_finite import first_non_finite
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.run_folder import RunFolder

_STATE = {  # of a checkpoint; see Trainer.save
    "step": int,
    "elapsed": float,
    "losses": [float],
    "random_state": {"seed": int, "drawn": int},
    "optimizer": dict,
}


def learning_rate(step: int, config: TrainConfig) -> float:
    """The learning rate of step 0, 1, ..., steps - 1: up from 0 in the warm-up, then down to min_lr."""
    plan = dict(lr=config.lr, warmup=config.warmup, total=config.steps)
    if config.schedule == "constant":
        return warmup_linear(step, min_lr=config.lr, **plan)
    return {"cosine": warmup_cosine, "linear": warmup_linear}[config.schedule](step, min_lr=config.min_lr, **plan)


class Trainer:
    """A model in training, and where it stands.

    device   where it computes
    window   tokens that the model reads at once
    step     how many updates have been made
    elapsed  seconds that this run had taken when this process took it up
    losses   of the steps since the last row of metrics
    """

    def __init__(self, config: TrainConfig, model: GPT, tokens: TokenSet, folder: RunFolder):
        self.config, self.model, self.tokens, self.folder = config, model, tokens, folder
        self.device = devices.device(config.device)
        model.to(self.device)  # weights are drawn on the CPU, so that they are the same wherever they go
        self.window = config.window or model.config.block_size
        model.recompute = config.recompute
        betas = (config.beta1, config.beta2)
        self.optimizer = AdamW(
            model.named_parameters(), lr=config.lr, betas=betas, eps=config.eps, weight_decay=config.weight_decay
        )
        self._losses_and_gradients = recording.recorded(self._forward_and_backward, self.device.kind)
        self.step, self.elapsed, self.losses = 0, 0.0, []
        self._began = time.perf_counter()
        self._saved_step: int | None = None

    # --- one step ------------------------------------------------------------------------------------------------

    def train_step(self) -> tuple[float, float]:
        """Make one update. Returns (loss, norm of the gradient before clipping).

        Raises UserError, with the weights as they were, where either is not finite.
        """
        config, random_state = self.config, random_stream.random_state()
        batches = self.batches()
        losses, squares, grads = self._losses_and_gradients(*chain(*batches))
        for p, grad in zip(self.optimizer.parameters(), grads, strict=True):
            p.grad = grad
        # Here, and nowhere else, a step waits for the GPU.
        value = sum([float(loss) for loss in losses]) / len(losses)
        norm = math.sqrt(float(squares))
        if not (math.isfinite(value) and math.isfinite(norm)):
            reason = first_non_finite(self.model, batches, random_state)
            raise UserError(
                f"step {self.step + 1}: the loss is {value:.4g} and the gradient's norm {norm:.4g}: {reason}. "
                f"Stopped before the update; {self._what_is_saved()}. A smaller --lr or --grad-clip may help"
            )
        self.optimizer.lr = learning_rate(self.step, config)
        self.optimizer.step(clip_scale(norm, config.grad_clip or math.inf))
        self.step += 1
        return value, norm

    def _forward_and_backward(self, *batches) -> tuple[list, Any, list]:
        """x, y, x, y, ... -> (the loss of each batch, the sum of squares of the gradient of their mean, that gradient
        for each parameter, or None).

        Nothing in here waits for a value: on a GPU it is recorded (kernels/recording.py).
        """
        self.optimizer.zero_grad()  # not at the end of a step: until here, whoever wants to can look at the gradients
        parts = list(zip(batches[::2], batches[1::2], strict=True))
        losses = []
        for x, y in parts:
            loss = self.model.loss(x, y)
            loss.backward(np.full_like(loss.data, 1 / len(parts)))  # of the mean loss; gradients add up
            losses.append(loss.data)
        grads = [p.grad for p in self.optimizer.parameters()]
        return losses, registry.run("sum_squares", *[g for g in grads if g is not None]), grads

    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What the next update reads: `accumulate` batches (x, y), the parts of one batch that is as many times as
        large, and whose gradient theirs have together."""
        config = self.config
        rows = config.accumulate * config.batch_size
        x, y = ORDERS[config.batches](self.tokens.train, rows, self.window, config.seed, self.step)
        parts = np.split(x, config.accumulate), np.split(y, config.accumulate)
        return list(zip(*parts, strict=True))

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self, reporter: Reporter) -> bool:
        """Train to the last step. Returns False if Ctrl-C ended it before; the state is saved in either case."""
        config = self.config
        self._began = time.perf_counter() - self.elapsed
        training_time, steps_timed = 0.0, 0
        self.model.train()
        watch = Watch(config, self.model, self.tokens, self.window) if config.health else None
        log = MetricsLog(self.folder.metrics, self.step)
        interrupt = GracefulInterrupt(lambda: reporter.note("finishing this step, then saving; Ctrl-C again: stop now"))
        try:
            if watch:
                watch.catch_up(read_metrics(self.folder.metrics))
            reporter.begin(config.steps, self.step)
            with interrupt, compiling.watched_by(reporter.compiling), np.errstate(all="ignore"):  # train_step looks
                while self.step < config.steps and not interrupt.requested:
                    step_started = time.perf_counter()
                    loss, norm = self.train_step()
                    training_time += time.perf_counter() - step_started
                    steps_timed += 1
                    self.losses.append(loss)
                    reporter.step(self.step, loss)
                    if self._is_due(config.log_interval) or self._is_due(config.eval_interval):
                        row = {"step": self.step, "train_loss": sum(self.losses) / len(self.losses)}
                        if self._is_due(config.eval_interval):
                            row["val_loss"] = self.validate(reporter.validating)
                        row["lr"], row["grad_norm"] = self.optimizer.lr, norm
                        row["tokens_per_s"] = round(steps_timed * self.tokens_per_step / training_time, 1)
                        row["elapsed_s"] = round(time.perf_counter() - self._began, 3)
                        findings = watch.examine(row, self.losses) if watch else []
                        log.append(row)
                        reporter.row(row)
                        for finding in findings:
                            reporter.note(finding)
                        self.losses, training_time, steps_timed = [], 0.0, 0
                    if self._is_due(config.checkpoint_interval):
                        log.sync()
                        self.save()
            if self._saved_step != self.step:
                log.sync()
                self.save()
        finally:
            reporter.end()
            log.close()
        return self.step == config.steps

    @property
    def tokens_per_step(self) -> int:
        return self.config.accumulate * self.config.batch_size * self.window

    def validate(self, progress: Progress = no_progress) -> float:
        """The validation loss: a look at `eval_tokens` tokens along the way, the whole text at the last step."""
        limit = None if self.step == self.config.steps else self.config.eval_tokens
        return evaluate(self.model, self.tokens.val, self.config.batch_size, limit, self.window, progress).loss

    def _is_due(self, interval: int) -> bool:
        return self.step == self.config.steps or (interval > 0 and self.step % interval == 0)

    # --- state ---------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint. Raises UserError when that fails; the one before is then still there."""
        optimizer = self.optimizer.state_dict()
        arrays = {f"model.{name}": a for name, a in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": a for name, a in optimizer.items() if array.is_array(a)}
        state = {
            "step": self.step,
            "elapsed": time.perf_counter() - self._began,
            "losses": self.losses,
            "random_state": random_stream.random_state(),
            "optimizer": {name: n for name, n in optimizer.items() if not array.is_array(n)},
        }
        try:
            save_checkpoint(self.folder.checkpoint, arrays, state)
        except UserError as error:
            raise UserError(f"step {self.step}: {error}; {self._what_is_saved()}") from error
        self._saved_step = self.step

    def load(self) -> None:
        """Take up the state that `save` wrote last. Raises UserError for one that is damaged or of another run."""
        arrays, state = load_checkpoint(self.folder.checkpoint)
        with naming_the_file(self.folder.checkpoint):
            check_fits(state, _STATE, "what it says of the trainer")
            parts = {"model": {}, "optimizer": dict(state["optimizer"])}
            for name, a in arrays.items():
                part, _, rest = name.partition(".")
                parts[part][rest] = a
            self.model.load_state_dict(parts["model"])
            self.optimizer.load_state_dict(parts["optimizer"])
            random_stream.set_random_state(state["random_state"])
            self.step, self.elapsed, self.losses = state["step"], state["elapsed"], state["losses"]
            if not 0 <= self.step <= self.config.steps:
                raise ValueError(f"it is of step {self.step}, but the run has {self.config.steps} steps")
        self._saved_step = self.step

    def _what_is_saved(self) -> str:
        if self._saved_step is None:
            return "no checkpoint has been saved yet"
        return f"the checkpoint of step {self._saved_step} is kept in {self.folder.path}"
