"""Several runs side by side: the settings that differ, whether their losses compare, and their curves."""

import math
import os
from pathlib import Path
from typing import Any

from tinygrad_gpt.files.plots import Say, save_figure
from tinygrad_gpt.settings import current_names, option_name
from tinygrad_gpt.train.any_run import SETTINGS
from tinygrad_gpt.train.run_list import FINISHED, ListedRun

_FREE = {name for name, field in SETTINGS.items() if field.metadata["free"]}  # the weights do not depend on them
_MOST_IN_LEGEND = 20
_LINES = ("-", "--", ":", "-.")  # after ten colours
_ABOVE = 1.05  # the picture ends this far above the first losses: a run that diverged would flatten the others


def short_names(runs: list[ListedRun]) -> list[str]:
    """A name for each run: its path, without the folders that all have in common."""
    paths = [os.path.abspath(run.path) for run in runs]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, common) for path in paths]


def different_settings(runs: list[ListedRun]) -> dict[str, list[Any]]:
    """name -> its value in each run (None where a run has none), for every setting that is not the same in all and that
    the weights depend on."""
    settings = [_settings(run) for run in runs]
    names = dict.fromkeys(name for values in settings for name in values)
    columns = {name: [values.get(name) for values in settings] for name in names}
    return {name: values for name, values in columns.items() if any(value != values[0] for value in values)}


def _settings(run: ListedRun) -> dict[str, Any]:
    """All settings of a run by name, and what else decides its outcome."""
    written = run.written
    values = current_names(written["model"] | written.get("task", {}) | written["train"], SETTINGS)
    values = {name: x for name, x in values.items() if name not in _FREE and not isinstance(x, list | dict)}
    values = {"task" if name == "name" else option_name(name)[2:]: x for name, x in values.items()}
    if data := values.get("sha256"):  # of the arrays that `fit` was given
        values["sha256"] = str(data)[:8]
    values["device"] = written.get("device")
    if sha256 := written.get("corpus", {}).get("sha256"):  # the same text may stand at two places
        values["corpus"] = f"{Path(run.corpus).name} {sha256[:8]}"
    if own := written.get("own_model"):
        values["own model"] = f"{own['file']} {own['sha256'][:8]}"
    values["own ops"] = ", ".join(f"{pair['op']} {pair['sha256'][:8]}" for pair in written["own_pairs"])
    values["extended"] = ", ".join(f"at {e['at']} to {e['to']}" for e in written.get("extensions", []))
    return values


def bits_per_byte(run: ListedRun, loss: float) -> float | None:
    """A validation loss in nats per token as bits per byte of text, which compares between tokenizers; None for a run
    whose config.json does not say how many bytes its text has."""
    corpus = run.written.get("corpus", {})
    tokens, size = corpus.get("val_tokens"), corpus.get("val_bytes")
    return loss * tokens / size / math.log(2) if tokens and size else None


def other_tokens(runs: list[ListedRun]) -> bool:
    """Whether they count their losses in different tokens."""
    return len({run.written.get("tokenizer") for run in runs}) > 1


def warnings(runs: list[ListedRun]) -> list[str]:
    """What stands in the way of comparing their validation losses, in lines."""
    lines = []
    if len({run.task for run in runs}) > 1:
        lines.append("these runs learn different tasks: their losses do not compare")
    if len({run.written.get("corpus", {}).get("sha256") for run in runs}) > 1:
        lines.append("these runs read different texts: their validation losses do not compare")
    elif other_tokens(runs):
        lines.append("these runs read different tokens: compare bits per byte, not losses per token")
    if any(run.state != FINISHED and run.last for run in runs):
        lines.append("a run that has not finished was measured on a part of the validation text only")
    return lines


def by_last_loss(runs: list[ListedRun]) -> list[ListedRun]:
    """The runs with the lowest last validation loss first: the model in a folder is that of its last step. In bits per
    byte where they count different tokens. Those without a loss stand at the end."""
    in_bytes = other_tokens(runs)

    def loss(run: ListedRun) -> float:
        value = run.last["val_loss"] if run.last else math.nan
        value = (bits_per_byte(run, value) or math.nan) if in_bytes else value
        return value if math.isfinite(value) else math.inf

    return sorted(runs, key=loss)


def plot_runs(runs: list[ListedRun], path: Path, say: Say = print) -> bool:
    """Draw training losses (thin) and validation losses (with dots) by step and by time, a colour for each run. Returns
    False, and says why, if it cannot."""
    drawn = [(run, name) for run, name in zip(runs, short_names(runs), strict=True) if run.rows]

    def fill(figure) -> None:
        by_step, by_time = figure.subplots(1, 2, sharey=True)
        for number, (run, name) in enumerate(drawn):
            style = {"color": f"C{number % 10}", "linestyle": _LINES[number // 10 % len(_LINES)]}
            for axes, x, unit in ((by_step, "step", 1), (by_time, "elapsed_s", 60)):
                _curve(axes, run.rows, x, unit, "train_loss", linewidth=0.8, alpha=0.5, **style)
                _curve(axes, run.evaluated, x, unit, "val_loss", marker=".", label=name, **style)
        first = max((run.rows[0]["train_loss"] for run, _ in drawn), default=math.nan)
        highest = max((row["train_loss"] for run, _ in drawn for row in run.rows), default=math.nan)
        if highest > first * _ABOVE:
            by_step.set_ylim(top=first * _ABOVE)
        by_step.set(xlabel="step", ylabel="loss (thin: training; dots: validation)")
        by_time.set(xlabel="minutes of training")
        for axes in (by_step, by_time):
            axes.grid(alpha=0.3)
        if len(drawn) <= _MOST_IN_LEGEND and any(run.evaluated for run, _ in drawn):
            by_time.legend(fontsize="small")

    return save_figure(path, fill, (12, 5), say)


def _curve(axes, rows: list[dict[str, Any]], x: str, unit: float, loss: str, **style) -> None:
    rows = [row for row in rows if x in row]
    axes.plot([row[x] / unit for row in rows], [row[loss] for row in rows], **style)
