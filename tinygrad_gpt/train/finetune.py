"""Fine-tuning a pre-trained GPT as a classifier: each λ with each seed, side by side, a run folder for each.

    finetune.json              the settings, and what all runs begin with
    tokenizer.json
    lm-0.5-seed-1/             a run folder (run_folder.py), as `train` makes them
    results.json               how each run ended, the means, and what always saying the most frequent class would get
    matthews.png               the correlation after each epoch, drawn

(Radford et al., "Improving language understanding by generative pre-training", 2018, sections 3.2, 3.3 and 4.1.) The
defaults are the paper's, and the gradient's limit and Adam's other settings those of the code published with it.
"""

import dataclasses
import hashlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import array, devices, random_stream
from tinygrad_gpt.data import load_tokenizer
from tinygrad_gpt.data.classification import ClassificationTask, open_task
from tinygrad_gpt.data.tokenizers import FILE_NAME, Tokenizer
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.json_files import read_json, write_json
from tinygrad_gpt.files.plots import Say, plot
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.settings import check_settings, option_name, setting
from tinygrad_gpt.tasks.classification import TextClassification, new_classifier
from tinygrad_gpt.tasks.scores import accuracy, matthews
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.places import places
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import TrainedModel, unchanged_model
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

DESCRIPTION, RESULTS = "finetune.json", "results.json"
_WRITTEN = {
    "data": {"name": str, "path": (str, None), "sha256": str, "classes": [str]},
    "from": {"name": str, "path?": (str, None), "sha256": {...: str}},
    "finetune": dict,
    "lm_weights": [float],
    "seeds": [int],
    "tokenizer": str,
    "model": dict,
    "own_pairs": [{"op": str, "file": str, "sha256": str}],
}
_SCORES = ("accuracy", "matthews")


def _as_in_training(name: str, default, help: str = ""):
    """A setting of TrainConfig, with another default."""
    field = TrainConfig.__dataclass_fields__[name]
    return dataclasses.field(default=default, metadata=field.metadata | ({"help": help} if help else {}))


@dataclass(frozen=True)
class FinetuneConfig:
    """How to fine-tune. Raises UserError for a value that is not allowed."""

    epochs: int = setting(3, "Fine-tuning", "how often all training texts are read", low=1)
    warmup_share: float = setting(
        0.002, "Fine-tuning", "part of the steps over which the learning rate rises from 0", low=0, below=1
    )
    head_dropout: float = setting(0.1, "Fine-tuning", "dropout on what the linear layer reads", low=0, below=1)
    pretrained: bool = setting(
        True,
        "Fine-tuning",
        "whether to start from the trained weights; without: random ones, to see what they are worth",
    )
    batch_size: int = _as_in_training("batch_size", 32, "texts that go through the model at once")
    accumulate: int = _as_in_training("accumulate", 1)
    lr: float = _as_in_training("lr", 6.25e-5)
    weight_decay: float = _as_in_training("weight_decay", 0.01)
    grad_clip: float = _as_in_training("grad_clip", 1.0)
    seed: int = _as_in_training("seed", 1, "of new weights, order of the texts, dropout")
    dtype: str = _as_in_training("dtype", "float32")
    device: str = _as_in_training("device", "cpu")
    recompute: bool = _as_in_training("recompute", False)
    log_interval: int = _as_in_training("log_interval", 10)
    eval_interval: int | None = setting(
        None, "Run", "steps between evaluations on the dev texts; by default an epoch", low=0, free=True
    )
    checkpoint_interval: int | None = setting(
        None, "Run", "steps between checkpoints; by default an epoch", low=0, free=True
    )
    health: bool = _as_in_training("health", True)

    def __post_init__(self):
        check_settings(self)

    def train_config(self, steps_per_epoch: int, seed: int) -> TrainConfig:
        """The trainer's settings: up over the warm-up, then down to 0 in a straight line."""
        steps = self.epochs * steps_per_epoch
        same = {f.name: getattr(self, f.name) for f in dataclasses.fields(TrainConfig) if hasattr(self, f.name)}
        each = {name: same[name] if same[name] is not None else steps_per_epoch for name in _INTERVALS}
        plan = dict(steps=steps, warmup=round(self.warmup_share * steps), schedule="linear", min_lr=0.0, beta2=0.999)
        return TrainConfig(**same | each | plan | {"seed": seed})


