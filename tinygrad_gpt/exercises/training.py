"""A small GPT trained twice from the same seed: on the package's own op, and on a learner's, or on a mistake.

Which mistakes learn nonetheless no test can tell.
"""

import inspect
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt.check.mistakes import Mistake
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.exercises.exercise import Exercise
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.train import any_run, user_ops
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.user_ops import UserPair

STEPS = 300
LINES = 3000  # of the text
SETTINGS = dict(steps=STEPS, log_interval=10, eval_interval=100, checkpoint_interval=STEPS, batch_size=16, lr=3e-3)
_WORDS = (
    "the",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "a",
    "mat",
    "log",
    "and",
    "saw",
    "that",
    "old",
    "big",
    "red",
)


@dataclass(frozen=True)
class Curve:
    """A training: its rows of (step, training loss), and the loss on held-out text at the end; nan if it diverged."""

    name: str
    rows: tuple[tuple[int, float], ...]
    final: float


def letters() -> str:
    """A text to train on without any download: words in random order, always the same."""
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(_WORDS, size=rng.integers(4, 9))) for _ in range(LINES)]
    return ".\n".join(lines) + ".\n"


def pair_of(exercise: Exercise, file: Path, module: Any, source: bytes) -> UserPair:
    """A learner's file as a pair that trains in the place of the exercise's op."""
    return UserPair(exercise.op, file, source, "", module.forward, module.backward, None)


def pair_of_mistake(exercise: Exercise, mistake: Mistake) -> UserPair:
    """A mistake of the bank, as the file that a learner might have written."""
    source = inspect.getsource(mistake.backward or mistake.forward).encode()
    return pair_of(exercise, Path(f"{mistake.id}.py"), mistake.pair(), source)


def train(name: str, settings: dict[str, Any], pairs: list[UserPair], reporter) -> Curve:
    """Train the preset tiny on `letters`, with these pairs in place of the package's. What a run keeps is thrown away.

    Raises UserError for a pair that the model never runs.
    """
    with tempfile.TemporaryDirectory() as place, installed(pairs):
        text = Path(place) / "letters.txt"
        text.write_text(letters(), encoding="utf-8")
        chosen = any_run.resolve("tiny", SETTINGS | {"corpus": str(text)} | settings)
        run = any_run.start(chosen, Path(place) / "run", tuple(pairs))
        watched = user_ops.FirstStep(reporter, pairs, force=False) if pairs else reporter
        try:
            run.trainer.run(watched)  # not run.train, which draws the losses too
        except UserError as error:
            if isinstance(error, user_ops.NeverRanError):
                raise
            reporter.note(f"{name}: {error}")  # its loss is no number any more
        finally:
            run.close()
        rows = read_metrics(run.folder.metrics) if run.folder.metrics.exists() else []
    losses = tuple((row["step"], row["train_loss"]) for row in rows)
    final = next((row["val_loss"] for row in reversed(rows) if "val_loss" in row), float("nan"))
    return Curve(name, losses, final if rows and rows[-1]["step"] == chosen.train.steps else float("nan"))


@contextmanager
def installed(pairs: list[UserPair]):
    """Within this block the ops run these pairs."""
    versions = user_ops.install(pairs)
    try:
        yield
    finally:
        for version in versions:
            registry.unregister(version)


def drawn(curves: list[Curve], width: int = 60, height: int = 12) -> str:
    """The training losses as a plot of letters, a mark for each curve; + where two meet."""
    marks = "ox*"
    points = [(step, loss, mark) for curve, mark in zip(curves, marks, strict=False) for step, loss in curve.rows]
    points = [point for point in points if np.isfinite(point[1])]
    if not points:
        return "no step ended with a number"
    last, low, high = max(p[0] for p in points), min(p[1] for p in points), max(p[1] for p in points)
    grid = [[" "] * width for _ in range(height)]
    for step, loss, mark in points:
        row = round((high - loss) / (high - low or 1) * (height - 1))
        column = min(width - 1, int(step / last * width))
        grid[row][column] = mark if grid[row][column] in (" ", mark) else "+"
    names = {0: f"{high:.2f}", height - 1: f"{low:.2f}"}
    lines = [f"{names.get(k, ''):>6} |{''.join(row)}".rstrip() for k, row in enumerate(grid)]
    legend = "   ".join(f"{mark} {curve.name}" for curve, mark in zip(curves, marks, strict=False))
    legend += "   + both" * any("+" in row for row in grid)
    return "\n".join([*lines, f"{'':>6} +{'-' * width}", f"{'':>8}step 0 .. {last}   {legend}"])


def draw_on(axes: Any, curves: list[Curve]) -> None:
    """The same on matplotlib's axes."""
    for curve in curves:
        axes.plot(*zip(*curve.rows, strict=True), label=curve.name)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")


def in_words(curves: list[Curve], show: Callable[[float], str] = "{:.3f}".format) -> str:
    """The losses at the end, in a line."""
    ends = [f"{c.name} {show(c.final)}" if np.isfinite(c.final) else f"{c.name} diverged" for c in curves]
    return f"loss on held-out text after {max(c.rows[-1][0] for c in curves if c.rows)} steps: {', '.join(ends)}"
