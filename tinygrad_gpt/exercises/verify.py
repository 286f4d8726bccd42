"""Are the exercises themselves right? What CI asks of each, and teachers of those that they write.

- The stub fails, by NotImplementedError (of kinds predict and diagnose by answers that are missing), and only there.
- The solution passes, and so does every other right version.
- Every mistake that the exercise lists is caught, and named as itself and as nothing else.
- No line of the solution stands in the stub, or in a hint before the derivation.
- What it needs is there; its name can be a file's.
"""

import re
import sys
from types import SimpleNamespace

import numpy as np

from tinygrad_gpt.cases import cases
from tinygrad_gpt.exercises import pairs
from tinygrad_gpt.exercises.checked import ANSWERS, OF_ANSWERS, hash_of
from tinygrad_gpt.exercises.exercise import KINDS, STEPS, Exercise, module_of
from tinygrad_gpt.exercises.kinds import check, kind_of
from tinygrad_gpt.exercises.verdict import UNWRITTEN, Verdict
from tinygrad_gpt.kernels import registry

_SMALL = 1000  # elements of a case
_TRIVIAL = 12  # characters of a line that tells nothing


def problems(exercise: Exercise, bank: dict[str, Exercise], mistakes: bool = True) -> list[str]:
    """What is wrong with an exercise, in lines; [] if nothing is. Errors of its own code are among them.

    mistakes  whether each mistake has to be named, or only to be known
    """
    found = []
    of_mistakes = _of_mistakes if mistakes else _of_ids
    for ask in (_of_description, _of_stub, _of_solution, _of_wheats, of_mistakes, _of_secrets):
        try:
            found += ask(exercise, bank)
        except Exception as error:
            found.append(f"{ask.__name__.removeprefix('_of_')}: {type(error).__name__}: {error}")
    return found


def _of_description(exercise: Exercise, bank: dict[str, Exercise]) -> list[str]:
    found = []
    if exercise.id != exercise.folder.name or not exercise.id.isidentifier() or exercise.id in sys.stdlib_module_names:
        found.append(f"id: expected the folder's name, a Python name that no module of Python has, not {exercise.id!r}")
    if missing := [id for id in exercise.needs if id not in bank]:
        found.append(f"needs: there is no exercise {', '.join(missing)}")
    if not 1 <= exercise.difficulty <= 5 or exercise.minutes < 1:
        found.append("difficulty should be 1 .. 5, minutes at least 1")
    if exercise.kind == KINDS[0] and exercise.op not in registry.op_names():
        found.append(f"op: there is no op {exercise.op!r}")
    if exercise.kind not in (KINDS[0], *OF_ANSWERS) and not exercise.function:
        found.append("function: the name of what the learner writes is missing")
    found += [f"hints.md has no section {step}" for step in STEPS if not exercise.hints.get(step)]
    known = {*STEPS, *(f"{step} {id}" for step in STEPS[:2] for id in exercise.mistakes)}
    found += [f"hints.md has a section {head!r} that is never shown" for head in exercise.hints if head not in known]
    return found


def _of_stub(exercise: Exercise, bank: dict[str, Exercise]) -> list[str]:
    verdict = _quickly(exercise, module_of(exercise.cut.stub, f"{exercise.id}_stub"))
    if verdict.state != UNWRITTEN:
        return [f"the stub should not be written yet: {verdict}"]
    return [
        f"the stub fails in {what} already: {said}" for what, said, ok in verdict.judged if not ok and "not" not in said
    ]


def _of_solution(exercise: Exercise, bank: dict[str, Exercise]) -> list[str]:
    verdict = check(exercise, exercise.solution)
    found = [
        f'answers: expected {question} = "{hash_of(exercise.id, question, answer)}"'
        for question, answer in (getattr(exercise.solution, ANSWERS, {}) if exercise.kind in OF_ANSWERS else {}).items()
        if exercise.answers.get(question) != hash_of(exercise.id, question, answer)
    ]
    if found:
        return found
    return [] if verdict.ok else [f"the solution should pass: {verdict}"]


def _of_wheats(exercise: Exercise, bank: dict[str, Exercise]) -> list[str]:
    found = []
    for name, text in exercise.wheats.items():
        verdict = _quickly(exercise, module_of(text, f"{exercise.id}_wheat"))
        if not verdict.ok:
            found.append(f"the right version {name!r} should pass: {verdict}")
    return found


def _of_mistakes(exercise: Exercise, bank: dict[str, Exercise]) -> list[str]:
    found = []
    for id, module in kind_of(exercise).wrong_versions(exercise).items():
        named = [mistake.id for mistake in _quickly(exercise, module).named]
        if named != [id]:
            found.append(f"{id} should be named as itself, not as {', '.join(named) or 'nothing'}")
    return found


def _of_ids(exercise: Exercise, bank: dict[str, Exercise]) -> list[str]:
    kind_of(exercise).wrong_versions(exercise)  # raises for one that is not known
    return []


def _of_secrets(exercise: Exercise, bank: dict[str, Exercise]) -> list[str]:
    """Of what is told before the derivation: the stub, and the hints."""
    hidden = {_plain(line) for line in exercise.cut.hidden}
    hidden = {line for line in hidden if len(line) >= _TRIVIAL and not line.startswith("#")}
    told = {f"the hint {head!r}": text for head, text in exercise.hints.items() if head != "derivation"}
    told["the stub"] = exercise.cut.stub
    places = {where: [_plain(line) for line in text.splitlines()] for where, text in told.items()}
    return [
        f"{where} has a line of the solution: {line}"
        for line in sorted(hidden)
        for where, lines in places.items()
        if any(line in each for each in lines)
    ]


def _plain(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


def _quickly(exercise: Exercise, module: SimpleNamespace) -> Verdict:
    """The verdict, of a pair without the cases that are large or long."""
    if exercise.kind == KINDS[0]:
        small = [case for case in cases(exercise.op, large=False) if sum(map(np.size, case.arrays)) <= _SMALL]
        return pairs.check(exercise, module, small)
    return check(exercise, module)
