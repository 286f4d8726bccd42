"""The ladder: from what `check` says to the solution, one step at a time.

    0  the verdict and the worst place    check
    1  the mistake by its name            check (with --no-names: the first hint)
    2  look: a question                   hint
    3  why, with the learner's numbers    hint
    4  one line of the derivation         hint
    5  the solution                       solution, after passing or with --give-up

What steps 2 and 3 say belongs to the mistake, where it has a name, and to the exercise where it has none.
"""

from typing import NamedTuple

from tinygrad_gpt.exercises.exercise import STEPS, Exercise
from tinygrad_gpt.exercises.kinds import kind_of
from tinygrad_gpt.exercises.verdict import Verdict, filled


class Step(NamedTuple):
    """name: "the mistake", "look", "why" or "derivation"."""

    name: str
    text: str


def ladder(exercise: Exercise, verdict: Verdict | None, names: bool = True) -> list[Step]:
    """The steps of an exercise for a learner's last verdict (None: there is no file yet). The mistake's name is one of
    them if `check` does not tell names."""
    named = verdict.named if verdict else ()
    example = verdict.example if verdict else {}
    mistake = kind_of(exercise).mistake(exercise, named[0].id) if named else None
    steps = [] if names or not named else [Step("the mistake", "; ".join(f"{m.id}: {m.sentence}" for m in named))]
    for name in STEPS:
        text = exercise.hints[name]
        if mistake and name != "derivation":
            of_it = {"look": mistake.look, "why": mistake.why}[name]
            own = exercise.hints.get(f"{name} {mistake.id}")
            text = own or (of_it if name == "look" else f"{of_it}\n\n{text}")
        steps.append(Step(name, filled(text, example)))
    return steps
