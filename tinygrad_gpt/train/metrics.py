"""metrics.jsonl: one JSON object per row, and loss.png drawn from it.

step          how many updates had been made
train_loss    mean over the steps since the row before, with label smoothing where the task has it
NAME_loss     mean of each named part of the task's loss over these steps
train_NAME    mean of what else the task measures in each step (Loss.scores), such as train_accuracy
val_loss      and the task's other metrics (Task.metrics), in rows with an evaluation, without label smoothing; in the
              last row those of the weights that the run ends with (ending.py)
lr            learning rate of the step
grad_norm     norm of the gradient, before clipping
tokens_per_s  training speed since the row before, without evaluation, saving, and steps that compiled kernels;
              rows_per_s for a task that counts rows (Task.unit)
elapsed_s     time spent on the run so far, stops not counted
health        with --health: loss_first and loss_max of the steps since the row before; every 50 steps or so also a
              snapshot of the model (health/snapshot.py); "findings" if there are new ones
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import json_bytes, parse_json
from tinygrad_gpt.files.locks import Lock, hold
from tinygrad_gpt.files.plots import Say, plot
from tinygrad_gpt.files.storage import read_file, reason
from tinygrad_gpt.health.plot import draw_losses
from tinygrad_gpt.health.snapshot import check_snapshot, has_snapshot

_LARGEST = 1 << 30  # bytes of a metrics.jsonl
_ROW = {"step": int, "train_loss": float, "health?": {"loss_first?": float, "loss_max?": float, "findings?": [dict]}}
_ROW |= dict.fromkeys(("val_loss?", "lr?", "grad_norm?", "tokens_per_s?", "rows_per_s?", "elapsed_s?"), float)


class MetricsLog:
    """The open metrics.jsonl of a run. Rows reach the file at once, so it can be watched."""

    def __init__(self, path: Path, step: int):
        """Continue after the rows of steps 1 .. step. Later rows, left by a run that was killed, are deleted: they will
        be made again. Raises UserError when the system refuses, for damaged rows, and while another process trains the
        run.

        The file is cut where it is, never replaced: it is the one that a run holds (`hold_run`)."""
        self.path = path
        self._lock: Lock | None = hold_run(path)
        kept = len([row for row in read_metrics(path) if row["step"] <= step])
        with _writing(path):
            self._file = open(path, "r+b")  # noqa: SIM115 (open for as long as the run)
            whole = b"\n".join(self._file.read().split(b"\n")[:kept])
            self._file.truncate(len(whole))
            self._file.seek(0, os.SEEK_END)
            self._file.write(b"\n" if kept else b"")
            self._file.flush()
        self._lock.in_use = True

    def append(self, row: dict[str, Any]) -> None:
        """Write one row. Raises UserError when the system refuses."""
        with _writing(self.path):
            self._file.write(json_bytes(row) + b"\n")
            self._file.flush()

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        with _writing(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with suppress(OSError):  # `append` has reported it already
            self._file.close()
        if self._lock is not None:
            self._lock.in_use = False
        self._lock = None


def hold_run(path: Path) -> Lock:
    """Hold the run whose metrics.jsonl this is, for this process: before anything of the run is written. Raises
    InUseError while another process trains it, and UserError when the system refuses."""
    with _writing(path):
        lock = hold(path)
    if lock is None:
        raise InUseError(f"another process trains this run now, and writes {path}: wait for it, or stop it first")
    return lock


class InUseError(UserError):
    """A run that another process trains."""


class NoMetricsLog:
    """In place of a MetricsLog, for a run without a folder: keeps nothing."""

    def append(self, row: dict[str, Any]) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


def read_metrics(path: Path, also: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, [] if there is none. A last line that was only half written is left out.

    also  a schema (see json_files.py) of further fields of each row

    Raises UserError for any other line that is not a row, for snapshots of different numbers of blocks, and for a file
    that cannot be read.
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
            if number < len(lines):  # after the last line end stands nothing, or half a row
                what = in_short(line[:60].decode("utf-8", "backslashreplace"))
                raise UserError(f"{path}, line {number}: this is not a row of metrics: {what!r}: {error}") from None
    return rows


def has_rows(path: Path) -> bool:
    """Whether there is a metrics.jsonl, and anything in it."""
    return path.is_file() and path.stat().st_size > 0


def plot_losses(rows: list[dict[str, Any]], path: Path, say: Say = print, label_smoothing: float = 0.0) -> bool:
    """Draw the training loss, which may have label smoothing, and the validation loss over the steps. Returns False,
    and says why, if it cannot."""

    def draw(axes) -> None:
        draw_losses(axes, rows, label_smoothing)
        axes.set(xlabel="step", ylabel="loss")

    return plot(path, draw, say)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Inside this block, the system's refusal is a UserError that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error
