"""metrics.jsonl: one JSON object per row, and loss.png drawn from it.

step          how many updates had been made
train_loss    mean over the steps since the row before
NAME_loss     the same for each named part of the task's loss
val_loss      and what else the task measures (Task.metrics), only where it was measured
lr            learning rate of the step
grad_norm     norm of the gradient, before clipping
tokens_per_s  training speed since the row before, evaluation and saving not counted
elapsed_s     time spent on the run so far, in all its sittings
health        with --health: loss_first and loss_max of the steps since the row before; every 50 steps or so also what a
              look into the model saw (health/snapshot.py), and "findings" where there were new ones
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import json_bytes, parse_json
from tinygrad_gpt.files.plots import Say, plot
from tinygrad_gpt.files.storage import read_file, reason, replacing
from tinygrad_gpt.health.snapshot import check_snapshot, has_snapshot

_LARGEST = 1 << 30  # bytes of a metrics.jsonl
_NUMBERS = ("val_loss", "lr", "grad_norm", "tokens_per_s", "elapsed_s")
_ROW = {"step": int, "train_loss": float, "health?": {"loss_first?": float, "loss_max?": float, "findings?": [dict]}}
_ROW |= {f"{name}?": float for name in _NUMBERS}


class MetricsLog:
    """The open metrics.jsonl of a run. Rows reach the file at once, so that it can be watched."""

    def __init__(self, path: Path, step: int):
        """Go on after the rows of steps 1 .. step. Later rows, left by a run that was killed, will be made again.
        Raises UserError when the system refuses, and for damaged rows."""
        self.path = path
        rows = [row for row in read_metrics(path) if row["step"] <= step]
        with replacing(path) as file:
            file.write(b"".join(json_bytes(row) + b"\n" for row in rows))
        try:
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open for as long as the run)
        except OSError as error:
            raise _refused(path, error) from error

    def append(self, row: dict[str, Any]) -> None:
        """Write one row. Raises UserError when the system refuses."""
        try:
            self._file.write(json_bytes(row).decode() + "\n")
            self._file.flush()
        except OSError as error:
            raise _refused(self.path, error) from error

    def sync(self) -> None:
        """Make sure that the rows are on the disk, not only on their way."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _refused(self.path, error) from error

    def close(self) -> None:
        with suppress(OSError):  # what could not be flushed has been told already
            self._file.close()


def read_metrics(path: Path, also: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, [] if there is none. A last line that was only half written is left out.

    also  a schema (see json_files.py) of what each row has besides

    Raises UserError for any other line that is no row, and for a file that cannot be read. All looks into a model have
    as many blocks.
    """
    if not path.exists():
        return []
    rows, layers = [], None
    lines = read_file(path, _LARGEST).split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line, "it", _ROW | (also or {}), finite=False)
            if has_snapshot(row):
                layers = check_snapshot(row, layers)
            rows.append(row)
        except UserError as error:
            if number < len(lines):  # else nothing follows the last line end, or half a row
                what = in_short(line[:60].decode("utf-8", "backslashreplace"))
                raise UserError(f"{path}, line {number}: this is no row of metrics: {what!r}: {error}") from None
    return rows


def plot_losses(rows: list[dict[str, Any]], path: Path, say: Say = print) -> bool:
    """Draw the training and validation loss over the steps. Returns False, and says why, where that cannot be."""

    def draw(axes) -> None:
        axes.plot([row["step"] for row in rows], [row["train_loss"] for row in rows], linewidth=1, label="training")
        measured = [row for row in rows if "val_loss" in row]
        axes.plot([r["step"] for r in measured], [r["val_loss"] for r in measured], marker="o", label="validation")
        axes.set(xlabel="step", ylabel="loss")

    return plot(path, draw, say)


def _refused(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {reason(error)}")
