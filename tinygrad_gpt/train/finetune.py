"""Fine-tuning a pre-trained GPT as a classifier: a folder with a run folder for each λ and each seed.

    lm-0.5-seed-1/   a run (run_folder.py), as `train` makes them
    results.json     how each run ended, the means, and what always saying the most frequent class would get
    matthews.png     the correlation after each epoch, drawn

(Radford et al., "Improving language understanding by generative pre-training", 2018, sections 3.2, 3.3 and 4.1.) The
defaults are the paper's, and the gradient's limit and Adam's other settings those of the code published with it.
"""

import dataclasses
import itertools
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import array, devices, random_stream
from tinygrad_gpt.data.classification import ClassificationTask, open_task
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
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
from tinygrad_gpt.train.places import places
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder, check_task
from tinygrad_gpt.train.trained_model import TrainedModel, tokenizer_of, unchanged_model
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

# The trainer's settings that differ from TrainConfig's defaults; steps, warmup and intervals follow from the epochs.
DEFAULTS = dict(batch_size=32, lr=6.25e-5, min_lr=0.0, schedule="linear", beta2=0.999, weight_decay=0.01)
FIELDS = {f.name: f for kind in (ClassificationConfig, TrainConfig) for f in dataclasses.fields(kind)}
RESULTS, _RUNS = "results.json", "lm-*-seed-*/config.json"
_SCORES = ("accuracy", "matthews")
# What config.json of a classifier's run holds, beside what that of every run does. group: all that began with it
_WRITTEN = {
    "task": {"classes": [str], "lm_weight": float, "epochs": int},
    "train": {"seed": int, "steps": int},
    "vocab_size": int,
    "tokenizer": str,
    "corpus": {"name": str, "path": (str, None), "sha256": str, "majority_accuracy": float},
    "from": {"name": str},
    "group": [str],
}


