"""What a run prints while it trains: a live bar in a terminal, plain lines in a file or a pipe."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_gpt import progress
from tinygrad_gpt.train.pace import Pace

COMPILING = "compiling the kernels for this machine (once: ten seconds or more, minutes beside other work) ..."
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_UPDATES = 0.1


def make_reporter(stream=None) -> "Reporter":
    """A LiveReporter if `stream` (default: standard output) is a terminal, else a Reporter."""
    stream = stream or sys.stdout
    return LiveReporter() if stream.isatty() else Reporter(stream)


class Reporter:
    """Plain lines: one for each evaluation, and otherwise one every ten seconds.

    unit      what the speed counts; Task.unit
    guesses   what a guess scores, by metric; Task.guesses
    smoothed  whether the training loss has label smoothing, which the others do not have
    """

    unit = "tokens"
    guesses: dict[str, float] = {}  # noqa: RUF012 - replaced, never changed
    smoothed = False

    def __init__(self, stream=None):
        self._stream = stream or sys.stdout
        self._last_line = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line."""
        print(text, file=self._stream, flush=True)

    def warn(self, text: str) -> None:
        """Print a line about something that is wrong."""
        self.note(text)

    def begin(self, steps: int, done: int) -> None:
        """Training begins; `done` of `steps` steps have been made already."""
        self.steps, self._pace = steps, Pace(steps, done)

    def compiling(self) -> None:
        """Numba has begun to compile."""
        self.note(COMPILING)

    def step(self, step: int, loss: float) -> None:
        """Step number `step` has been made. Called every step, so it must be quick."""
        self._pace.step(step)

    def row(self, row: dict[str, Any], scores: dict[str, float]) -> None:
        """A row of metrics has been written; `scores`: the results of its evaluation, {} without one."""
        if scores:
            self._pace.evaluation()
        now = time.monotonic()
        if scores or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.note(self._described(row, scores) + self._time_left(row["step"]))

    def validating(self, done: int, total: int) -> None:
        """An evaluation has read `done` of `total`: with a large model it takes minutes."""
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.note(_validating(done, total))

    def end(self) -> None:
        """Training has ended, with or without an error."""

    def _described(self, row: dict[str, Any], scores: dict[str, float]) -> str:
        return describe(row, scores, self.steps, self.unit, self.guesses, self.smoothed)

    def _time_left(self, step: int) -> str:
        seconds = self._pace.seconds_left()
        return "" if seconds is None or step == self.steps else f"  {clock(seconds)} left"


class LiveReporter(Reporter):
    """A live bar, with a line above it for each evaluation."""

    def __init__(self, console=None):
        """`console`: a rich Console; by default one on standard output."""
        from rich.console import Console

        super().__init__()
        self._console = console or Console()
        self._bar: Any = None  # rich's Progress

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def begin(self, steps: int, done: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        super().begin(steps, done)
        self._bar = Progress(
            BarColumn(),
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[status]}"),
            console=self._console,
            refresh_per_second=4,
            transient=True,
        )
        self._task = self._bar.add_task("", total=steps, completed=done, status="")
        self._updated_at, self._speed = 0.0, ""
        self._bar.start()

    def compiling(self) -> None:
        self._bar.update(self._task, status=COMPILING)

    def step(self, step: int, loss: float) -> None:
        super().step(step, loss)
        now = time.monotonic()
        if now - self._updated_at >= _SECONDS_BETWEEN_UPDATES or step == self.steps:
            self._updated_at = now
            self._bar.update(self._task, completed=step, status=f"loss {loss:.3f}{self._speed}{self._time_left(step)}")

    def row(self, row: dict[str, Any], scores: dict[str, float]) -> None:
        self._speed = f"  {thousands(row[f'{self.unit}_per_s'])} {self.unit}/s"
        if scores:
            self._pace.evaluation()
            self._console.print(self._with_bold_scores(self._described(row, scores), scores), soft_wrap=True)

    @staticmethod
    def _with_bold_scores(line: str, scores: dict[str, float]):
        """The line as rich's Text, in which what was measured on held-out data stands out."""
        from rich.text import Text

        text = Text(line)
        text.highlight_words([_shown(name, value) for name, value in scores.items()], "bold")
        return text

    def validating(self, done: int, total: int) -> None:
        self._bar.update(self._task, status=_validating(done, total))

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def reading_bar(stream=None, unit: str = "tokens") -> Iterator[progress.Progress]:
    """A callback (tokens so far, tokens in all) that shows in a bar how far a text has been read. It shows nothing if
    `stream` (default: standard error) is not a terminal. What is printed meanwhile stays on standard output.

    unit  what is counted, in the place of tokens
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        yield progress.no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = BarColumn(), TextColumn("{task.fields[status]}"), TimeRemainingColumn(compact=True)
    began = time.monotonic()
    console = Console(file=stream)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None, status="")

        def show(done: int, total: int) -> None:
            speed = thousands(done / max(time.monotonic() - began, 1e-9))
            status = f"{thousands(done)} of {thousands(total)} {unit}  {speed} {unit}/s"
            bar.update(task, completed=done, total=total, status=status)

        yield show


def _validating(done: int, total: int) -> str:
    return f"evaluating: {thousands(done)} of {thousands(total)}"


def describe(
    row: dict[str, Any],
    scores: dict[str, float],
    steps: int,
    unit: str = "tokens",
    guesses: dict[str, float] | None = None,
    smoothed: bool = False,
) -> str:
    """A row of metrics as a line with all losses and scores, and beside them what a guess scores, and which loss has
    label smoothing."""
    losses = {name: row[name] for name in row if name.endswith("_loss")} | scores
    beside = {name: f" (a guess: {value:.3f})" for name, value in (guesses or {}).items()}
    beside |= {"train_loss": " (smoothed)"} if smoothed else {}
    shown = "".join(f"  {_shown(name, value)}{beside.get(name, '')}" for name, value in losses.items())
    return f"step {row['step']:>{len(str(steps))}}/{steps}{shown}  {thousands(row[f'{unit}_per_s'])} {unit}/s"


def _shown(name: str, value: float) -> str:
    return f"{name.removesuffix('_loss')} {value:.3f}"


def thousands(n: float) -> str:
    """1234567 as 1.2M, 31415 as 31k, 271 as 271."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.1f}{letter}" if n < 10 * size else f"{n / size:.0f}{letter}"
    return f"{n:.0f}"


def clock(seconds: float) -> str:
    """3723 as 1:02:03, 65 as 1:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
