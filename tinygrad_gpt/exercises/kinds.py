"""The one protocol of all kinds of exercises: two modules with the same four functions.

    check(exercise, module) -> Verdict          what is to be said of a learner's file
    mistake(exercise, id) -> texts              of a mistake that a verdict names
    wrong_versions(exercise) -> {id: module}    the mistakes that the exercise lists, as code
    once(exercise, module) -> a call            the exercise's work, to be timed

A mistake has an id, a sentence, a why and a look, wherever it stands: in check/mistakes, or in an exercise's checks.py.
"""

from types import ModuleType
from typing import Any

from tinygrad_gpt.exercises import checked, pairs
from tinygrad_gpt.exercises.exercise import Exercise
from tinygrad_gpt.exercises.verdict import WRONG, Verdict

START = "`tinygrad-gpt exercise start {}`"


def kind_of(exercise: Exercise) -> ModuleType:
    """The module with these functions for this exercise."""
    return pairs if exercise.kind == "pair" else checked


def check(exercise: Exercise, module: Any) -> Verdict:
    """What is to be said of a learner's file, or of anything with its functions."""
    lacks = [name for name in _written(exercise) if not hasattr(module, name)]
    if len(lacks) == len(_written(exercise)) > 0:
        empty = isinstance(module, ModuleType) and not [name for name in vars(module) if not name.startswith("__")]
        place = f"the file is empty: {START.format(exercise.id)} writes one to complete" if empty else _lacking(lacks)
        return Verdict(exercise.id, WRONG, tuple((name, "missing", False) for name in lacks), places=(place,))
    return kind_of(exercise).check(exercise, module)


def _written(exercise: Exercise) -> tuple[str, ...]:
    """What a file of the exercise defines; () where that is up to its answers."""
    return ("forward", "backward") if exercise.kind == "pair" else tuple(filter(None, [exercise.function]))


def _lacking(names: list[str]) -> str:
    return f"there is no {' and no '.join(names)} in it: they are named as in the file that `exercise start` writes"
