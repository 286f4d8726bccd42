"""Sweeps of `tinygrad-gpt train`: several runs, and a table at the end."""

from pathlib import Path
from typing import Any

from tinygrad_gpt.cli.options import INTERRUPTED
from tinygrad_gpt.cli.runs import print_comparison
from tinygrad_gpt.cli.shared import download_progress, resume_command, use_command, write_sample
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.train import sweep, user_ops
from tinygrad_gpt.train.compare import by_last_loss, plot_runs
from tinygrad_gpt.train.own_model import check_same_model
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.run_list import runs_at

_FAILED = 2


def start(
    preset: str | None, given: dict[str, Any], texts: list[str], out: Path | None, pairs, own_model, progress
) -> Path:
    """Make the folder of a new sweep. Raises UserError for settings that cannot be, before any work."""
    return sweep.start(preset, given, sweep.parse(texts), out, pairs, own_model, progress)


def check_resumed(folder: Path, asked: dict[str, Any], own_model) -> None:
    """Raise UserError for anything that is asked of a sweep that goes on: its settings stand in its folder. So does its
    model; the same one may be given again."""
    if own_model is not None:
        check_same_model(sweep.read(folder).get("own_model"), own_model)
    for name in asked:
        raise UserError(
            f"--resume takes the settings of the sweep {folder} from its folder: leave out {option_name(name)}"
        )


def with_kept(folder: Path, pairs) -> list:
    """The pairs of a sweep that goes on: those that are given, and the copies that its runs keep."""
    runs = [RunFolder(path.parent) for path in sorted(folder.glob("*/config.json"))]
    return user_ops.with_kept(pairs, sweep.read(folder)["own_pairs"], runs[0].own_op) if runs else pairs


def train(path: Path, pairs, reporter) -> int:
    """Train the runs of a sweep, and print their table. Returns the exit status."""
    todo = sweep.combinations(sweep.read(path)["sweep"])
    reporter.note(f"sweep in {path}: {len(todo)} runs")
    try:
        ended, failed = sweep.train(path, reporter, pairs, download_progress(reporter), write_sample)
    except KeyboardInterrupt:  # the second one, or while a run was being made
        ended, failed = False, {}
    found = [run for name in todo if (path / name / "config.json").exists() for run in runs_at(path / name)]
    if found:
        reporter.note("")
        print_comparison(found, {path / name: "failed" for name in failed})
        if plot_runs(found, path / "compare.png", reporter.note):
            reporter.note(f"drawn in {path / 'compare.png'}")
    for name, problem in failed.items():
        reporter.warn(f"not trained: {name}: {problem}")
    if not ended:
        again = resume_command("train", path)
        reporter.note(f"stopped and saved; continue with: {again}")
        return INTERRUPTED
    measured = [run for run in by_last_loss(found) if run.last]
    if measured:
        best = measured[0].path
        reporter.note(f"lowest: {best}: try  {use_command(best)}")
    return _FAILED if failed else 0
