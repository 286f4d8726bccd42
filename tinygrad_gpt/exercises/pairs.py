"""Exercises of kind "pair": an op's forward and backward, checked by check_op, its mistakes named by the bank."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_gpt import sparse_rows
from tinygrad_gpt.cases import cases as cases_of
from tinygrad_gpt.check import Finding, Report, check_op, mistakes
from tinygrad_gpt.check.call import quietly
from tinygrad_gpt.check.measure import as_tuple
from tinygrad_gpt.exercises.exercise import Exercise
from tinygrad_gpt.exercises.verdict import RIGHT, UNWRITTEN, WRONG, Named, Verdict
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.contract import inputs

_PACKAGE = str(Path(__file__).parents[1] / "ops")
_SIGNATURES = "forward(*arrays, **settings) -> (y, saved), and backward(dy, saved) -> a tuple, as the file began"
_OF_FORWARD = ("forward", "the output", "the signature")  # how the subjects begin of what forward answers for


def check(exercise: Exercise, module: ModuleType, cases: Iterable | None = None) -> Verdict:
    """Check a learner's pair on the op's cases, or on these."""
    forward, backward = (getattr(module, name, None) for name in ("forward", "backward"))
    pair = SimpleNamespace(name=exercise.file_name)  # and no why_not: an exercise takes every case
    vars(pair).update({n: f for n, f in (("forward", forward), ("backward", backward)) if f is not None})
    with quietly():
        report = check_op(exercise.op, pair, cases)
    if report.ok:
        judged = (("forward", _right_in(report), True), ("backward", _right_in(report), True))
        return Verdict(exercise.id, RIGHT, judged)
    fails = report.failures
    unwritten = any(f.problem.startswith("raised NotImplementedError") for f in fails)
    judged = tuple(_judged(part, report) for part in ("forward", "backward"))
    if unwritten:
        judged = tuple((what, verdict if right else "not written yet", right) for what, verdict, right in judged)
        return Verdict(exercise.id, UNWRITTEN, judged)
    subjects = dict.fromkeys(f.subject for f in fails)
    odd = {c.name for c in cases or cases_of(exercise.op) if c.kink or any(np.size(a) == 0 for a in c.arrays)}
    worst = [_most_telling([f for f in fails if f.subject == subject], odd) for subject in subjects]
    examples = [_example(exercise, pair, f, cases) for f in worst]
    places = [line for f, example in zip(worst, examples, strict=True) for line in _place(f, example)]
    named = tuple(Named(id, _first(fails, id).hint) for id in report.mistakes)
    return Verdict(exercise.id, WRONG, judged, named, tuple(places), examples[0])


def mistake(exercise: Exercise, id: str) -> mistakes.Mistake:
    """The texts of a mistake that a verdict names. Raises KeyError for an id that is not known."""
    return mistakes.by_id(id)


def wrong_versions(exercise: Exercise) -> dict[str, Any]:
    """By id: the pair that makes the mistake. Raises KeyError for an id that is not known."""
    known = {mistake.id: mistake for mistake in mistakes.of(exercise.op)}
    return {id: known[id].pair() for id in exercise.mistakes}


def once(exercise: Exercise, module: ModuleType) -> Callable[[], Any]:
    """A call that does the exercise's work once, to be timed: forward and backward of the op's largest case."""
    case = max(cases_of(exercise.op), key=lambda case: sum(np.size(a) for a in case.arrays))
    y, _ = module.forward(*case.arrays, **case.settings)
    dy = tuple(map(np.ones_like, y)) if isinstance(y, tuple) else np.ones_like(y)
    return lambda: module.backward(dy, module.forward(*case.arrays, **case.settings)[1])


def _first(findings: Iterable[Finding], mistake: str) -> Finding:
    return next(f for f in findings if f.mistake == mistake)


def _right_in(report: Report) -> str:
    return f"right in {report.cases} case{'s' * (report.cases != 1)}"


def _judged(part: str, report: Report) -> tuple[str, str, bool]:
    """The line on forward or on backward. A case that stops in forward says nothing of backward."""
    mine = [f for f in report.findings if f.subject.startswith(_OF_FORWARD) == (part == "forward")]
    cases = {f.case for f in mine if f.case}
    wrong = {f.case for f in mine if not f.ok and f.case}
    if any(not f.ok and not f.case for f in mine):
        return part, "WRONG: its signature", False
    if wrong:
        return part, f"WRONG in {len(wrong)} of {len(cases)}", False
    right = f"right in {len(cases)} case{'s' * (len(cases) != 1)}"
    return part, right if cases else "not checked: forward comes first", bool(cases)


def _most_telling(fails: list[Finding], odd: set[str]) -> Finding:
    """Of one subject: not of an odd case, at a kink or without elements, if there are others; with a place rather than
    without; of a small case rather than a large one, but of several numbers."""
    return max(fails, key=lambda f: (f.case not in odd, bool(f.hint), f.index is not None, f.size > 15, -f.size))


def _place(f: Finding, example: dict[str, Any]) -> list[str]:
    """A failure in a line or two. Of a gradient that is wrong in the example too, the numbers are the example's: hints
    speak of them."""
    where = f' of case "{f.case}"' if f.case else ""
    if f.index is not None and f.subject == example.get("subject"):
        at = tuple(example["at"])
        f = replace(f, index=at, got=float(example["got"][at]), right=float(example["right"][at]))
    if f.error is None or f.index is None:
        lines = [f"{f.subject}{where}: {f.problem}"]
    else:
        index = f"[{', '.join(map(str, f.index))}]"
        lines = [f"{f.subject} at {index}{where}: it is {f.got:.4g} and should be {f.right:.4g}"]
    hint = _SIGNATURES if _PACKAGE in f.hint else f.hint  # the package's own file is the solution
    return lines + [f"  {hint}"] * bool(hint and not f.mistake)


def _example(exercise: Exercise, pair, worst: Finding, cases: Iterable | None) -> dict[str, Any]:
    """The case of a finding for the hints: the inputs by name, the settings, y, dy, and of the input that is wrong the
    gradient that came (got) and the right one, and where they differ most (at). {} where there is no such case."""
    case = next((c for c in cases or cases_of(exercise.op) if c.name == worst.case), None)
    if case is None:
        return {}
    takes = inputs(registry.reference(exercise.op).forward)
    names = [*takes.arrays, *(f"{takes.many}{k}" for k in range(len(case.arrays)))][: len(case.arrays)]
    example = {"case": case.name, **takes.settings, **case.settings, **dict(zip(names, case.arrays, strict=True))}
    try:
        with quietly():
            y, saved = pair.forward(*case.arrays, **case.settings)
            dy = np.random.default_rng(0).normal(size=y.shape)
            reference = registry.reference(exercise.op)
            rights = reference.backward(dy, reference.forward(*case.arrays, **case.settings)[1])
            gots = as_tuple(pair.backward(dy, saved))  # a lone array will do for one input
        which = next((k for k, name in enumerate(names) if worst.subject.startswith(f"the gradient of {name}")), 0)
        got, right = (np.asarray(sparse_rows.dense(grads[which])) for grads in (gots, rights))
        example |= {"y": y, "dy": dy, "got": got, "right": right}
        apart = np.abs(got - right)
        if got.shape != right.shape or np.all(apart == 0):  # 0: right in this call
            return example
        at = [int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape)]
        return example | {"at": at, "subject": f"the gradient of {names[which]}"}
    except (Exception, SystemExit):  # the learner's code, or what it returned: the report says what
        return example
