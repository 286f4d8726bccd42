"""Fine-tuning a pre-trained GPT as a classifier: a folder with a run folder for each λ and each seed.

    lm-0.5-seed-1/   a run (run_folder.py), as `train` makes them
    results.json     the last scores of each run, their means, and the scores of always saying the most frequent class
    matthews.png     the correlation after each epoch, drawn

The defaults are those of the paper (Radford et al., "Improving language understanding by generative pre-training",
2018, sections 3.2, 3.3 and 4.1); the gradient's limit and Adam's other settings come from the code published with it.
"""

import dataclasses
import functools
import itertools
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.data.examples import LabelledTask
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.data.labelled import open_task
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.json_files import write_json
from tinygrad_gpt.files.plots import Say, plot
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification
from tinygrad_gpt.settings import kept_settings, made_from
from tinygrad_gpt.tasks.classification import ClassificationConfig, TextClassification, new_classifier
from tinygrad_gpt.tasks.scores import accuracy
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.places import find_again
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import TrainedModel, find_model, tokenizer_of
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

# The trainer's settings that differ from TrainConfig's defaults; steps, warmup and intervals follow from the epochs.
DEFAULTS = dict(batch_size=32, lr=6.25e-5, min_lr=0.0, schedule="linear", beta2=0.999, weight_decay=0.01)
FIELDS = {f.name: f for kind in (ClassificationConfig, TrainConfig) for f in dataclasses.fields(kind)}
RESULTS = "results.json"
_SCORES = ("accuracy", "matthews")
# What config.json of a classifier's run must also hold; `group` names all runs of the fine-tuning.
_WRITTEN = {
    "task": {"classes": [str], "lm_weight": float, "epochs": int},
    "train": {"seed": int, "steps": int},
    "vocab_size": int,
    "tokenizer": str,
    "corpus": {"name": str, "path": (str, None), "sha256": str, "majority_accuracy": float, "example": str},
    "from": {"name": str},
    "group": [str],
}


def start(
    data: LabelledTask,
    source: TrainedModel,
    tokenizer: Tokenizer,
    given: dict[str, Any],
    lm_weights: list[float],
    seeds: list[int],
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
) -> Path:
    """Make the folder of a new fine-tuning, with a run for each λ and seed, all at step 0; `train` trains them.

    source  the pre-trained model
    given   settings of ClassificationConfig and TrainConfig by name

    Raises UserError for settings, texts or a folder that cannot be used; no folder is left then.
    """
    if source.own_model is not None:
        raise UserError(
            f"{source.name} holds a model of its own ({source.own_model.name}): fine-tuning as a classifier needs a GPT"
        )
    if data.kind != "classes":
        raise UserError(f"{data.name} holds the kind {data.kind}: a GPT is fine-tuned on texts with classes")
    runs = {}
    for lm_weight, seed in itertools.product(dict.fromkeys(lm_weights), seeds):
        values = DEFAULTS | given | {"data": data.name, "from_": source.name}
        values |= {"lm_weight": float(lm_weight), "seed": seed}
        task = _task(data, tokenizer, source.config, values)
        steps = task.config.epochs * task.steps_per_epoch
        plan = {"steps": steps, "warmup": round(task.config.warmup_share * steps)}
        plan |= dict.fromkeys(("eval_interval", "checkpoint_interval"), task.steps_per_epoch)
        runs[f"lm-{str(lm_weight).removesuffix('.0')}-seed-{seed}"] = task, made_from(TrainConfig, plan | values)
    _, config = next(iter(runs.values()))
    use_arithmetic(config)
    check_training(source.config, config)
    with random_stream.uninitialised():  # weights are drawn, or copied, when the run's turn comes
        model = new_classifier(GPT(source.config), len(data.classes), task.config, seed=0)
    guess = np.full_like(data.dev.labels, data.majority)
    more = {
        "tokenizer": tokenizer.fingerprint(),
        "vocab_size": model.config.vocab_size,
        "from": source.record(),
        "corpus": {
            "name": data.name,
            "path": data.path,
            "sha256": data.sha256,
            "train_texts": len(data.train.texts),
            "dev_texts": len(data.dev.texts),
            "majority_accuracy": accuracy(data.dev.labels, guess),
            "example": data.dev.texts[0],
        },
        "group": list(runs),
    }
    with run_folder.creating(out, data.name) as folder:
        for name, (task, config) in runs.items():
            begin(task, model, config, folder.path / name, pairs, tokenizer, more=more)
    return folder.path


