"""Exercises of all kinds but "pair": what a learner's function does in some cases is compared with what it should.

What counts as the outcome of a case is the only difference between the kinds:

    function       what the function returns
    intermediates  the dictionary that it returns, up to the first entry that is wrong
    tests, probe   whether it objects: raises AssertionError, or returns something true (a list of what it found)
    predict        the answer in ANSWERS, of which the exercise keeps a hash
    diagnose       the same; the answer is the id of a mistake

A wrong version has a name. It explains a learner's if both come to the same in every case that it gets wrong. Mistakes
are named if together they explain every case that the learner gets wrong; of what is left over nothing is said. Where
an outcome is a yes or no, and equal by chance, one mistake has to explain all.
"""

import copy
import hashlib
import inspect
import traceback
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.errors import in_short
from tinygrad_gpt.exercises.exercise import Exercise
from tinygrad_gpt.exercises.verdict import RIGHT, UNWRITTEN, WRONG, Named, Verdict
from tinygrad_gpt.exercises.writing import Case, Wrong

TOLERANCE = 1e-7  # of a number, relative to the largest of its array; checks.py may set another
ANSWERS = "ANSWERS"  # the dictionary in a learner's file for the kinds predict and diagnose
_NUMBERS = (np.ndarray, np.generic, float)  # what is compared but for rounding
_DIGITS = 2  # of a number that was predicted, less one in the last of them
OF_ANSWERS, _OF_OBJECTIONS = ("predict", "diagnose"), ("tests", "probe")


class Raised(NamedTuple):
    """The outcome of a call that raised."""

    kind: str
    text: str
    line: str = ""

    def __str__(self) -> str:
        return f"raised {self.kind}: {self.text}" + (f", by {self.line}" if self.line else "")


class Missing(NamedTuple):
    """What a learner's dictionary lacks, or holds ... for. ended: nor does it hold what comes after."""

    name: str
    ended: bool = False


def check(exercise: Exercise, module: ModuleType) -> Verdict:
    """Try a learner's file on the cases of the exercise."""
    right, got = _right(exercise), outcomes(exercise, module)
    missing = {name for name, x in got.items() if isinstance(x, Missing)}
    if missing == got.keys() or any(isinstance(x, Raised) and x.kind == "NotImplementedError" for x in got.values()):
        return Verdict(exercise.id, UNWRITTEN, _judged(exercise, right, got, "not written yet"))
    if so_far := _right_so_far(exercise, got):
        return Verdict(exercise.id, UNWRITTEN, _judged(exercise, right, got, so_far))
    wrong = [name for name in right if not _is_right(exercise, name, got[name], right[name])]
    if not wrong:
        return Verdict(exercise.id, RIGHT, _judged(exercise, right, got))
    named = _explain(exercise, [name for name in wrong if name not in missing], got, right)
    places = _places(exercise, {name: _difference(exercise, got[name], right[name]) for name in wrong})
    example = _example(exercise, wrong[0], got[wrong[0]], right[wrong[0]])
    return Verdict(exercise.id, WRONG, _judged(exercise, right, got), named, places, example)


def mistake(exercise: Exercise, id: str) -> Wrong:
    """The texts of a mistake that a verdict names, and its code. Raises KeyError for an id that is not known."""
    return {value.id: value for value in vars(exercise.checks).values() if isinstance(value, Wrong)}[id]


def wrong_versions(exercise: Exercise) -> dict[str, Any]:
    """By id: a module that makes the mistake. Raises KeyError for an id that is not known."""
    return {id: _module_with(exercise, mistake(exercise, id)) for id in exercise.mistakes}


def once(exercise: Exercise, module: ModuleType) -> Callable[[], Any]:
    """A call that does the exercise's work once, to be timed: all its cases."""
    return lambda: outcomes(exercise, module)


