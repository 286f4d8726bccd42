"""doctor.png: the numbers that the rules read, over the steps."""

import math
from pathlib import Path
from typing import Any

from tinygrad_gpt.files.plots import save_figure
from tinygrad_gpt.health.checkup import Checkup
from tinygrad_gpt.health.snapshot import has_snapshot


def plot_checkup(checkup: Checkup, path: Path) -> bool:
    """Draw a run's losses, learning rate, gradients by block and predictions. Returns False, and says why, if it
    cannot."""

    def fill(figure) -> None:
        loss, gradients, predictions, rate = figure.subplots(2, 2, sharex=True).flat
        _plot_losses(loss, checkup)
        _plot_gradients(gradients, checkup)
        _plot_predictions(predictions, checkup)
        _curve(rate, checkup.rows, "lr")
        rate.set(title="learning rate", xlabel="step")
        for axes in (loss, gradients, predictions, rate):
            axes.grid(alpha=0.3)

    return save_figure(path, fill, (11, 7))


def draw_losses(axes, rows: list[dict[str, Any]], label_smoothing: float = 0.0) -> None:
    """Draw the training loss, which may have label smoothing, and the validation loss over the steps."""
    smoothed = f", with label smoothing {label_smoothing:g}" if label_smoothing else ""
    _curve(axes, rows, "train_loss", linewidth=1, label=f"training{smoothed}")
    _curve(axes, [row for row in rows if "val_loss" in row], "val_loss", marker="o", label="validation")


def _curve(axes, rows: list[dict[str, Any]], name: str, **style) -> None:
    """Draw one number of each row over the steps, with gaps where it is missing."""
    axes.plot([row["step"] for row in rows], [row.get(name, math.nan) for row in rows], **style)


def _plot_losses(axes, checkup: Checkup) -> None:
    plan = checkup.plan
    draw_losses(axes, checkup.rows, plan.label_smoothing)
    if plan.part is not None:
        _curve(axes, checkup.rows, plan.answers_loss, linewidth=1, label=f"training, {plan.part} alone")
    if plan.choices is not None:
        axes.axhline(math.log(plan.choices), color="grey", linestyle=":", label="log V: a blind guess")
    if plan.unigram_entropy is not None:
        axes.axhline(plan.unigram_entropy, color="grey", linestyle="--", label="unigram entropy: counting answers")
    for step in sorted({finding.step for finding in checkup.findings}):
        kinds = ", ".join(finding.kind for finding in checkup.findings if finding.step == step)  # one label a line
        axes.axvline(step, color="red", alpha=0.4)
        axes.annotate(kinds, (step, 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top")
    axes.set(title="loss")
    axes.legend(fontsize="small")


def _plot_gradients(axes, checkup: Checkup) -> None:
    """Draw a line for the whole gradient, and one for each block, from the first (dark) to the last (light)."""
    snapshots = [row for row in checkup.rows if has_snapshot(row)]
    steps = [row["step"] for row in snapshots]
    layers = len(snapshots[0]["health"]["block_gradients"]) if snapshots else 0
    for i in range(layers):
        label = f"block {i + 1}" if i in (0, layers - 1) else None
        norms = [row["health"]["block_gradients"][i] for row in snapshots]
        axes.plot(steps, norms, color=(0.1, 0.2 + 0.7 * i / layers, 0.5), linewidth=1, label=label)
    _curve(axes, checkup.rows, "grad_norm", color="black", linewidth=0.7, alpha=0.5, label="all")
    axes.set(title="norm of the gradient", yscale="log")
    axes.legend(fontsize="small")


def _plot_predictions(axes, checkup: Checkup) -> None:
    rows = [row | row["health"] for row in checkup.rows if "accuracy" in row.get("health", {})]
    _curve(axes, rows, "prediction_share", label="are the commonest prediction")
    _curve(axes, rows, "accuracy", label="are right")
    if checkup.plan.commonest_share is not None:
        share = checkup.plan.commonest_share
        axes.axhline(share, color="grey", linestyle="--", label="the commonest answer's share of the data")
    axes.set(title="share of the predictions that ...", xlabel="step", ylim=(0, 1.02))
    axes.legend(fontsize="small")