def open_run(folder: RunFolder, given: dict[str, Any] | None = None, pairs=(), progress=None) -> Run:
    """The run in a folder, where its checkpoint left it.

    given  settings by name; only those that cannot change the outcome may differ from the run's

    Raises UserError for damaged files, for texts or a pre-trained model that have changed, and for settings or pairs
    that would make it another run.
    """
    written = read_classifier(folder)
    check_same_pairs(written["own_pairs"], list(pairs))
    values = kept_settings(written["task"] | written["train"], given or {}, FIELDS)
    corpus = written["corpus"]
    read = functools.partial(open_task, progress=progress)
    data = dataclasses.replace(find_again("data", corpus["name"], corpus, folder.path, read), name=corpus["name"])
    tokenizer, shape = tokenizer_of(folder, written), shape_of(folder, written)
    try:
        config, train = made_from(ClassificationConfig, values), made_from(TrainConfig, values)
    except UserError as error:
        raise UserError(f"{folder.config} is damaged: {error}") from None
    use_arithmetic(train)
    check_training(shape, train)
    if folder.checkpoint.exists():
        with random_stream.uninitialised():
            model = GPT1ForClassification(GPT(shape), len(data.classes), config.head_dropout)
    else:
        source = find_again("model", config.from_, written["from"], folder.path, find_model)
        model = new_classifier(source.load(), len(data.classes), config, train.seed)
    before = dataclasses.replace(shape, vocab_size=shape.vocab_size - TaskTokens.COUNT)
    return reopen(folder, _task(data, tokenizer, before, values), model, train)


def train(path: Path, reporter: Reporter, given: dict[str, Any] | None = None, pairs=(), progress=None) -> bool:
    """Train all runs of a fine-tuning to the end, each from where it stopped. Returns False after Ctrl-C, with the
    state saved. Raises UserError as `open_run` does."""
    for folder in runs_of(path):
        run = open_run(folder, given, pairs, progress)
        if run.trainer.step < run.trainer.config.steps:
            at = f", from step {run.trainer.step}" if run.trainer.step else ""
            task: Any = run.task  # a TextClassification
            reporter.note(f"λ {task.config.lm_weight:g}, seed {task.seed}: {folder.path}{at}")
            run.train(reporter)
        write_json(path / RESULTS, summary(path))
        if run.trainer.interrupted:
            break
    plot_matthews(path, reporter.note)
    return not run.trainer.interrupted


def read_classifier(folder: RunFolder) -> dict[str, Any]:
    """config.json of a classifier's run. Raises UserError for other folders, and for a damaged one."""
    return folder.read_config(TextClassification.name, "a classifier", _WRITTEN)


def shape_of(folder: RunFolder, written: dict[str, Any]) -> GPTConfig:
    """The shape of a classifier's GPT. Its vocabulary includes the tokens that fine-tuning added."""
    try:
        return GPTConfig(vocab_size=written["vocab_size"], **written["model"])
    except (UserError, TypeError) as error:  # TypeError for names that are not its fields
        raise UserError(f"{folder.config} is damaged: {in_short(error)}") from None


