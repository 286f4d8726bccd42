"""metrics.jsonl: one JSON object per row, and loss.png drawn from it.

step          how many updates had been made
train_loss    mean over the steps since the row before
val_loss      only where it was measured
lr            learning rate of the step
grad_norm     norm of the gradient, before clipping
tokens_per_s  training speed since the row before, evaluation and saving not counted
elapsed_s     time spent on the run so far, in all its sittings
health        with --health: loss_first and loss_max of the steps since the row before; every 50 steps or so also what a
              look into the model saw (health/observe.py), and "findings" where there were new ones
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.storage import replacing


class MetricsLog:
    """The open metrics.jsonl of a run. Rows reach the file at once, so that it can be watched."""

    def __init__(self, path: Path, step: int):
        """Go on after the rows of steps 1 .. step. Later rows, left by a run that was killed, will be made again."""
        self.path = path
        rows = [row for row in read_metrics(path) if row["step"] <= step]
        with replacing(path) as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open for as long as the run)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row. Raises UserError when the system refuses."""
        try:
            self._file.write(json.dumps(row) + "\n")
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
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, [] if there is none. A last line that was only half written is left out.

    Raises UserError for any other line that is no row, and for a file that cannot be read.
    """
    if not path.exists():
        return []
    rows = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            row["step"] + row["train_loss"]  # both are there, and numbers
            rows.append(row)
        except (ValueError, TypeError, KeyError):
            if number < len(lines):  # else nothing follows the last line end, or half a row
                raise UserError(f"{path}, line {number}: this is no row of metrics: {line[:60]!r}") from None
    return rows


def plot_losses(rows: list[dict[str, Any]], path: Path) -> bool:
    """Draw the training and validation loss over the steps. Returns False where matplotlib is not installed."""

    def draw(axes) -> None:
        axes.plot([row["step"] for row in rows], [row["train_loss"] for row in rows], linewidth=1, label="training")
        measured = [row for row in rows if "val_loss" in row]
        axes.plot([r["step"] for r in measured], [r["val_loss"] for r in measured], marker="o", label="validation")
        axes.set(xlabel="step", ylabel="loss (nats per token)")

    return plot(path, draw)


def plot(path: Path, draw: Callable[[Any], None]) -> bool:
    """A plot as a PNG file: `draw` gets matplotlib's axes. Returns False where matplotlib is not installed."""

    def fill(figure) -> None:
        axes = figure.subplots()
        draw(axes)
        axes.grid(alpha=0.3)
        axes.legend()

    return save_figure(path, fill, (7, 4))


def save_figure(path: Path, fill: Callable[[Any], None], size: tuple[float, float]) -> bool:
    """A figure of that size (in inches, width first) as a PNG file, atomically: `fill` gets matplotlib's Figure.
    Returns False where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    fill(figure)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
    return True


def _refused(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {error.strerror or error}")
