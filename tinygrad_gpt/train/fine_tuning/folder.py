"""The folder of a fine-tuning: its runs, and what they came to.

seed-1/          a run (run_folder.py), as `train` makes them; of a GPT lm-0.5-seed-1/, for each λ and each seed
seed-1/test.json its scores on the examples to test on at last, once it has ended, where the task has some
results.json     the last scores of each run, their means, and the scores of an answer that looks at no example
matthews.png     the score that decides, after each epoch, drawn under its name
"""

import math
import statistics
from pathlib import Path
from typing import Any

from tinygrad_gpt.data.examples import CLASSES
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.plots import Say, plot
from tinygrad_gpt.tasks.families import FAMILIES
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.gpt1_family import GPT1Family
from tinygrad_gpt.tasks.kinds import NAMES, TASK_OF_KIND
from tinygrad_gpt.tasks.scores import TITLES
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.saved_runs import tokenizer_of

RESULTS, TEST = "results.json", "test.json"
# What config.json of a fine-tuned run must also hold; `group` names all runs of the fine-tuning. Older ones, all of
# classes with a GPT, have neither kind, family, guess nor baseline, but majority_accuracy; their example is one text.
_WRITTEN = {
    "task": {"classes": [str], "lm_weight": float, "epochs": int, "kind?": str, "max_length?": (int, None)},
    "train": {"seed": int, "steps": int},
    "vocab_size": int,
    "parameters": int,
    "device": str,
    "tokenizer": str,
    "corpus": {
        "name": str,
        "path": (str, None),
        "sha256": str,
        "train_texts": int,
        "dev_texts": int,
        "guess?": str,
        "baseline?": {...: float},
        "majority_accuracy?": float,
        "example": (str, list),
    },
    "from": {"name": str},
    "family?": str,
    "group": [str],
}


def read_fine_tuned(folder: RunFolder) -> dict[str, Any]:
    """config.json of a fine-tuned run. Raises UserError for other folders, and for a damaged one."""
    written = folder.read_config(NAMES, "a fine-tuned model", _WRITTEN)
    written["task"].setdefault("kind", CLASSES)
    written["task"].setdefault("max_length", None)
    written.setdefault("family", GPT1Family.name)
    corpus = written["corpus"]
    if written["task"]["kind"] not in TASK_OF_KIND or written["family"] not in FAMILIES:
        raise UserError(f"{folder.config} is damaged: it names an unknown kind of task, or of model")
    corpus.setdefault("guess", "most frequent class")
    corpus.setdefault("baseline", {"matthews": 0.0, "accuracy": corpus.get("majority_accuracy", 0.0)})
    if isinstance(corpus["example"], str):
        corpus["example"] = [corpus["example"]]
    if not corpus["baseline"].keys() & TITLES.keys() or not all(isinstance(text, str) for text in corpus["example"]):
        raise UserError(f"{folder.config} is damaged: it has no usable baseline or example")
    return written


def run_name(family: str, lm_weight: float, seed: int) -> str:
    """The folder of a run."""
    return (f"lm-{str(lm_weight).removesuffix('.0')}-" if FAMILIES[family].lm_weights else "") + f"seed-{seed}"


def is_fine_tuning(path: Path) -> bool:
    """Whether this is the folder of a fine-tuning, or one of its runs."""
    for folder in (RunFolder(path), *map(RunFolder, path.glob("*seed-*"))):
        try:
            return folder.read_config().get("task", {}).get("name") in NAMES
        except UserError:
            continue
    return False


def family_of(folder: RunFolder, written: dict[str, Any]) -> Family:
    """The family of a run's model, with its tokenizer. Raises UserError for a damaged folder."""
    tokenizer, task = tokenizer_of(folder, written), written["task"]
    try:
        shape = written["model"], written["vocab_size"]
        return FAMILIES[written["family"]].saved(tokenizer, *shape, task.get("head_dropout"), task["max_length"])
    except (UserError, TypeError) as error:  # TypeError for names that are not its fields
        raise UserError(f"{folder.config} is damaged: {in_short(error)}") from None


def outputs_of(written: dict[str, Any]) -> int:
    """How many numbers the head of a run's model gives."""
    return TASK_OF_KIND[written["task"]["kind"]].outputs_for(written["task"]["classes"])


def runs_of(path: Path) -> list[RunFolder]:
    """The runs in the folder of a fine-tuning, sorted by λ and seed. For the folder of a single run, this run.

    Raises UserError for a fine-tuning that was killed while its folders were being made.
    """
    found = [RunFolder(file.parent) for file in path.glob("*seed-*/config.json")]
    if RunFolder(path).config.exists() or not found:
        return [RunFolder(path)]
    written = {folder.path.name: read_fine_tuned(folder) for folder in found}
    for name in next(iter(written.values()))["group"]:
        if name not in written:
            raise UserError(f"{path} has no run {in_short(name)}: it was stopped while it was being made; start again")

    def lm_weight_and_seed(folder: RunFolder) -> tuple[float, int]:
        config = written[folder.path.name]
        return config["task"]["lm_weight"], config["train"]["seed"]

    return sorted(found, key=lm_weight_and_seed)