def runs_of(path: Path) -> list[RunFolder]:
    """The runs in the folder of a fine-tuning, sorted by λ and seed. For the folder of a single run, this run.

    Raises UserError for a fine-tuning that was killed while its folders were being made.
    """
    found = [RunFolder(file.parent) for file in path.glob("lm-*-seed-*/config.json")]
    if RunFolder(path).config.exists() or not found:
        return [RunFolder(path)]
    written = {folder.path.name: read_classifier(folder) for folder in found}
    for name in next(iter(written.values()))["group"]:
        if name not in written:
            raise UserError(f"{path} has no run {in_short(name)}: it was stopped while it was being made; start again")

    def lm_weight_and_seed(folder: RunFolder) -> tuple[float, int]:
        config = written[folder.path.name]
        return config["task"]["lm_weight"], config["train"]["seed"]

    return sorted(found, key=lm_weight_and_seed)


def best_run(path: Path) -> RunFolder:
    """The run with the highest correlation on the dev texts. Raises UserError if none has a checkpoint yet."""
    all_runs = runs_of(path)
    read_classifier(all_runs[0])  # raises for other folders
    runs = [folder for folder in all_runs if folder.checkpoint.exists()]
    if not runs:
        again = command("tinygrad-gpt", "finetune", "--resume", path)
        raise UserError(f"{path} has no trained run yet: continue it with {again}")
    return max(runs, key=lambda folder: (_scored(folder) or [{"matthews": -2.0}])[-1]["matthews"])


def summary(path: Path) -> dict[str, Any]:
    """The content of results.json: the last scores of each run that was evaluated, and their means."""
    results = []
    for folder in runs_of(path):
        written, scored = read_classifier(folder), _scored(folder)
        majority = {"accuracy": written["corpus"]["majority_accuracy"], "matthews": 0.0}
        if scored:
            last, steps = scored[-1], written["train"]["steps"]
            result = {"lm_weight": written["task"]["lm_weight"], "seed": written["train"]["seed"]}
            result |= {"run": folder.path.name, "epoch": round(written["task"]["epochs"] * last["step"] / steps, 2)}
            result |= {name: last[name] for name in _SCORES} | {"seconds": last.get("elapsed_s", 0.0)}
            results.append(result | {"finished": last["step"] == steps})
    return {"majority": majority, "runs": results, "means": means(results)}


def means(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each λ: how many seeds have finished, and the mean and standard deviation of both scores over them (of the
    sample: divisor n - 1; None for a single seed)."""
    rows = []
    finished = [result for result in results if result["finished"]]
    for lm_weight in dict.fromkeys(result["lm_weight"] for result in finished):
        done = [result for result in finished if result["lm_weight"] == lm_weight]
        row: dict[str, Any] = {"lm_weight": lm_weight, "seeds": len(done)}
        for score in _SCORES:
            values = [result[score] for result in done]
            row[score] = statistics.fmean(values)
            row[f"{score}_sd"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def plot_matthews(path: Path, say: Say) -> None:
    """Draw the correlation over the steps: a line for each seed, a colour for each λ."""

    def draw(axes) -> None:
        axes.axhline(0, color="grey", linewidth=1, label="most frequent class")
        colours: dict[float, str] = {}
        for folder in runs_of(path):
            rows, lm_weight = _scored(folder), read_classifier(folder)["task"]["lm_weight"]
            label = None if lm_weight in colours else f"λ = {lm_weight:g}"  # one entry in the legend for all seeds
            colour = colours.setdefault(lm_weight, f"C{len(colours)}")
            points = [row["step"] for row in rows], [row["matthews"] for row in rows]
            axes.plot(*points, color=colour, marker=".", label=label)
        axes.set(xlabel="step", ylabel="Matthews correlation on the dev texts")

    plot(path / "matthews.png", draw, say)


def _scored(folder: RunFolder) -> list[dict[str, Any]]:
    """The rows of metrics that have an evaluation."""
    rows = read_metrics(folder.metrics, {f"{name}?": float for name in _SCORES})
    return [row for row in rows if all(name in row for name in _SCORES)]


def _task(data, tokenizer, shape: GPTConfig, values: dict[str, Any]) -> TextClassification:
    """The task of one run, from the shape of the pre-trained model and all settings by name."""
    task, train = made_from(ClassificationConfig, values), made_from(TrainConfig, values)
    return TextClassification(task, data, tokenizer, shape, train.batch_size * train.accumulate, train.seed)
