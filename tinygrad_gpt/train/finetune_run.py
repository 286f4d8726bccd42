"""A fine-tuning run: one pre-trained model, each λ with each seed, side by side in one folder.

finetune.json      the settings, and all that `classify` needs to make the model again
tokenizer.json
metrics.jsonl      one row per epoch of each (λ, seed); see FineTuner.run
results.json       how each ended, the means, and what always answering the most frequent class would get
matthews.png       the correlation after each epoch, drawn
model.safetensors  the weights of the (λ, seed) that ended with the highest correlation on the dev texts
"""

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import array, devices
from tinygrad_gpt.data.classification import ClassificationTask
from tinygrad_gpt.data.tokenizers import FILE_NAME, Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import write_json
from tinygrad_gpt.files.plots import Say, plot
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.kernels import compiling
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.tasks.scores import accuracy, matthews
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.checkpoint import save_checkpoint
from tinygrad_gpt.train.finetune import FinetuneConfig, FineTuner, new_classifier, sequences_of
from tinygrad_gpt.train.interrupt import GracefulInterrupt
from tinygrad_gpt.train.metrics import MetricsLog, read_metrics
from tinygrad_gpt.train.places import absolute
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.room import check_training

DESCRIPTION, WEIGHTS = "finetune.json", "model.safetensors"
_ROW = {"lm_weight": float, "seed": int, "epoch": int, "matthews": float}


class FinetuneRun:
    """Fine-tuning with every λ and seed, in a new folder.

    folder      where it is
    device      where it computes
    parameters  how many numbers each of the models trains
    results     a row for each that has ended: lm_weight, seed, accuracy, matthews, epochs, seconds, finished
    """

    def __init__(
        self,
        body: GPT,
        tokenizer: Tokenizer,
        task: ClassificationTask,
        config: FinetuneConfig,
        lm_weights: list[float],
        seeds: list[int],
        out: Path | None = None,
        began_from: str = "",
    ):
        """`began_from`: where `body` is from, for the record. Raises UserError for settings that cannot be."""
        for weight in lm_weights:
            if not 0 <= weight < np.inf:
                raise UserError(f"--lm-weight should be a number from 0 on, not {weight}")
        self.device = devices.device(config.device)
        self.body, self.tokenizer, self.task = body, tokenizer, task
        self.variants = [
            (weight, dataclasses.replace(config, seed=seed)) for weight in dict.fromkeys(lm_weights) for seed in seeds
        ]
        check_training(body.config, config.batch_size, 1, 1, array.default_dtype().itemsize, self.device)
        model = new_classifier(body, task, self.variants[0][1])  # before the folder is made: what cannot be leaves none
        sequences_of([*task.train.texts, *task.dev.texts], tokenizer, model)  # likewise: texts that cannot be encoded
        self.parameters = model.num_parameters()
        self.results: list[dict[str, Any]] = []
        description = {
            "task": task.name,
            "task_path": task.path,
            "classes": task.classes,
            "began_from": began_from,
            "began_from_path": absolute(began_from) if user_path(began_from).is_dir() else None,
            "finetune": dataclasses.asdict(config) | {"lm_weights": lm_weights, "seeds": seeds},
            "model": dataclasses.asdict(model.body.config),
            "tokenizer": tokenizer.fingerprint(),
        }
        with run_folder.creating(out, task.name) as folder:
            self.folder = folder.path
            self._write(DESCRIPTION, description)
            tokenizer.save(self.folder / FILE_NAME)

    def run(self, reporter: Reporter) -> bool:
        """Fine-tune them all. Returns False if Ctrl-C ended it before; what was reached is saved in either case."""
        log = MetricsLog(self.folder / "metrics.jsonl", 0)
        interrupt = GracefulInterrupt(lambda: reporter.note("finishing this step, then saving; Ctrl-C again: stop now"))
        try:
            with interrupt, compiling.watched_by(reporter.compiling), np.errstate(all="ignore"):
                for lm_weight, config in self.variants:
                    if interrupt.requested:
                        break
                    tuner = FineTuner(self.body, self.tokenizer, self.task, config, lm_weight)
                    self._run_one(tuner, log, reporter, lambda: interrupt.requested)
        finally:
            log.close()
        plot_matthews(read_metrics(log.path, _ROW), self.folder / "matthews.png", reporter.note)
        return not interrupt.requested

    def _run_one(self, tuner: FineTuner, log: MetricsLog, reporter: Reporter, stop) -> None:
        which = {"lm_weight": tuner.lm_weight, "seed": tuner.config.seed}
        reporter.begin(tuner.steps, 0)
        try:
            for row in tuner.run(reporter.step, stop):
                log.append(which | row)
                reporter.note(_describe(tuner, row))
        finally:
            reporter.end()
        ended = {name: row[name] for name in ("accuracy", "matthews", "epoch", "seconds")}
        self.results.append(which | ended | {"finished": tuner.step == tuner.steps})
        self._write("results.json", self.summary())
        if row["matthews"] >= max(result["matthews"] for result in self.results):
            arrays = {f"model.{name}": a for name, a in tuner.model.state_dict().items()}
            save_checkpoint(self.folder / WEIGHTS, arrays, self.results[-1])

    def summary(self) -> dict[str, Any]:
        """What results.json holds."""
        dev = self.task.dev.labels
        guess = np.full_like(dev, self.task.majority)
        return {
            "majority": {"accuracy": accuracy(dev, guess), "matthews": matthews(dev, guess)},
            "runs": self.results,
            "means": means(self.results),
        }

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_json(self.folder / name, content)


def means(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each λ, over the seeds that came to their end: how many, and of both scores the mean and the standard
    deviation (of the sample: divisor n - 1; None for a single one)."""
    rows = []
    for lm_weight in dict.fromkeys(result["lm_weight"] for result in results):
        done = [result for result in results if result["lm_weight"] == lm_weight and result["finished"]]
        if not done:
            continue
        row: dict[str, Any] = {"lm_weight": lm_weight, "seeds": len(done)}
        for score in ("accuracy", "matthews"):
            values = [result[score] for result in done]
            row[score] = statistics.fmean(values)
            row[f"{score}_sd"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def plot_matthews(rows: list[dict[str, Any]], path: Path, say: Say = print) -> bool:
    """Draw the correlation after each epoch: a line for each seed, a colour for each λ. Returns False, and says why,
    where that cannot be."""

    def draw(axes) -> None:
        axes.axhline(0, color="grey", linewidth=1, label="most frequent class")
        for i, lm_weight in enumerate(dict.fromkeys(row["lm_weight"] for row in rows)):
            label = f"λ = {lm_weight:g}"
            for seed in dict.fromkeys(row["seed"] for row in rows):
                mine = [row for row in rows if (row["lm_weight"], row["seed"]) == (lm_weight, seed)]
                points = [row["epoch"] for row in mine], [row["matthews"] for row in mine]
                axes.plot(*points, color=f"C{i}", marker=".", label=label)
                label = None  # one entry in the legend for all seeds
        axes.set(xlabel="epoch", ylabel="Matthews correlation on the dev texts")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)

    return plot(path, draw, say)


def _describe(tuner: FineTuner, row: dict[str, Any]) -> str:
    """A row of metrics in a line."""
    language = f"  language {row['lm_loss']:.3f}" if "lm_loss" in row else ""
    return (
        f"λ {tuner.lm_weight:g}  seed {tuner.config.seed}  epoch {row['epoch']}/{tuner.config.epochs}  "
        f"task {row['task_loss']:.3f}{language}  accuracy {row['accuracy']:.3f}  Matthews {row['matthews']:.3f}"
    )