def outcomes(exercise: Exercise, module) -> dict[str, Any]:
    """What comes of each case, by its name."""
    if exercise.kind in OF_ANSWERS:
        given = getattr(module, ANSWERS, {})
        answers = {name: given.get(name, ...) if isinstance(given, dict) else ... for name in exercise.answers}
        return {name: Missing(name) if x is ... else x for name, x in answers.items()}
    run = getattr(exercise.checks, "run", None)
    function = getattr(module, exercise.function, None)
    found = {}
    for case in exercise.checks.cases():
        try:
            with np.errstate(all="ignore"):
                given = tuple(map(_copied, case.arguments))
                result = run(module, *given) if run else function(*given)
                found[case.name] = _outcome(exercise, result, case)
        except (Exception, SystemExit) as error:
            objects = exercise.kind in _OF_OBJECTIONS and isinstance(error, AssertionError)
            found[case.name] = objects or Raised(type(error).__name__, in_short(error), _line(error, module))
    return found


def _copied(x: Any) -> Any:
    """An array of the learner's own, unless it may not be changed anyway."""
    return x.copy() if isinstance(x, np.ndarray) and x.flags.writeable else x


def _right(exercise: Exercise) -> dict[str, Any]:
    if exercise.kind in OF_ANSWERS:
        return dict(exercise.answers)  # their hashes
    return {case.name: case.right for case in exercise.checks.cases()}


def _outcome(exercise: Exercise, result: Any, case: Case) -> Any:
    if exercise.kind in _OF_OBJECTIONS:
        return bool(np.size(result)) if isinstance(result, list | tuple | np.ndarray) else bool(result)
    if exercise.kind == "intermediates":
        return _up_to_the_first_wrong(result, case.right, _tolerance(exercise))
    return copy.deepcopy(result)  # a later case may change it


def _up_to_the_first_wrong(result: Any, right: dict, tolerance: float) -> Any:
    """The entries of a dictionary in the order of the right one, the first wrong one the last."""
    if not isinstance(result, dict):
        return result
    kept = {}
    for name, value in right.items():
        later = list(right)[len(kept) :]
        kept[name] = result.get(name, Missing(name, ended=result.keys().isdisjoint(later)))
        if not same(kept[name], value, tolerance):
            break
    return kept


def _right_so_far(exercise: Exercise, got: dict[str, Any]) -> str:
    """How far dictionaries go that are right in every case, and all end early at the same place; else ""."""
    ends = {tuple(x) if isinstance(x, dict) else () for x in got.values()}
    if exercise.kind != "intermediates" or len(ends) > 1 or not (names := ends.pop()):
        return ""
    lasts = [list(x.values())[-1] for x in got.values()]
    if not all(isinstance(x, Missing) and x.ended for x in lasts):
        return ""
    return f"so far right: {', '.join(names[:-1]) or 'nothing yet'}; next {names[-1]}"


def _is_right(exercise: Exercise, name: str, got: Any, right: Any) -> bool:
    if exercise.kind in OF_ANSWERS:
        return any(hash_of(exercise.id, name, answer) == right for answer in _near(got))
    return same(got, right, _tolerance(exercise))


def _tolerance(exercise: Exercise) -> float:
    return getattr(exercise.checks, "TOLERANCE", TOLERANCE)


def hash_of(id: str, question: str, answer: Any) -> str:
    """The hash of an answer, salted with its exercise and its question: exercise.toml holds it, and not the answer."""
    return hashlib.sha256(f"{id}\n{question}\n{_normal(answer)}".encode()).hexdigest()[:16]


def _normal(answer: Any) -> str:
    """An answer as text: numbers with two digits that count, words in small letters."""
    if isinstance(answer, float | np.floating):
        return f"{answer:.{_DIGITS - 1}e}"
    return " ".join(str(answer).lower().split())


def _near(answer: Any) -> list[Any]:
    """The answer, and of a number those one less and one more in its last digit that counts."""
    if not isinstance(answer, float | np.floating) or not np.isfinite(answer) or answer == 0:
        return [answer]
    unit = 10.0 ** (np.floor(np.log10(abs(answer))) - _DIGITS + 1)
    return [answer, answer - unit, answer + unit]


