"""What the commands of `exercise` share: a learner's file checked, and what is said of it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.exercises import kinds, learner
from tinygrad_gpt.exercises.exercise import Exercise, find, read_bank
from tinygrad_gpt.exercises.hints import Step, ladder
from tinygrad_gpt.exercises.progress import DONE, GAVE_UP, TRIED, Progress, Record
from tinygrad_gpt.exercises.verdict import UNWRITTEN, Verdict
from tinygrad_gpt.styled import show

_ENOUGH = 0.1  # seconds that a call is timed
_PRINTED = 5  # lines of what a learner's code prints
_WIDE = 50  # columns that one of two versions needs side by side


def exercise(*words: Any) -> str:
    """A command to copy."""
    return command("tinygrad-gpt", "exercise", *words)


def file_to_check(given: Path | None, progress: Progress) -> Path:
    """The file that the learner means: the one given, or that of an id; without either the last one. Raises UserError
    where there is none."""
    if given is None:
        last = progress.of(progress.last).file if progress.last else ""
        if not last:
            raise UserError(f"expected a file to check: `{exercise('start')}` writes the first one")
        given = Path(last)
        if not given.exists():
            raise UserError(f"{given}, the last exercise's file, is not there: name the file to check")
    if not given.exists() and str(given) in read_bank():
        given = Path(find(str(given)).file_name)
    if not given.exists():
        start = f": `{exercise('start', given.stem)}` writes it" if given.stem in read_bank() else ""
        raise UserError(f"there is no file {given}{start}")
    return given


def check_file(path: Path, progress: Progress, names: bool = True) -> Verdict:
    """Check a learner's file, print what is found, and note it."""
    of = learner.exercise_of(path, read_bank())
    with learner.silenced() as said:
        module = learner.load(path)
        verdict = kinds.check(of, module)
    _show_printed(path, said.getvalue())
    record = progress.of(of.id)
    if record.text and record.text != of.hash:
        print(f"the text of {of.id} has changed since you started it; your file stays as it is\n")
    show(verdict.lines(names))
    state = DONE if verdict.ok else GAVE_UP if record.state == GAVE_UP else TRIED
    state = DONE if record.state == DONE else state
    again = record.mistake == mistake_of(verdict) and record.names == names
    record = progress.note(
        of.id, state=state, names=names, file=str(path), text=record.text or of.hash, step=record.step if again else 0
    )
    print()
    if verdict.ok:
        _praise(of, path, module)
    elif verdict.state == UNWRITTEN:
        print(f"  write what {path} leaves open, and check again   ({exercise('hint', of.id)})")
    else:
        print(one_further(of, verdict, record))
    return verdict


def _show_printed(path: Path, said: str) -> None:
    """What a learner's code printed, each line once, and the first of them only."""
    lines = list(dict.fromkeys(line for line in said.splitlines() if line.strip()))
    if lines:
        more = [f"and {len(lines) - _PRINTED} more lines"] * (len(lines) > _PRINTED)
        shown = "\n".join([*lines[:_PRINTED], *more])
        print(f"{path} prints:\n{_inset(shown)}\n")


def mistake_of(verdict: Verdict | None) -> str:
    """What the ladder stands on: the mistakes that were named."""
    return " ".join(mistake.id for mistake in verdict.named) if verdict else ""


def one_further(of: Exercise, verdict: Verdict | None, record: Record) -> str:
    """The command for the next hint, and how many of them the learner has asked for."""
    count = f"{record.step} of {len(ladder(of, verdict, record.names))}"
    return f"  {exercise('hint', of.id)}   one step further ({count} taken)"


def next_step(of: Exercise, verdict: Verdict | None, record: Record) -> tuple[list[Step], int, bool]:
    """The steps of the ladder, how many are taken once one more is, and whether there was one more."""
    steps = ladder(of, verdict, record.names)
    before = record.step if record.mistake == mistake_of(verdict) else 0
    return steps, min(before + 1, len(steps)), before < len(steps)


def _praise(of: Exercise, path: Path, module: Any) -> None:
    """After passing: both versions and their times, and what to do next."""
    side_by_side(of, learner.text_of(path), module)
    print(f"\n  {exercise('next')}   what may come now")


def side_by_side(of: Exercise, text: str, module: Any) -> None:
    """A learner's version and the exercise's, each with its time, and how many other ways there are."""
    parts = {"yours": learner.parts_of(text, of.cut.blanks)}
    parts["ours"] = learner.parts_of(of.cut.solution, of.cut.blanks)
    times = {"yours": _milliseconds(of, module), "ours": _milliseconds(of, of.solution)}
    heads = {who: f"{who}, {times[who]}" if times[who] else who for who in parts}
    _columns({heads[who]: code for who, code in parts.items()})
    if count := len(of.wheats):
        print("\n    ".join([f"\n  {count} other right way{'s' * (count > 1)}", *of.wheats]))


def _columns(parts: dict[str, str]) -> None:
    """Texts side by side where the terminal has room, else one below the other."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not sys.stdout.isatty() or console.width < 2 * _WIDE:
        print("\n\n".join(f"  {head}:\n{_inset(text)}" for head, text in parts.items()))
        return
    table = Table(*parts, box=None, padding=(0, 2))
    table.add_row(*map(Text, parts.values()))
    console.print(table)


def _inset(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _milliseconds(of: Exercise, module: Any) -> str:
    """The best time of the exercise's work, as text; "" where there is nothing to time."""
    if of.answers:
        return ""
    with learner.silenced():
        return f"{1e3 * best_time(kinds.kind_of(of).once(of, module)):.3g} ms"


def best_time(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """The least seconds of several calls."""
    began, best = clock(), float("inf")
    while clock() - began < _ENOUGH:
        start = clock()
        call()
        best = min(best, clock() - start)
    return best
