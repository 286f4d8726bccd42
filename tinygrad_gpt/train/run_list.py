"""The runs in a folder, as `tinygrad-gpt runs` lists them and `compare` compares them."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.locks import is_held
from tinygrad_gpt.files.storage import reason
from tinygrad_gpt.train.checkpoint import Saved, saved_at
from tinygrad_gpt.train.extension import extensions_of
from tinygrad_gpt.train.metrics import has_rows, read_metrics
from tinygrad_gpt.train.run_folder import RunFolder

FINISHED, STOPPED, RUNNING, MAYBE_RUNNING = "finished", "stopped", "running", "running?"
DIVERGED, DAMAGED = "diverged", "damaged"
_DEEPEST = 3  # folders in folders: runs/, a fine-tuning or a sweep, its runs
_RECENT = 120.0  # seconds without a new row after which a run is taken for stopped, where the system does not say
_SCHEMA = {"train": {"steps": int}, "task?": {"corpus?": str, "data?": str}, "preset?": str, "corpus?": {"name?": str}}


@dataclass(frozen=True)
class ListedRun:
    """A run folder, read as far as it can be.

    written, rows  the content of config.json and of metrics.jsonl; empty for a damaged run
    saved_step     the step of the checkpoint, 0 without one
    early          whether the run had ended early by then
    problem        why it is damaged, or ""
    """

    folder: RunFolder
    written: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    saved_step: int = 0
    early: bool = False
    problem: str = ""

    @classmethod
    def read(cls, path: Path) -> "ListedRun":
        """The run in a folder. Raises UserError for a folder that is not a run, and for a damaged one."""
        folder = RunFolder(path)
        written = folder.read_config(also=_SCHEMA)
        extensions_of(written)
        rows = read_metrics(folder.metrics)
        saved = saved_at(folder.checkpoint) if folder.checkpoint.exists() else Saved(0)
        return cls(folder, written, rows, *saved)

    def damage(self) -> list[str]:
        """What is wrong with the files that a model is read from, a line each, as far as their headers and their length
        tell, and a look at the tokenizer. (Reading a model tells all.)"""
        found = []
        for check in (self._check_checkpoint, lambda: self.folder.check_tokenizer(self.written)):
            try:
                check()
            except UserError as error:
                found.append(str(error))
        return found

    def _check_checkpoint(self) -> None:
        if self.folder.checkpoint.exists():
            saved_at(self.folder.checkpoint)

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def task(self) -> str:
        return self.written.get("task", {}).get("name", "next-token") if self.written else ""

    @property
    def corpus(self) -> str:
        task = self.written.get("task", {})
        return self.written.get("corpus", {}).get("name") or task.get("corpus") or task.get("data") or ""

    @property
    def steps(self) -> int | None:
        return self.written.get("train", {}).get("steps")

    @property
    def step(self) -> int:
        """The last step that is known to have been made."""
        return max(self.rows[-1]["step"] if self.rows else 0, self.saved_step)

    @cached_property
    def changed(self) -> float:
        """When a file of the run was written last, in seconds since 1970."""
        files = self.folder.config, self.folder.metrics, self.folder.checkpoint
        return max((file.stat().st_mtime for file in files if file.exists()), default=self.path.stat().st_mtime)

    @cached_property
    def state(self) -> str:
        if self.problem:
            return DAMAGED
        held = is_held(self.folder.metrics)
        if held:
            return RUNNING
        if self.folder.failure.exists():
            return DIVERGED
        if self.early or self.saved_step == self.steps:  # the last row is written before the last checkpoint
            return FINISHED
        return MAYBE_RUNNING if held is None and time.time() - self.changed < _RECENT else STOPPED

    @cached_property
    def evaluated(self) -> list[dict[str, Any]]:
        """The rows with an evaluation."""
        return [row for row in self.rows if "val_loss" in row]

    @property
    def best(self) -> dict[str, Any] | None:
        """The row with the lowest validation loss that is a number."""
        numbers = [row for row in self.evaluated if not math.isnan(row["val_loss"])]
        return min(numbers, key=lambda row: row["val_loss"], default=None)

    @property
    def last(self) -> dict[str, Any] | None:
        """The last row with a validation loss."""
        return self.evaluated[-1] if self.evaluated else None

    @property
    def seconds(self) -> float:
        """The time that it took so far."""
        return self.rows[-1].get("elapsed_s", 0.0) if self.rows else 0.0

    def as_json(self) -> dict[str, Any]:
        """What is known of the run, for programs. A number that is not finite, which JSON does not have, is None."""
        best, last = self.best or {}, self.last or {}
        return {
            "path": str(self.path),
            "state": self.state,
            "problem": self.problem or None,
            "task": self.task or None,
            "preset": self.written.get("preset"),
            "corpus": self.corpus or None,
            "parameters": self.written.get("parameters"),
            "step": self.step,
            "steps": self.steps,
            "best_val_loss": _finite(best.get("val_loss")),
            "best_step": best.get("step"),
            "val_loss": _finite(last.get("val_loss")),
            "train_loss": _finite(self.rows[-1]["train_loss"]) if self.rows else None,
            "seconds": self.seconds,
            "changed": self.changed,
            "extensions": self.written.get("extensions", []),
        }


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def find_runs(folder: Path) -> list[ListedRun]:
    """The runs in a folder and in the folders in it, the one that changed last first. A damaged one says so.

    Raises UserError if there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    return sorted(map(_read_any, _run_folders(folder, _DEEPEST)), key=lambda run: run.changed, reverse=True)


def runs_at(path: Path) -> list[ListedRun]:
    """The run in a folder, or the runs in it, by name. Raises UserError for a damaged one, and if there is none."""
    if not path.is_dir():
        raise UserError(f"there is no run folder {path}")
    return [ListedRun.read(found) for found in list(_run_folders(path, _DEEPEST)) or [path]]


def _read_any(path: Path) -> ListedRun:
    try:
        found = ListedRun.read(path)
        return replace(found, problem="; ".join(found.damage()))
    except UserError as error:
        return ListedRun(RunFolder(path), problem=str(error))


def _run_folders(folder: Path, deepest: int) -> Iterator[Path]:
    """The folders, this one and those in it, that look like a run: by config.json, or by what else a run leaves."""
    run = RunFolder(folder)
    if run.config.exists():
        if not _is_hugging_face(run):
            yield folder
    elif has_rows(run.metrics) or run.checkpoint.exists():
        yield folder
    elif deepest:
        try:
            inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError as error:
            raise UserError(f"cannot read the folder {folder}: {reason(error)}") from None
        for path in inside:
            yield from _run_folders(path, deepest - 1)


def _is_hugging_face(run: RunFolder) -> bool:
    try:
        return "model_type" in read_json(run.config)
    except UserError:
        return False