_INTERVALS = ("eval_interval", "checkpoint_interval")


class Finetuning:
    """All runs of a fine-tuning.

    folder   where they are
    task     the texts
    results  a row for each run that was trained: lm_weight, seed, run, accuracy, matthews, epoch, seconds, finished
    """

    def __init__(
        self,
        folder: Path,
        config: FinetuneConfig,
        written: dict[str, Any],
        task: TextClassification,
        tokenizer,
        source,
        pairs,
    ):
        self.folder, self.config, self.written, self.task = folder, config, written, task
        self.tokenizer, self._source, self._pairs = tokenizer, source, pairs
        self.device = devices.device(config.device)
        self.results: list[dict[str, Any]] = []

    def train(self, reporter: Reporter) -> bool:
        """Train every run to its end. Returns False if Ctrl-C ended one before; what was reached is saved."""
        ended = all(self._train(run, reporter) for run in self._runs())
        plot_matthews(self.folder, self.results, reporter.note)
        return ended

    def _runs(self) -> Iterator[Run]:
        """Every run, made when its turn comes."""
        for lm_weight in self.written["lm_weights"]:
            for seed in self.written["seeds"]:
                yield self._run(lm_weight, seed)

    def _train(self, run: Run, reporter: Reporter) -> bool:
        """Train a run to its end and add its result. Returns False where Ctrl-C asks to stop."""
        trainer, task = run.trainer, run.task
        steps, finished = trainer.config.steps, True
        if trainer.step < steps:
            at = f", from step {trainer.step}" if trainer.step else ""
            reporter.note(f"λ {task.lm_weight:g}, seed {task.seed}: {run.folder.path}{at}")
            finished = run.train(reporter)
        scored = [row for row in read_metrics(run.folder.metrics, _SCORED) if "matthews" in row]
        if scored:
            last = scored[-1]
            result = {"lm_weight": task.lm_weight, "seed": task.seed, "run": run.folder.path.name}
            result |= {name: last[name] for name in _SCORES}
            result |= {"epoch": round(last["step"] / task.steps_per_epoch, 2), "seconds": last.get("elapsed_s", 0.0)}
            self.results.append(result | {"finished": finished})
            write_json(self.folder / RESULTS, self.summary())
        return finished and not trainer.interrupted

    def _run(self, lm_weight: float, seed: int) -> Run:
        """The run of one λ and seed: new, or where it was left."""
        task, written = self.task.variant(lm_weight, seed), self.written
        config = self.config.train_config(task.steps_per_epoch, seed)
        folder = RunFolder(self.folder / f"lm-{lm_weight:g}-seed-{seed}")
        classes = len(task.data.classes)
        if folder.config.exists() and folder.checkpoint.exists():
            with random_stream.uninitialised():
                body = GPT(GPTConfig(**written["model"]))
                model = new_classifier(body, classes, self.config.head_dropout, seed)
            return reopen(folder, task, model, config)
        model = new_classifier(self._body, classes, self.config.head_dropout, seed, self.config.pretrained)
        if folder.config.exists():
            return reopen(folder, task, model, config)
        folder.clear()
        more = {"tokenizer": written["tokenizer"], "vocab_size": model.config.vocab_size, "from": written["from"]}
        return begin(task, model, config, folder.path, self._pairs, self.tokenizer, more=more)

    @property
    def parameters(self) -> int:
        """How many numbers each of the models trains."""
        with random_stream.uninitialised():
            body = GPT(GPTConfig(**self.written["model"]))
            return new_classifier(body, len(self.task.data.classes), 0.0, 0).num_parameters()

    @cached_property
    def _body(self) -> GPT:
        return self._source().load()

    def summary(self) -> dict[str, Any]:
        """What results.json holds."""
        dev = self.task.data.dev.labels
        guess = np.full_like(dev, self.task.data.majority)
        return {
            "majority": {"accuracy": accuracy(dev, guess), "matthews": matthews(dev, guess)},
            "runs": self.results,
            "means": means(self.results),
        }


