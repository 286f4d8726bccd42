"""Runs: a model that learns a task in a folder of its own. How a run starts, and how it is resumed.

run = begin(task, model, TrainConfig(steps=500), Path("runs/mine"))
run.train(reporter)                       # to the end, or until Ctrl-C
run = reopen(folder, task, model, config) # where its checkpoint left it: after Ctrl-C, or kill -9
"""

import dataclasses
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import write_json
from tinygrad_gpt.files.locks import Lock
from tinygrad_gpt.health.history import facts_of, settings_of_model
from tinygrad_gpt.tasks.task import Task
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.checkpoint import saved_at
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.metrics import plot_losses, read_metrics
from tinygrad_gpt.train.non_finite import NotFinite
from tinygrad_gpt.train.reporter import Reporter, make_reporter
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trainer import Callback, Log, Trainer, as_functions
from tinygrad_gpt.train.user_ops import UserPair

RECORDED = ("tinygrad-gpt", "numpy", "numba")  # packages whose versions config.json holds


@dataclass
class Run:
    """A run that is ready to train, from its first step or from its checkpoint."""

    folder: RunFolder
    trainer: Trainer
    lock: Lock | None = None  # on the folder, until the training ends
    before_extension: dict[str, Any] | None = None  # config.json as it was, if the run was extended when it was opened

    @property
    def model(self):
        return self.trainer.model

    @property
    def task(self) -> Task:
        return self.trainer.task

    def train(
        self,
        reporter: Reporter | None = None,
        *,
        log: Log | Sequence[Log] = (),
        callbacks: Callback | Sequence[Callback] = (),
    ) -> bool:
        """Train to the end, or until Ctrl-C, and draw the losses. Returns whether it reached the end.

        reporter        shows progress; None: a bar in a terminal, lines elsewhere
        log, callbacks  see Trainer.run; one function or several

        Raises InUseError while another process trains the run, and UserError if one has since it was opened here.
        """
        saved = self.trainer.saved_step
        reporter = reporter or make_reporter()
        log, callbacks = as_functions("log", log), as_functions("callbacks", callbacks)
        self.lock = self.folder.hold()
        try:
            self._check_is_latest()
            self.folder.failure.unlink(missing_ok=True)
            finished = self.trainer.run(reporter, log, callbacks)
            rows, smoothing = read_metrics(self.folder.metrics), self.task.label_smoothing
            plot_losses(rows, self.folder.loss_plot, reporter.note, smoothing)
        except NotFinite as error:
            write_json(self.folder.failure, {"step": self.trainer.step, "why": str(error)})
            if self.before_extension is not None and self.trainer.saved_step == saved:
                write_json(self.folder.config, self.before_extension)  # it has come no further
            raise
        finally:
            self.close()
        return finished

    def close(self) -> None:
        """Let other processes train the run."""
        if self.lock is not None and not self.lock.in_use:
            self.lock.release()
        self.lock = None

    def _check_is_latest(self) -> None:
        saved = saved_at(self.folder.checkpoint).step if self.folder.checkpoint.exists() else None
        if saved != self.trainer.saved_step:
            raise UserError(
                f"{self.folder.path} has a checkpoint of step {saved} since it was opened here: open it again"
            )


def begin(
    task: Task,
    model,
    config: TrainConfig,
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
    tokenizer: Tokenizer | None = None,
    name: str = "",
    more: dict[str, Any] | None = None,
    keep_model: Callable[[Path], None] | None = None,
) -> Run:
    """A new run, at step 0, in the folder `out`; None: runs/NAME-1, runs/NAME-2, ...

    pairs      the user's own pairs, already checked and installed
    tokenizer  saved with the run
    more       further entries of config.json
    keep_model writes the file that defines the model to a path

    Raises UserError for a folder that is not empty, and when the system refuses; no folder is left then.
    """
    with run_folder.creating(out, name or task.name, held=True) as folder:
        trainer = Trainer(config, model, task, folder)
        if tokenizer is not None:
            tokenizer.save(folder.tokenizer)
        if keep_model is not None:
            keep_model(folder.model)
        for pair in pairs:
            pair.save(folder.own_op(pair.op))
        write_json(folder.config, _description(trainer, pairs) | (more or {}))  # last: now it is a run folder
        return Run(folder, trainer, folder.hold())


def reopen(folder: RunFolder, task: Task, model, config: TrainConfig) -> Run:
    """The run in a folder, where its checkpoint left it; at step 0 if it has none yet.

    task, model  made as for `begin`; the checkpoint replaces the weights

    Raises UserError for a checkpoint that is damaged, or does not fit; InUseError while another process trains the run.
    """
    lock = folder.hold()
    trainer = Trainer(config, model, task, folder)
    folder.remove_unfinished()
    if folder.checkpoint.exists():
        trainer.load()
    return Run(folder, trainer, lock)


def _description(trainer: Trainer, pairs) -> dict[str, Any]:
    """The entries of config.json that every run has; see run_folder.py."""
    task, model = trainer.task, trainer.model
    return {
        "task": {"name": task.name} | task.settings(),
        "model": {name: value for name, value in settings_of_model(model).items() if name != "vocab_size"},
        "train": dataclasses.asdict(trainer.config),
        "parameters": model.num_parameters(),
        "facts": facts_of(model, task),
        "device": trainer.device.title,
        "own_pairs": [pair.record() for pair in pairs],
        "versions": {"python": platform.python_version()} | {name: installed(name) for name in RECORDED},
    }


def installed(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
