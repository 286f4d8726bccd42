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


def kind_of(exercise: Exercise) -> ModuleType:
    """The module with these functions for this exercise."""
    return pairs if exercise.kind == "pair" else checked


def check(exercise: Exercise, module: Any) -> Verdict:
    """What is to be said of a learner's file, or of anything with its functions."""
    if lacks := [name for name in _written(exercise) if not hasattr(module, name)]:
        judged = tuple((name, "missing", False) for name in lacks)
        return Verdict(exercise.id, WRONG, judged, places=(_lacking(lacks, module),))
    return kind_of(exercise).check(exercise, module)


def _written(exercise: Exercise) -> tuple[str, ...]:
    """What a file of the exercise defines, by name; () where it only holds answers."""
    return ("forward", "backward") if exercise.kind == "pair" else tuple(filter(None, [exercise.function]))


def _lacking(names: list[str], module: Any) -> str:
    """A line about what is not in a learner's file."""
    again = "move it away, and `exercise start` writes it again"
    if isinstance(module, ModuleType) and all(name.startswith("__") for name in vars(module)):
        return f"the file is empty: {again}"
    return f"there is no {' and no '.join(names)} in it: name them as the file did at first (or {again})"
