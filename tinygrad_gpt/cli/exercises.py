"""`tinygrad-gpt exercise`: list, start, check, watch, hint, solution, train, next, verify."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.cli.help import Command, Group
from tinygrad_gpt.errors import UserError

app = typer.Typer(
    cls=Group,
    help="Exercises: complete a file, and be told what is wrong with it, and why. Begin with `exercise start`.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="an exercise; see `exercise list`", show_default=False)]
File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE|ID]", help="your file, or its exercise", show_default="the last exercise's"),
]
NoNames = Annotated[bool, typer.Option("--no-names", help="don't name the mistake: a hint tells it")]


@app.command(name="list", cls=Command)
def list_() -> None:
    """List the exercises, and how far you are."""
    from tinygrad_gpt.cli.tables import print_table
    from tinygrad_gpt.exercises.exercise import read_bank
    from tinygrad_gpt.exercises.progress import Progress

    progress, rows = Progress(), []
    for e in read_bank().values():
        level, state = f"{e.difficulty} of 5", progress.of(e.id).state or "-"
        rows.append((e.id, e.title, e.kind, str(e.lesson or "-"), str(e.minutes), level, state))
    heads = ("id", "title", "kind", "lesson", "min", "difficulty", "state")
    print_table(heads, rows, less=("kind", "difficulty", "lesson", "min"))
    of = _next(progress)
    print(f"\nnext: {_command_for(of, progress)}" if of else "\nall exercises are done")


@app.command(cls=Command)
def start(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="an exercise", show_default="the next one")] = None,
) -> None:
    """Write an exercise's file into this folder, to complete. A file that is there stays."""
    from tinygrad_gpt.cli.reporting import exercise
    from tinygrad_gpt.exercises.exercise import find
    from tinygrad_gpt.exercises.progress import STARTED, Progress
    from tinygrad_gpt.files.storage import replacing

    progress = Progress()
    of = find(id) if id else _next(progress)
    if of is None:
        raise UserError("all exercises are done: name the one to start again")
    path = Path(of.file_name)
    if path.exists():
        raise UserError(f"{path} is here already: move it away to begin anew, or check it: `{exercise('check', path)}`")
    with replacing(path) as file:
        file.write(of.cut.stub.encode())
    progress.note(of.id, state=progress.of(of.id).state or STARTED, text=of.hash, file=str(path))
    print(f"written: {path}   {of.title} ({of.minutes} minutes)")
    print(f"\n  complete {_listed(of.cut.blanks) or 'it'} in an editor; then\n  {exercise('check', path)}")
    print(f"  {exercise('watch', path)}   checks at every save")


@app.command(cls=Command)
def check(file: File = None, no_names: NoNames = False) -> int:
    """Check your file: what is right, what is wrong and where, and the mistake by its name.

    Status 0: right; 1: wrong, or not written yet.
    """
    from tinygrad_gpt.cli.reporting import check_file, file_to_check
    from tinygrad_gpt.exercises.learner import NotPythonError
    from tinygrad_gpt.exercises.progress import Progress

    progress = Progress()
    path = file_to_check(file, progress)
    try:
        return 0 if check_file(path, progress, not no_names).ok else 1
    except NotPythonError as error:
        print(error.excerpt, file=sys.stderr)
        raise


@app.command(cls=Command)
def watch(file: File = None, no_names: NoNames = False) -> int:
    """Check your file at every save, until Ctrl-C. Keys: n next, h hint, s solution, l list, q quit."""
    from tinygrad_gpt.cli.reporting import file_to_check
    from tinygrad_gpt.cli.watching import watch_file
    from tinygrad_gpt.exercises.progress import Progress

    actions = {"n": next_, "h": hint, "s": solution, "l": list_}
    return watch_file(file_to_check(file, Progress()), not no_names, actions)


@app.command(cls=Command)
def hint(id: Id) -> None:
    """One step further: a question, then why with your own numbers, then a line of the derivation."""
    from tinygrad_gpt.cli.reporting import exercise, mistake_of, next_step, one_further
    from tinygrad_gpt.exercises.exercise import find
    from tinygrad_gpt.exercises.progress import Progress

    of, progress = find(id), Progress()
    verdict, record = _verdict_on(of, progress), progress.of(of.id)
    if verdict and verdict.ok:
        print(f"{of.id} is right already: `{exercise('solution', of.id)}` shows yours and ours")
        return
    steps, taken, more = next_step(of, verdict, record)
    for step in steps[:taken]:
        print(f"{step.name}\n{_inset(step.text)}\n")
    record = progress.note(of.id, hints=record.hints + more, step=taken, mistake=mistake_of(verdict))
    if taken < len(steps):
        print(one_further(of, verdict, record))
    else:
        print(f"  that was all; {exercise('solution', of.id, '--give-up')}   shows the solution")


@app.command(cls=Command)
def solution(
    id: Id,
    give_up: Annotated[bool, typer.Option("--give-up", help="show it although yours is not right yet")] = False,
) -> None:
    """Show the solution, beside yours once that is right."""
    from tinygrad_gpt.cli.reporting import exercise, side_by_side
    from tinygrad_gpt.exercises import learner
    from tinygrad_gpt.exercises.exercise import find
    from tinygrad_gpt.exercises.progress import DONE, GAVE_UP, Progress

    of, progress = find(id), Progress()
    record = progress.of(of.id)
    if record.state not in (DONE, GAVE_UP) and not give_up:
        raise UserError(
            f"{of.id} is not done yet: `{exercise('hint', of.id)}` goes one step further, and "
            f"`{exercise('solution', of.id, '--give-up')}` shows it"
        )
    path = Path(record.file or of.file_name)
    verdict = _verdict_on(of, progress)
    if verdict and verdict.ok:
        side_by_side(of, learner.text_of(path), learner.load(path))
        return
    print(learner.parts_of(of.cut.solution, of.cut.blanks))
    if record.state != DONE:
        progress.note(of.id, state=GAVE_UP)


