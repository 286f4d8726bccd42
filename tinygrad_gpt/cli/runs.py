"""`tinygrad-gpt runs` and `tinygrad-gpt compare`."""

import glob
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_gpt.cli.tables import print_table
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.plots import check_is_picture
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.tasks.scores import TITLES
from tinygrad_gpt.train.compare import (
    bits_per_byte,
    by_last_loss,
    different_settings,
    other_tokens,
    plot_runs,
    short_names,
    warnings,
)
from tinygrad_gpt.train.reporter import clock, thousands
from tinygrad_gpt.train.run_folder import RUNS
from tinygrad_gpt.train.run_list import ListedRun, find_runs, runs_at

_MOST_COLUMNS = 6  # settings that differ, beside the results; more have a table of their own
_LONGEST = 800  # characters of an error


def runs(
    folder: Annotated[Path | None, typer.Argument(help="where to look", show_default=str(RUNS))] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a list of JSON objects")] = False,
):
    """List the runs in a folder, newest first: their state, their validation losses (best @ step, and last), their age.

    The runs of a fine-tuning and of a sweep are listed too. A run that stopped
    goes on with `train --resume`, or `finetune --resume`.
    """
    found = [] if folder is None and not RUNS.exists() else find_runs(folder or RUNS)
    if as_json:
        print(json.dumps([run.as_json() for run in found], indent=2))
        return
    if not found:
        print(f"no runs in {folder or RUNS}: {command('tinygrad-gpt', 'train')} makes one", file=sys.stderr)
        return
    now = time.time()
    columns = {
        "run": [str(run.path) for run in found],
        "preset": [run.written.get("preset") or run.task for run in found],
        "corpus": [run.corpus for run in found],
        "params": [thousands(run.written.get("parameters") or 0) if run.written else "" for run in found],
        "steps": [f"{run.step}/{run.steps}" if run.written else "" for run in found],
        "state": [run.state for run in found],
        "best val": [f"{run.best['val_loss']:.3f} @ {run.best['step']}" if run.best else "" for run in found],
        "last val": [f"{run.last['val_loss']:.3f}" if run.last else "" for run in found],
        "score": list(map(_deciding_score, found)),
        "time": [clock(run.seconds) if run.rows else "" for run in found],
        "changed": [f"{_ago(now - run.changed)} ago" for run in found],
    }
    if not any(columns["score"]):
        del columns["score"]
    rows = list(zip(*columns.values(), strict=True))
    print_table(list(columns), rows, less=("params", "time", "corpus", "preset"))
    for run in found:
        if run.problem:
            print(f"damaged: {in_short(run.problem, _LONGEST)}", file=sys.stderr)


def compare(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR...", help="run folders, and folders with runs in them; * is understood", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="the picture to draw")] = Path("compare.png"),
):
    """Compare runs: a picture of their losses by step and by time, and a table of the settings that differ."""
    check_is_picture("--out", str(out))
    found, refused = _read(folders)
    print_comparison(found)
    problems = [f"left out: {problem}" for problem in refused]
    if plot_runs(found, out, problems.append):
        print(f"\ndrawn in {out}")
    if problems:
        raise UserError("; ".join(problems))


def print_comparison(found: list[ListedRun], states: dict[Path, str] | None = None) -> None:
    """Print a table of runs, sorted by their last validation loss, with the settings that differ, and what stands in
    the way of comparing them. `states`: those that differ from what the folder says."""
    found = by_last_loss(found)
    names, settings = short_names(found), different_settings(found)
    beside = {} if len(settings) > _MOST_COLUMNS else settings
    columns = {"run": names} | {name: list(map(_value, values)) for name, values in beside.items()}
    columns["steps"] = [f"{run.step}/{run.steps}" for run in found]
    columns["state"] = [(states or {}).get(run.path, run.state) for run in found]
    columns["best val"] = [f"{run.best['val_loss']:.4f} @ {run.best['step']}" if run.best else "" for run in found]
    columns["last val"] = [f"{run.last['val_loss']:.4f}" if run.last else "" for run in found]
    if other_tokens(found):
        bits = [bits_per_byte(run, run.last["val_loss"]) if run.last else None for run in found]
        columns["bits per byte"] = ["" if number is None else f"{number:.4f}" for number in bits]
    for score, title in TITLES.items():
        if any(score in row for run in found for row in run.evaluated):
            columns[title] = [_number((run.last or {}).get(score)) for run in found]
    columns["last train"] = [f"{run.rows[-1]['train_loss']:.4f}" if run.rows else "" for run in found]
    columns["time"] = [clock(run.seconds) if run.rows else "" for run in found]
    print_table(list(columns), list(zip(*columns.values(), strict=True)), less=("last train", "time"))
    if settings and not beside:
        print()
        print_table(["setting", *names], [[name, *map(_value, values)] for name, values in settings.items()])
    for line in warnings(found):
        print(f"note: {line}")


def _read(folders: list[str]) -> tuple[list[ListedRun], list[str]]:
    """(the runs in these folders, each once; why others were left out). Raises UserError if there is no run at all."""
    found: dict[Path, ListedRun] = {}
    refused: list[str] = []
    for text in folders:
        path = user_path(text)
        # A shell has replaced * already, but for those of Windows.
        paths = [path] if path.exists() else [Path(p) for p in sorted(glob.glob(str(path)))] or [path]
        for place in paths:
            try:
                found |= {run.path.resolve(): run for run in runs_at(place) if run.path.resolve() not in found}
            except UserError as error:
                refused.append(str(error))
    if not found:
        raise UserError(refused[0])
    return list(found.values()), refused


def _deciding_score(run: ListedRun) -> str:
    """The last score of a fine-tuned model that decides which one is best: "F1 0.431"; "" for other runs."""
    last = run.last or {}
    for name in run.written.get("facts", {}).get("metrics", TITLES):  # older runs do not say which one
        if name in TITLES and name in last:
            return f"{TITLES[name]} {_number(last[name])}"
    return ""


def _value(value: Any) -> str:
    if value in ("", None):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def _ago(seconds: float) -> str:
    """A time in its largest unit: 90 as 1 min, 7300 as 2 h."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
