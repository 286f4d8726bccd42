"""What checks.py of an exercise is written with: its cases, its wrong versions, and pairs to try a learner's tests on.

from tinygrad_gpt.exercises.writing import Case, wrong


def cases():
    yield Case("first step", (w, g, m, v, 1), right=ours(w, g, m, v, 1))


@wrong("T07", "no bias correction", why="...", look="...")
def not_corrected(w, g, m, v, step): ...
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tinygrad_gpt.check import mistakes
from tinygrad_gpt.kernels import registry


@dataclass(frozen=True)
class Case:
    """One call of a learner's function, and what should come of it.

    name       what is tried, as the report says it: "the first step", "a row without a target"
    arguments  what the function is called with
    right      what it should return; of kind intermediates a dictionary in the order of computation; of kinds tests and
               probe whether it should object
    """

    name: str
    arguments: tuple = ()
    right: Any = None


@dataclass(frozen=True)
class Wrong:
    """A wrong version with a name. The texts are those of a mistake in check/mistakes. `version` takes the place of
    `replaces` in the solution; "": of the exercise's function."""

    id: str
    sentence: str
    why: str
    look: str
    version: Callable
    replaces: str = ""


def wrong(id: str, sentence: str, *, why: str, look: str, replaces: str = "") -> Callable[[Callable], Wrong]:
    """Make a Wrong of a function or class that stands in the place of a learner's."""
    return lambda version: Wrong(id, sentence, why, look, version, replaces)


def pairs_of(op: str, mutants: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, bool]]:
    """(name, pair, whether tests should object) of the reference's pair of `op`, and of mistakes of the bank."""
    yield f"the right {op}", registry.reference(op), False
    known = {mistake.id: mistake for mistake in mistakes.of(op)}
    for id in mutants:
        yield f"{id}, {known[id].sentence}", known[id].pair(), True