@app.command(cls=Command)
def train(
    file: Annotated[Path, typer.Argument(metavar="FILE|ID", help="your file, or an exercise", show_default=False)],
    wrong: Annotated[
        str | None, typer.Option("--wrong", metavar="ID", help="train this mistake instead", show_default=False)
    ] = None,
    plot: Annotated[
        str | None, typer.Option(help="draw the curves into this file (.png, .pdf, .svg)", show_default=False)
    ] = None,
) -> int:
    """Train a small GPT on your op, and beside it on the package's own, from the same seed.

    With --wrong S01 the mistake of this id is trained: which mistakes learn nonetheless?
    """
    from tinygrad_gpt.check import mistakes
    from tinygrad_gpt.cli.reporting import file_to_check
    from tinygrad_gpt.exercises import learner, training
    from tinygrad_gpt.exercises.exercise import find, read_bank
    from tinygrad_gpt.exercises.progress import Progress
    from tinygrad_gpt.files.plots import check_is_picture
    from tinygrad_gpt.files.plots import plot as draw
    from tinygrad_gpt.train.reporter import make_reporter

    if plot:
        check_is_picture("--plot", plot)
    named = str(file) in read_bank() and not file.exists()
    of = find(str(file)) if named else learner.exercise_of(file, read_bank())
    if of.kind != "pair":
        raise UserError(f"{of.id} is no op: a GPT trains on exercises of kind pair; `exercise list` shows the kinds")
    if wrong is not None:
        known = {mistake.id: mistake for mistake in mistakes.of(of.op)}
        if wrong not in known:
            raise UserError(f"{of.op} has no mistake {wrong}: it has {', '.join(known)}")
        mine, name = training.pair_of_mistake(of, known[wrong]), wrong
        print(f"{wrong}: {known[wrong].sentence}")
    else:
        path = file_to_check(file, Progress())
        mine, name = training.pair_of(of, path, learner.load(path), path.read_bytes()), "yours"
    reporter, curves = make_reporter(), []
    reporter.note(f"two trainings of {training.STEPS} steps, some seconds each; a minute or more beside other work")
    for who, chosen in (("ours", []), (name, [mine])):
        reporter.note(f"{who}:")
        curves.append(training.train(who, of.train, chosen, reporter))
    print(f"\n{training.drawn(curves)}\n\n{training.in_words(curves)}")
    if plot:
        draw(Path(plot), lambda axes: training.draw_on(axes, curves))
    return 0


@app.command(name="next", cls=Command)
def next_() -> None:
    """Say which exercise may come next."""
    from tinygrad_gpt.exercises.progress import Progress

    progress = Progress()
    of = _next(progress)
    if of is None:
        print("all exercises are done")
        return
    print(f"{of.id}: {of.title} (kind {of.kind}, {of.minutes} minutes, difficulty {of.difficulty} of 5)")
    print(f"\n  {_command_for(of, progress)}")


@app.command(cls=Command)
def verify(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="exercises", show_default="all")] = None,
    bank: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="exercises of your own: a folder of folders", show_default=False),
    ] = None,
) -> int:
    """Check the exercises themselves: stubs fail, solutions pass, mistakes are named as themselves.

    Status 1: one of them is not as it should be.
    """
    from tinygrad_gpt.exercises.exercise import BANK, find, read_bank
    from tinygrad_gpt.exercises.verify import problems

    place = bank or BANK
    known, bad = read_bank(place), 0
    for of in [find(id, place) for id in ids or known]:
        found = problems(of, known)
        bad += bool(found)
        counts = f"{len(of.mistakes)} mistakes, {len(of.wheats)} other right versions" if not found else "WRONG"
        print("\n  ".join([f"{of.id}: {counts}", *found]), flush=True)
    return 1 if bad else 0


def _next(progress):
    """The exercise to do next: the last one if it is not done, else the first that is not; None if all are done."""
    from tinygrad_gpt.exercises.exercise import read_bank
    from tinygrad_gpt.exercises.progress import DONE, GAVE_UP

    bank = read_bank()
    left = [of for of in bank.values() if progress.of(of.id).state not in (DONE, GAVE_UP)]  # after what they need
    return next((of for of in left if of.id == progress.last), left[0] if left else None)


def _command_for(of, progress) -> str:
    """The command to go on with an exercise: `check` where the learner has its file, else `start`."""
    from tinygrad_gpt.cli.reporting import exercise

    path = _file_of(of, progress)
    return exercise("check", path) if path.exists() else exercise("start", of.id)


def _file_of(of, progress) -> Path:
    """A learner's file for an exercise: the last one that was checked, or that of the usual name."""
    path = Path(progress.of(of.id).file or of.file_name)
    return path if path.exists() else Path(of.file_name)


def _verdict_on(of, progress):
    """The verdict on a learner's file for an exercise, as it is now; None where there is none."""
    from tinygrad_gpt.exercises import kinds, learner

    path = _file_of(of, progress)
    if not path.exists():
        return None
    with learner.silenced():
        return kinds.check(of, learner.load(path))


def _inset(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)