def same(got: Any, right: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two outcomes are equal, numbers but for rounding; nan equals nan."""
    if isinstance(right, Raised):
        return isinstance(got, Raised) and got.kind == right.kind
    if isinstance(right, _NUMBERS):
        alike = isinstance(got, (*_NUMBERS, int)) and np.shape(got) == np.shape(right)
        return alike and bool(np.all(_errors(got, right) <= tolerance))
    if isinstance(right, dict):
        alike = isinstance(got, dict) and got.keys() == right.keys()
        return alike and all(same(got[name], right[name], tolerance) for name in right)
    if isinstance(right, list | tuple):
        alike = isinstance(got, list | tuple) and len(got) == len(right)
        return alike and all(same(g, r, tolerance) for g, r in zip(got, right, strict=True))
    kinds = (int, np.integer) if isinstance(right, int) and not isinstance(right, bool) else type(right)
    return isinstance(got, kinds) and isinstance(got, bool) == isinstance(right, bool) and bool(got == right)


def _errors(got: Any, right: Any) -> np.ndarray:
    """|got - right| over the largest |right|, element by element."""
    got, right = np.asarray(got, np.float64), np.asarray(right, np.float64)
    equal = (got == right) | (np.isnan(got) & np.isnan(right))
    finite = np.abs(right[np.isfinite(right)])
    scale = max(float(np.max(finite, initial=0.0)), 1e-300)
    with np.errstate(all="ignore"):
        errors = np.where(equal, 0.0, np.abs(got - right) / scale)
    return np.where(np.isnan(errors), np.inf, errors)


def _explain(exercise: Exercise, wrong: list[str], got: dict, right: dict) -> tuple[Named, ...]:
    """The mistakes that together explain every wrong case; () where something is left over. The one that explains most
    comes first."""
    explains = {}
    for id, theirs in _outcomes_of_mistakes(exercise).items():
        shows = {name for name in right if name in theirs and not _is_right(exercise, name, theirs[name], right[name])}
        whole = exercise.kind not in _OF_OBJECTIONS or shows == set(wrong)
        if shows and whole and all(_alike(exercise, got[name], theirs[name]) for name in shows):
            explains[id] = shows
    named, left = [], set(wrong)
    for id, shows in sorted(explains.items(), key=lambda item: -len(item[1])):
        if shows & left:
            left -= shows
            where = f"all {len(shows)} cases that show it" if len(shows) > 1 else f'"{min(shows)}"'
            named.append(Named(id, mistake(exercise, id).sentence, f"equal in {where}"))
    return () if left else tuple(named)


@lru_cache
def _outcomes_of_mistakes(exercise: Exercise) -> dict[str, dict[str, Any]]:
    return {id: outcomes(exercise, module) for id, module in wrong_versions(exercise).items()}


def _alike(exercise: Exercise, got: Any, theirs: Any) -> bool:
    """Whether a learner and a wrong version have come to the same."""
    if exercise.kind in OF_ANSWERS:
        return _normal(got) == _normal(theirs)
    return same(got, theirs, _tolerance(exercise))


def _module_with(exercise: Exercise, wrong: Wrong) -> SimpleNamespace:
    """The solution with this mistake in it."""
    right = vars(exercise.solution)
    if exercise.kind in OF_ANSWERS:
        return SimpleNamespace(**right | {ANSWERS: right[ANSWERS] | wrong.version()})
    return SimpleNamespace(**right | {wrong.replaces or exercise.function: wrong.version})


def _judged(exercise: Exercise, right: dict, got: dict, instead: str = "") -> tuple[tuple[str, str, bool], ...]:
    """The lines of the verdict: one; of tests and probes one for right versions and one for wrong ones."""
    ok = {name for name in right if _is_right(exercise, name, got[name], right[name])}
    if instead:
        return ((exercise.function or "answers", instead, False),)
    if exercise.kind in _OF_OBJECTIONS:
        parts = (("lets right ones pass", False), ("objects to wrong ones", True))
        counted = [(what, [name for name in right if right[name] is kind]) for what, kind in parts]
        return tuple(
            (what, f"{len(ok & set(names))} of {len(names)}", ok >= set(names)) for what, names in counted if names
        )
    what = exercise.function or "answers"
    if len(ok) == len(right):
        return ((what, f"right in {len(ok)} case{'s' * (len(ok) != 1)}", True),)
    left = sum(isinstance(got[name], Missing) for name in right)  # questions without an answer
    wrong = len(right) - len(ok) - left
    said = f"WRONG in {wrong} of {len(right)}" if wrong else f"{len(ok)} right"
    return ((what, said + f", {left} left" * bool(left), False),)


def _places(exercise: Exercise, differences: dict[str, str]) -> tuple[str, ...]:
    """A line for each difference, one for all cases that have the same. The first wrong entry of a dictionary is the
    same whatever its numbers."""
    groups: dict[str, list[str]] = {}
    for name, difference in differences.items():
        same_for = difference.partition(": ")[0] if exercise.kind == "intermediates" else difference
        groups.setdefault(same_for, []).append(name)
    kind = "" if exercise.kind in OF_ANSWERS else " case"
    lines = []
    for first, *others in groups.values():
        more = f" (and {len(others)} more{kind}{'s' * (bool(kind) and len(others) > 1)})" if others else ""
        lines.append(f"{first}{more}: {differences[first]}")
    return tuple(lines)


def _difference(exercise: Exercise, got: Any, right: Any) -> str:
    """What is wrong with an outcome, in a line."""
    if isinstance(got, Raised):
        return str(got)
    if exercise.kind in OF_ANSWERS:
        return "no answer yet" if isinstance(got, Missing) else f"{got!r} is not the answer"
    if exercise.kind in _OF_OBJECTIONS:
        return "it objects, and should not" if got else "it does not object, and should"
    if exercise.kind == "intermediates" and isinstance(got, dict):
        name = list(got)[-1]
        so_far = f" ({', '.join(list(got)[:-1])} right)" if len(got) > 1 else ""
        if isinstance(got[name], Missing):
            return f"{name} is missing{so_far}"
        return f"{name} is the first that is wrong{so_far}: {_of_values(got[name], right[name], exercise)}"
    return _of_values(got, right, exercise)


def _of_values(got: Any, right: Any, exercise: Exercise) -> str:
    if isinstance(right, _NUMBERS) and isinstance(got, (*_NUMBERS, int)):
        if np.shape(got) != np.shape(right):
            return f"it has shape {np.shape(got)} and should have {np.shape(right)}"
        if np.ndim(right):
            worst = np.unravel_index(int(np.argmax(_errors(got, right))), np.shape(right))
            got, right = np.asarray(got)[worst], np.asarray(right)[worst]
            return f"at [{', '.join(map(str, worst))}] it is {got:.4g} and should be {right:.4g}"
        return f"it is {got:.5g} and should be {right:.5g}"
    for kind, keys in ((dict, list(right) if isinstance(right, dict) else []), (list | tuple, ())):
        if isinstance(right, kind) and isinstance(got, kind) and len(got) == len(right):
            keys = keys or range(len(right))
            for key in keys:
                if isinstance(got, dict) and key not in got:
                    return f"{key!r} is missing"
                if not same(got[key], right[key]):
                    which = f"{key!r}" if kind is dict else f"{getattr(exercise.checks, 'ITEM', 'item')} {key}"
                    return f"{which}, {_of_values(got[key], right[key], exercise)}"
    return f"it is {in_short(repr(got), 60)} and should be {in_short(repr(right), 60)}"


def _example(exercise: Exercise, name: str, got: Any, right: Any) -> dict[str, Any]:
    """The first wrong case for the hints: the arguments by the function's own names, got, right."""
    example = {"case": name, "got": got}
    if exercise.kind in OF_ANSWERS:
        return example
    case = next(case for case in exercise.checks.cases() if case.name == name)
    parameters = list(inspect.signature(getattr(exercise.solution, exercise.function)).parameters)
    return dict(zip(parameters, case.arguments, strict=False)) | example | {"right": right}


def _line(error: BaseException, module) -> str:
    """The line of the learner's file that raised, "" where there is none."""
    file = getattr(module, "__file__", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"`{frames[-1].line}` ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