def best_run(path: Path) -> RunFolder:
    """The run with the highest deciding score on the dev examples. Raises UserError if none has a checkpoint yet."""
    all_runs = runs_of(path)
    deciding = deciding_score(read_fine_tuned(all_runs[0]))  # raises for other folders
    runs = [folder for folder in all_runs if folder.checkpoint.exists()]
    if not runs:
        again = command("tinygrad-gpt", "finetune", "--resume", path)
        raise UserError(f"{path} has no trained run yet: continue it with {again}")
    return max(runs, key=lambda folder: (_scored(folder, [deciding]) or [{deciding: -math.inf}])[-1][deciding])


def scores_in(written: dict[str, Any]) -> list[str]:
    """The names of the scores of a run's task, the deciding one first."""
    return [name for name in written["corpus"]["baseline"] if name in TITLES]


def deciding_score(written: dict[str, Any]) -> str:
    """The first of these."""
    return scores_in(written)[0]


def summary(path: Path) -> dict[str, Any]:
    """The content of results.json: the deciding score's name, the scores of an answer that looks at no example, the
    last scores of each run that was evaluated, its `test` scores, and the means of both."""
    results: list[dict[str, Any]] = []
    folders = runs_of(path)
    first = read_fine_tuned(folders[0])
    names = scores_in(first)
    for folder in folders:
        written, scored = read_fine_tuned(folder), _scored(folder, names)
        if scored:
            last, steps = scored[-1], written["train"]["steps"]
            result = _lm_weight(written) | {"seed": written["train"]["seed"]}
            result |= {"run": folder.path.name, "epoch": round(written["task"]["epochs"] * last["step"] / steps, 2)}
            result |= {name: last[name] for name in names} | {"seconds": last.get("elapsed_s", 0.0)}
            test = folder.path / TEST
            if test.exists():
                result |= {"test": read_json(test, dict.fromkeys(names, float))}
            results.append(result | {"finished": last["step"] == steps})
    baseline = {name: first["corpus"]["baseline"][name] for name in names}
    known = {"deciding": names[0], "guess": first["corpus"]["guess"], "baseline": baseline}
    return known | {"runs": results, "means": means(results, names)}


def means(results: list[dict[str, Any]], scores: list[str]) -> list[dict[str, Any]]:
    """For each λ, of a GPT: how many seeds have finished, and the mean and standard deviation of the scores over them
    (of the sample: divisor n - 1; None for a single seed); the same of their test scores, as `test`."""
    rows = []
    finished = [result for result in results if result["finished"]]
    for lm_weight in dict.fromkeys(result.get("lm_weight") for result in finished):
        done = [result for result in finished if result.get("lm_weight") == lm_weight]
        row: dict[str, Any] = ({} if lm_weight is None else {"lm_weight": lm_weight}) | {"seeds": len(done)}
        row |= _mean(done, scores)
        if all("test" in result for result in done):
            row["test"] = _mean([result["test"] for result in done], scores)
        rows.append(row)
    return rows


def _mean(measured: list[dict[str, Any]], scores: list[str]) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for score in scores:
        values = [each[score] for each in measured]
        row[score] = statistics.fmean(values)
        row[f"{score}_sd"] = statistics.stdev(values) if len(values) > 1 else None
    return row


def plot_scores(path: Path, say: Say) -> None:
    """Draw the deciding score over the steps: a line for each seed, a colour for each λ."""
    first = read_fine_tuned(runs_of(path)[0])
    deciding, corpus = deciding_score(first), first["corpus"]

    def draw(axes) -> None:
        axes.axhline(corpus["baseline"][deciding], color="grey", linewidth=1, label=corpus["guess"])
        colours: dict[Any, str] = {}
        for folder in runs_of(path):
            rows, written = _scored(folder, [deciding]), read_fine_tuned(folder)
            lm_weight = _lm_weight(written).get("lm_weight")
            name = "fine-tuned" if lm_weight is None else f"λ = {lm_weight:g}"
            label = None if lm_weight in colours else name  # one entry in the legend for all seeds
            colour = colours.setdefault(lm_weight, f"C{len(colours)}")
            points = [row["step"] for row in rows], [row[deciding] for row in rows]
            axes.plot(*points, color=colour, marker=".", label=label)
        axes.set(xlabel="step", ylabel=f"{TITLES[deciding]} on the dev examples")

    plot(path / f"{deciding}.png", draw, say)


def _lm_weight(written: dict[str, Any]) -> dict[str, float]:
    """λ, of a family that has a language model."""
    return {"lm_weight": written["task"]["lm_weight"]} if FAMILIES[written["family"]].lm_weights else {}


def _scored(folder: RunFolder, names: list[str]) -> list[dict[str, Any]]:
    """The rows of metrics that have an evaluation."""
    rows = read_metrics(folder.metrics, {f"{name}?": float for name in names})
    return [row for row in rows if all(name in row for name in names)]