_SCORED = {f"{name}?": float for name in _SCORES}


def start(
    data: ClassificationTask,
    source: TrainedModel,
    config: FinetuneConfig,
    lm_weights: list[float],
    seeds: list[int],
    out: Path | None = None,
    tokenizer: Tokenizer | None = None,
    pairs: tuple[UserPair, ...] = (),
) -> Finetuning:
    """A new fine-tuning. Its folder is made last, so that what goes wrong here leaves none.

    source     the pre-trained model
    tokenizer  None: the model's own

    Raises UserError for settings, texts or a folder that cannot be used.
    """
    for weight in lm_weights:
        if not 0 <= weight < np.inf:
            raise UserError(f"--lm-weight should be a number from 0 on, not {weight}")
    tokenizer = tokenizer or source.tokenizer()
    use_arithmetic(config.train_config(1, config.seed))
    _check_room(config, source.config)
    written = {
        "data": _data_record(data),
        "from": source.record(),
        "finetune": dataclasses.asdict(config),
        "lm_weights": list(dict.fromkeys(map(float, lm_weights))),
        "seeds": seeds,
        "tokenizer": tokenizer.fingerprint(),
        "model": dataclasses.asdict(source.config),
        "own_pairs": [pair.record() for pair in pairs],
    }
    task = _task(data, tokenizer, config, source.config)
    with random_stream.uninitialised():  # raises where there is no room for a text
        new_classifier(GPT(source.config), len(data.classes), config.head_dropout, config.seed)
    with run_folder.creating(out, data.name) as folder:
        tokenizer.save(folder.tokenizer)
        write_json(folder.path / DESCRIPTION, written)
    return Finetuning(folder.path, config, written, task, tokenizer, lambda: source, pairs)


def resume(path: Path, given: dict[str, Any], pairs: tuple[UserPair, ...] = (), progress=None) -> Finetuning:
    """The fine-tuning in a folder, each run where its checkpoint left it.

    given  settings by name; only those that cannot change the outcome may differ

    Raises UserError for a folder that is not a fine-tuning, damaged files, texts or a model that have changed since.
    """
    written = read_description(path)
    check_same_pairs(written["own_pairs"], list(pairs))
    config = _resumed_config(written["finetune"], given, path)
    data = _unchanged_data(written["data"], path, progress)
    tokenizer = load_tokenizer(path / FILE_NAME)
    if tokenizer.fingerprint() != written["tokenizer"]:
        raise UserError(f"{path / FILE_NAME} is not the tokenizer of this run: put that one back")
    shape = GPTConfig(**written["model"])
    use_arithmetic(config.train_config(1, config.seed))
    _check_room(config, shape)
    known = written["from"]
    return Finetuning(
        path,
        config,
        written,
        _task(data, tokenizer, config, shape),
        tokenizer,
        lambda: unchanged_model(known["name"], known, path),
        pairs,
    )


def read_description(path: Path) -> dict[str, Any]:
    """What finetune.json says. Raises UserError for a folder that has none, and for a damaged one."""
    file = path / DESCRIPTION
    if not file.is_file():
        raise UserError(f"{path} is not a folder that `tinygrad-gpt finetune` made: it has no {DESCRIPTION}")
    return read_json(file, _WRITTEN)


def runs_of(path: Path) -> list[RunFolder]:
    """The runs that a folder holds: those of a fine-tuning that have begun, or the folder itself."""
    if not (path / DESCRIPTION).exists():
        return [RunFolder(path)]
    runs = [RunFolder(file.parent) for file in sorted(path.glob("*/config.json"))]
    if not runs:
        raise UserError(f"{path} has no runs yet: continue it with {_continue(path)}")
    return runs


def best_run(path: Path) -> RunFolder:
    """The run with the highest correlation on the dev texts. Raises UserError where no run has been evaluated yet."""
    read_description(path)
    file = path / RESULTS
    runs = read_json(file, {"runs": [{"run": str, "matthews": float}]})["runs"] if file.exists() else []
    if not runs:
        raise UserError(f"{path} has no results yet: continue it with {_continue(path)}")
    return RunFolder(path / max(runs, key=lambda row: row["matthews"])["run"])


