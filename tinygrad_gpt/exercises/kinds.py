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
from tinygrad_gpt.exercises.verdict import Verdict


def kind_of(exercise: Exercise) -> ModuleType:
    """The module with these functions for this exercise."""
    return pairs if exercise.kind == "pair" else checked


def check(exercise: Exercise, module: Any) -> Verdict:
    """What is to be said of a learner's file, or of anything with its functions."""
    return kind_of(exercise).check(exercise, module)