def start(
    data: ClassificationTask,
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
    runs = {}
    for lm_weight, seed in itertools.product(dict.fromkeys(lm_weights), seeds):
        values = (
            DEFAULTS | given | {"data": data.name, "from_": source.name, "lm_weight": float(lm_weight), "seed": seed}
        )
        task = _task(data, tokenizer, source.config, values)
        steps = task.config.epochs * task.steps_per_epoch
        plan = {"steps": steps, "warmup": round(task.config.warmup_share * steps)}
        plan |= dict.fromkeys(("eval_interval", "checkpoint_interval"), task.steps_per_epoch)
        runs[f"lm-{lm_weight:g}-seed-{seed}"] = task, made_from(TrainConfig, plan | values)
    _prepare(source.config, next(iter(runs.values()))[1])
    with random_stream.uninitialised():  # weights are drawn, or copied, when the run's turn comes
        model = new_classifier(GPT(source.config), len(data.classes), task.config, seed=0)
    more = {"tokenizer": tokenizer.fingerprint(), "vocab_size": model.config.vocab_size, "from": source.record()}
    more |= {"corpus": _record(data), "group": list(runs)}
    with run_folder.creating(out, data.name) as folder:
        for name, (task, config) in runs.items():
            begin(task, model, config, folder.path / name, pairs, tokenizer, more=more)
    return folder.path


def open_run(folder: RunFolder, given: dict[str, Any] | None = None, pairs=(), progress=None) -> Run:
    """The run in a folder, where its checkpoint left it.

    given  settings by name; only those that cannot change the outcome may differ from the run's

    Raises UserError for damaged files, for texts or a pre-trained model that have changed since, and for settings or
    pairs that would make it another run.
    """
    written = read_classifier(folder)
    check_same_pairs(written["own_pairs"], list(pairs))
    values = kept_settings(written["task"] | written["train"], given or {}, FIELDS)
    data = _unchanged_data(written["corpus"], folder.path, progress)
    tokenizer, shape = tokenizer_of(folder, written), shape_of(folder, written)
    try:
        config, train = made_from(ClassificationConfig, values), made_from(TrainConfig, values)
    except UserError as error:
        raise UserError(f"{folder.config} is damaged: {error}") from None
    _prepare(shape, train)
    if folder.checkpoint.exists():
        with random_stream.uninitialised():
            model = GPT1ForClassification(GPT(shape), len(data.classes), config.head_dropout)
    else:
        body = unchanged_model(config.from_, written["from"], folder.path).load()
        model = new_classifier(body, len(data.classes), config, train.seed)
    before = dataclasses.replace(shape, vocab_size=shape.vocab_size - TaskTokens.COUNT)
    return reopen(folder, _task(data, tokenizer, before, values), model, train)


def train(path: Path, reporter: Reporter, given: dict[str, Any] | None = None, pairs=(), progress=None) -> bool:
    """Train all runs of a fine-tuning to their ends, each from where it was left. Returns False if Ctrl-C ended one
    before; what was reached is saved. Raises UserError as `open_run` does."""
    for folder in runs_of(path):
        run = open_run(folder, given, pairs, progress)
        if run.trainer.step < run.trainer.config.steps:
            at = f", from step {run.trainer.step}" if run.trainer.step else ""
            reporter.note(f"λ {run.task.config.lm_weight:g}, seed {run.task.seed}: {folder.path}{at}")
            run.train(reporter)
        write_json(path / RESULTS, summary(path))
        if run.trainer.interrupted:
            break
    plot_matthews(path, reporter.note)
    return not run.trainer.interrupted


def read_classifier(folder: RunFolder) -> dict[str, Any]:
    """config.json of a classifier's run. Raises UserError for other folders, and for a damaged one."""
    check_task(folder, TextClassification.name, "a classifier")
    return folder.read_config(_WRITTEN)


def shape_of(folder: RunFolder, written: dict[str, Any]) -> GPTConfig:
    """The shape of a classifier's GPT, whose vocabulary has the tokens that fine-tuning added."""
    try:
        return GPTConfig(vocab_size=written["vocab_size"], **written["model"])
    except (UserError, TypeError) as error:  # the latter for names that are not its fields
        raise UserError(f"{folder.config} is damaged: {in_short(error)}") from None


def runs_of(path: Path) -> list[RunFolder]:
    """The runs in the folder of a fine-tuning, by λ and seed; a run folder itself, alone.

    Raises UserError for a fine-tuning that was killed while it was being made.
    """
    if (path / RunFolder(path).config.name).exists() or not list(path.glob(_RUNS)):
        return [RunFolder(path)]
    written = {file.parent.name: read_classifier(RunFolder(file.parent)) for file in path.glob(_RUNS)}
    for name in next(iter(written.values()))["group"]:
        if name not in written:
            raise UserError(
                f"{path} has no run {in_short(name)}: it was stopped while it was being made; start it again"
            )
    return [
        RunFolder(path / n)
        for n in sorted(written, key=lambda n: (written[n]["task"]["lm_weight"], written[n]["train"]["seed"]))
    ]


def best_run(path: Path) -> RunFolder:
    """The run with the highest correlation on the dev texts. Raises UserError where none has a checkpoint yet."""
    for folder in runs_of(path):
        read_classifier(folder)
    runs = [folder for folder in runs_of(path) if folder.checkpoint.exists()]
    if not runs:
        again = command("tinygrad-gpt", "finetune", "--resume", path)
        raise UserError(f"{path} has no trained run yet: continue it with {again}")
    return max(runs, key=lambda folder: (_scored(folder) or [{"matthews": -2.0}])[-1]["matthews"])


def summary(path: Path) -> dict[str, Any]:
    """What results.json holds: of each run that was evaluated, how it stands."""
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


def plot_matthews(path: Path, say: Say = print) -> bool:
    """Draw the correlation over the steps: a line for each seed, a colour for each λ. Returns False, and says why,
    where that cannot be."""

    def draw(axes) -> None:
        axes.axhline(0, color="grey", linewidth=1, label="most frequent class")
        colours: dict[float, str] = {}
        for folder in runs_of(path):
            rows, lm_weight = _scored(folder), read_classifier(folder)["task"]["lm_weight"]
            label = None if lm_weight in colours else f"λ = {lm_weight:g}"  # one in the legend for all seeds
            colour = colours.setdefault(lm_weight, f"C{len(colours)}")
            points = [row["step"] for row in rows], [row["matthews"] for row in rows]
            axes.plot(*points, color=colour, marker=".", label=label)
        axes.set(xlabel="step", ylabel="Matthews correlation on the dev texts")

    return plot(path / "matthews.png", draw, say)


def _scored(folder: RunFolder) -> list[dict[str, Any]]:
    """The rows of metrics in which a run was evaluated."""
    rows = read_metrics(folder.metrics, {f"{name}?": float for name in _SCORES})
    return [row for row in rows if all(name in row for name in _SCORES)]


def _task(
    data: ClassificationTask, tokenizer: Tokenizer, shape: GPTConfig, values: dict[str, Any]
) -> TextClassification:
    """shape: of the pre-trained model; values: all settings by name."""
    rows = {name: values.get(name, FIELDS[name].default) for name in ("batch_size", "accumulate", "seed")}
    return TextClassification(made_from(ClassificationConfig, values), data, tokenizer, shape, **rows)


def _prepare(shape: GPTConfig, train: TrainConfig) -> None:
    """Compute as the settings say from here on. Raises UserError where there is no room, or not such a device."""
    use_arithmetic(train)
    itemsize, device = array.default_dtype().itemsize, devices.device(train.device)
    check_training(shape, train.batch_size, train.accumulate, 1, itemsize, device)


def _record(data: ClassificationTask) -> dict[str, Any]:
    """What config.json says about the texts, enough to know them again."""
    guess = np.full_like(data.dev.labels, data.majority)
    return {
        "name": data.name,
        "path": data.path,
        "sha256": data.sha256,
        "train_texts": len(data.train.texts),
        "dev_texts": len(data.dev.texts),
        "majority_accuracy": accuracy(data.dev.labels, guess),
    }


def _unchanged_data(known: dict[str, Any], folder: Path, progress) -> ClassificationTask:
    """The texts that a run in `folder` learned. Raises UserError if they are not there any more, or have changed."""
    found = [known["name"]] if known["path"] is None else places(known["name"], known["path"], folder)
    for place in found:
        data = open_task(place, progress=progress)
        if data.sha256 == known["sha256"]:
            return dataclasses.replace(data, name=known["name"])
    where = f"{found[0]} have changed since" if found else f"are not at {known['path']} any more"
    raise UserError(f"the texts that this run was started with {where}: put them back, or start a new run")
