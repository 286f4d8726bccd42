"""Exercises: files that a learner completes, a checker that says what is wrong with them and why, and hints in steps.

    tinygrad-gpt exercise start softmax      writes softmax.py; the learner completes it
    tinygrad-gpt exercise check softmax.py   the verdict, the mistake by its name, the worst place

    from tinygrad_gpt import exercises

    exercises.check(my_pair, "softmax")      # the same in Python; in a notebook the report is drawn

    exercise.py  an exercise, as its folder describes it
    cutting.py   one source, two files: the stub and the solution
    writing.py   what checks.py of an exercise is written with
    kinds.py     the one protocol of all kinds
    pairs.py     kind pair
    checked.py   the other kinds
    verdict.py   what is said of a learner's file, as text and as HTML
    hints.py     the ladder of hints
    learner.py   a learner's file
    progress.py  what a learner has done
    training.py  a small GPT on a learner's op, or on a mistake, beside the package's own
    verify.py    are the exercises themselves right?
    bank/        the exercises, a folder each

**How an exercise is written.** A folder bank/ID holds

    exercise.toml   what it is
    source.py       one source with markers, from which the stub and the solution are cut (cutting.py)
    hints.md        the hints, one section for each step
    wheat_*.py      other right versions, as whole files; the docstring's first line says what each does otherwise
    checks.py       for every kind but pair: cases and wrong versions (writing.py)

and `tinygrad-gpt exercise verify ID` says whether it is right. (`tinygrad-gpt exercise verify --bank FOLDER` asks that
of a folder of exercises elsewhere.)

exercise.toml:

    id = "softmax"         # the folder's name: progress hangs on it, and the learner's file is ID.py
    title = "Softmax, backwards"
    kind = "pair"          # see below
    lesson = 0             # the lesson that it belongs to (tinygrad-gpt lesson), 0 for none
    minutes = 15
    difficulty = 2         # of 5
    op = "softmax"         # kind pair: an op of the package
    function = "step"      # other kinds: the name of what the learner writes (a class too); not for predict, diagnose
    needs = ["exp"]        # exercises to do before, by id
    mistakes = ["S01"]     # that verify proves to be named: of check/mistakes, or for other kinds of checks.py
    [train]                # kind pair: settings of the small GPT that `exercise train` trains, where it needs some
    activation = "tanh"
    [answers]              # kinds predict, diagnose: question -> the hash of its answer, which verify tells
    loss_at_start = "5e9c..."

source.py begins with a docstring: the title, what is given, what is to be returned, the forward equation; not how. It
is all that a learner reads, so it stands alone: it imports NumPy, and for kinds probe and tests what it must.
Everything but the part to be written is there and right. Between `# BEGIN SOLUTION` and `# END SOLUTION`, each alone
on a line, stands what the learner writes; the stub raises NotImplementedError there, or has the `# STUB:` lines of
that place. No line of the solution of 12 characters or more may stand elsewhere in the stub or in an early hint. For
kind pair the file is a pair as everywhere: forward(*arrays, **settings) -> (y, saved), backward(dy, saved) -> a tuple;
forward takes all settings of the op with their defaults (`tinygrad-gpt op NAME`), and saves what it likes.

hints.md has three sections, each a few lines of plain text:

    ## look           a question that leads there
    ## why            the reason, with the learner's own shapes and numbers
    ## derivation     one line of the derivation, next to the solution but not in its letters
    ## look S01, ## why S01    in place of what the bank says of that mistake, where the exercise can say it better

Where a mistake has a name, "look" is the bank's question, and "why" the bank's reason with the exercise's "why" below
it. An {expression} is replaced by its value in the learner's worst case. Of a pair the names are those of the op's
inputs and settings, y, dy, got (the learner's gradient of the input that is wrong), right, at (the place where they
differ most, as a list of indices: x[tuple(at)]), case (its name), and np; of
the other kinds the parameters of the function, got, right, case and np. A paragraph with an expression that has no
value is left out, so a hint also reads well without it. Cases have any number of axes: {x.shape} always works, {x[0]}
nearly always.

**Kinds.** All but pair have a checks.py. It defines cases(), which yields Case(name, arguments, right): always the same
ones, in fresh arrays, small. right comes from the package (its optimiser, its tokenizer), so that the solution is
proved against it. Wrong versions are functions with the signature of the learner's, made by @wrong(id, sentence, why=,
look=); five or so, each as a learner writes it. They must differ from each other in some case, so cases should be such
that every mistake shows. Ids are two letters of the exercise and a number ("KV01"), unique in the bank, or one of
check/mistakes whose mistake it is. TOLERANCE = 1e-7 may be set, and ITEM = "gradient", what
one of a list is called. run(module, *arguments) may be defined where a case is
more than a call of the function: it does what it likes with the learner's module, and returns the outcome.

    pair           an op; cases and mistakes are the op's. No checks.py
    function       a function or a class; the outcome is what it returns: numbers, arrays, texts, lists and dictionaries
                   of them, or that it raises (right = Raised("ValueError", ""), of checked.py)
    intermediates  a function that returns a dictionary of named arrays, in the order of computation; the first of them
                   that is wrong is named. right is such a dictionary
    tests          the learner's function takes what a case gives it, and objects by AssertionError; right says whether
                   it should. pairs_of("softmax", ("S01", "S02")) yields (name, pair, right), right pairs and wrong ones
    probe          the same, for a function that returns what it found: a list, or a bool
    predict        the stub holds ANSWERS = {"loss_at_start": ..., }; the solution computes them. A float counts with
                   two digits, give or take one in the last; a text without regard to capitals
    diagnose       the same; the docstring shows the symptoms of broken runs, and the answers are ids out of a list
                   there. Wrong versions of both return {question: a wrong answer that is often given}
"""

from types import SimpleNamespace
from typing import Any

from tinygrad_gpt.exercises import kinds
from tinygrad_gpt.exercises.exercise import Exercise, find, read_bank
from tinygrad_gpt.exercises.verdict import Verdict

__all__ = ["Exercise", "Verdict", "check", "find", "read_bank"]


def check(work: Any, id: str) -> Verdict:
    """Check work for the exercise of this id: a module, an object with the functions that the exercise asks for, or
    the function itself; of a pair (forward, backward). The Verdict prints as the command does, and in a notebook it is
    drawn.

    Raises UserError for an id that is not known.
    """
    exercise = find(id)
    if exercise.kind == "pair" and isinstance(work, tuple) and len(work) == 2:
        work = SimpleNamespace(forward=work[0], backward=work[1])
    if exercise.function and not hasattr(work, exercise.function) and callable(work):
        work = SimpleNamespace(**{exercise.function: work})
    return kinds.check(exercise, work)