def _continue(path: Path) -> str:
    return command("tinygrad-gpt", "finetune", "--resume", path)


def means(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each λ, over the seeds that came to their end: how many, and of both scores the mean and the standard
    deviation (of the sample: divisor n - 1; None for a single one)."""
    rows = []
    for lm_weight in dict.fromkeys(result["lm_weight"] for result in results):
        done = [result for result in results if result["lm_weight"] == lm_weight and result["finished"]]
        if not done:
            continue
        row: dict[str, Any] = {"lm_weight": lm_weight, "seeds": len(done)}
        for score in _SCORES:
            values = [result[score] for result in done]
            row[score] = statistics.fmean(values)
            row[f"{score}_sd"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def plot_matthews(folder: Path, results: list[dict[str, Any]], say: Say = print) -> bool:
    """Draw the correlation over the steps: a line for each seed, a colour for each λ. Returns False, and says why,
    where that cannot be."""

    def draw(axes) -> None:
        axes.axhline(0, color="grey", linewidth=1, label="most frequent class")
        weights = list(dict.fromkeys(result["lm_weight"] for result in results))
        for result in results:
            rows = read_metrics(RunFolder(folder / result["run"]).metrics, _SCORED)
            points = [(row["step"], row["matthews"]) for row in rows if "matthews" in row]
            colour = weights.index(result["lm_weight"])
            label = None if f"C{colour}" in drawn else f"λ = {result['lm_weight']:g}"  # one in the legend for all seeds
            drawn.add(f"C{colour}")
            axes.plot(*zip(*points, strict=True), color=f"C{colour}", marker=".", label=label)
        axes.set(xlabel="step", ylabel="Matthews correlation on the dev texts")

    drawn: set[str] = set()
    return plot(folder / "matthews.png", draw, say)


def _task(
    data: ClassificationTask, tokenizer: Tokenizer, config: FinetuneConfig, shape: GPTConfig
) -> TextClassification:
    return TextClassification(
        data, tokenizer, shape.block_size, shape.vocab_size, batch_size=config.batch_size, accumulate=config.accumulate
    )


def _check_room(config: FinetuneConfig, shape: GPTConfig) -> None:
    itemsize = array.default_dtype().itemsize
    check_training(shape, config.batch_size, config.accumulate, 1, itemsize, devices.device(config.device))


def _data_record(data: ClassificationTask) -> dict[str, Any]:
    digest = hashlib.sha256()
    for part in (data.train, data.dev):
        for text, label in zip(part.texts, part.labels, strict=True):
            digest.update(f"{data.classes[label]}\t{text}\n".encode())
        digest.update(b"\0")
    return {"name": data.name, "path": data.path, "sha256": digest.hexdigest(), "classes": list(data.classes)}


def _unchanged_data(known: dict[str, Any], folder: Path, progress) -> ClassificationTask:
    found = [known["name"]] if known["path"] is None else places(known["name"], known["path"], folder)
    for place in found:
        data = open_task(place, progress=progress)
        if _data_record(data)["sha256"] == known["sha256"]:
            data = dataclasses.replace(data, name=known["name"])
            return data
    where = f"{found[0]} have changed since" if found else f"are not at {known['path']} any more"
    raise UserError(f"the texts that this run was started with {where}: put them back, or start a new run")


def _resumed_config(saved: dict[str, Any], given: dict[str, Any], path: Path) -> FinetuneConfig:
    try:
        before = FinetuneConfig(**saved)
    except (UserError, TypeError) as error:  # the latter for names that are not its fields
        raise UserError(f"{path / DESCRIPTION} is damaged: {in_short(error)}") from None
    for field in dataclasses.fields(FinetuneConfig):
        was = getattr(before, field.name)
        if given.get(field.name, was) != was and not field.metadata["free"]:
            asked = in_short(given[field.name])
            raise UserError(
                f"a resumed run keeps its settings: {option_name(field.name)} is {in_short(was)}, not {asked}; "
                "leave it out, or start a new run"
            )
    return dataclasses.replace(before, **given)
