"""A hypothesis: one mistake as a question to a case; and the consensus of all cases, without which nothing is said.

A hypothesis answers of each case that failed: True, it holds; False, it does not; None, it cannot show here (too few
elements, or the mistake would change nothing). It is said only if no case answers False and an ordinary one answers
True: of one row, or of an axis of 1, patterns meet by accident. And the cases that are right have a voice too: where
the mistake would have shown, they deny it, unless something that all failed cases have and they lack tells them apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from tinygrad_gpt.check.evidence import ENOUGH, Evidence, enough


@dataclass(frozen=True)
class Hypothesis:
    """One mistake.

    id      of the mistake, in mistakes/general.py; "" where it has none
    words   what to say of it in a case
    test    the answer of a failed case: True, False, or None
    denies  whether a case that is right says that the mistake was not made
    """

    id: str
    words: Callable[[Evidence], str]
    test: Callable[[Evidence], bool | None]
    denies: Callable[[Evidence], bool] = lambda e: False


def predicting(id: str, words, predict: Callable[[Evidence], object]) -> Hypothesis:
    """The hypothesis that what came is `predict(evidence)`: an array, or None where that cannot be told."""

    def test(e: Evidence) -> bool | None:
        predicted = None if e.silent or not np.isfinite(e.right).all() else predict(e)
        if predicted is None:
            return None
        if e.got is None or not e.same(e.got, predicted):
            return False
        differs = e.right is None or not e.same(predicted, e.right)
        return True if differs and (e.got.size >= ENOUGH or e.got.shape != e.right.shape) else None

    def denies(e: Evidence) -> bool:
        predicted = predict(e)
        return predicted is not None and e.right is not None and not e.same(predicted, e.right)

    return Hypothesis(id, words if callable(words) else lambda e: words, test, denies)


@dataclass(frozen=True)
class Agreement:
    """A hypothesis that all cases agree on.

    shows  the names of the cases in which it shows
    where  what only the failed cases have, if right ones would have to fail too; else ""
    """

    hypothesis: Hypothesis
    shows: frozenset[str]
    where: str = ""

    def words(self, e: Evidence) -> str:
        said = self.hypothesis.words(e)
        return f"{said} ({self.where})" if self.where else said


@dataclass
class Cases:
    """The evidence on one subject, in all cases: of those that failed, and of those that are right."""

    failed: list[Evidence]
    right: list[Evidence] = field(default_factory=list)

    def __post_init__(self):
        order = lambda e: (e.degenerate, e.size)  # noqa: E731 - ordinary and small ones first: they decide quickly
        self.failed, self.right = sorted(self.failed, key=order), sorted(self.right, key=order)
        self.any_ordinary = any(not e.degenerate for e in (*self.failed, *self.right))

    def speak(self, cases: Iterable[Evidence]) -> bool:
        """Whether there is an ordinary case among these; or any, where no case at all is ordinary."""
        return any(not (e.degenerate and self.any_ordinary) for e in cases)

    def agree(self, hypothesis: Hypothesis) -> Agreement | None:
        shows = []
        for e in self.failed:
            answer = hypothesis.test(e)
            if answer is False:
                return None
            if answer:
                shows.append(e)
        ordinary = [e for e in self.failed if not e.silent and not e.degenerate]
        if not self.speak(shows) or len(shows) < len(ordinary) / 2:
            return None
        denying = [e for e in self.right if _has_a_voice(e) and hypothesis.denies(e)]
        where = told_apart(self.failed, denying) if denying else ""
        return None if where is None else Agreement(hypothesis, frozenset(e.case for e in shows), where)

    def first(self, hypotheses: Iterable[Hypothesis]) -> Agreement | None:
        for hypothesis in hypotheses:
            with suppress(ArithmeticError, LookupError, TypeError, ValueError):  # what cannot be computed says nothing
                if found := self.agree(hypothesis):
                    return found
        return None


def _has_a_voice(e: Evidence) -> bool:
    """Whether a case that is right would not be so by accident."""
    return e.right is not None and e.right.size >= ENOUGH and not e.kink and not e.is_zero


def told_apart(failed: Sequence[Evidence], right: Sequence[Evidence]) -> str | None:
    """What every failed case has and no right one, in words: a setting, an input that is given or left out, the number
    of axes. None if there is nothing."""
    ours, theirs = [_features(e) for e in failed], [_features(e) for e in right]
    for name in ours[0]:
        mine, others = {f.get(name) for f in ours}, {f.get(name) for f in theirs}
        if mine & others or None in mine | others:
            continue
        if len(others) == 1:
            return f"only where {name} is not {next(iter(others))}"
        if len(mine) == 1:
            return f"only where {name} is {next(iter(mine))}"
    return None


def _features(e: Evidence) -> dict[str, str]:
    features = {name: repr(value) for name, value in e.used.items() if name != "seed"}
    if isinstance(e.used.get("axis"), int):
        features["axis"] = repr(e.axis)
    for name, a in zip(e.check.names, e.call.arrays, strict=True):
        features[name] = "None" if a is None else "given"
    for name, a in zip(e.check.names, e.call.arrays, strict=True):
        features[f"the dtype of {name}"] = "None" if a is None else _KINDS.get(a.dtype.kind, str(a.dtype))
    for name, a in e.inputs.items():
        features[f"the number of axes of {name}"] = str(a.ndim)
        if a.ndim > 1:
            features[f"the size of {name}'s first axis"] = "1" if a.shape[0] == 1 else "more than 1"
            features[f"the shape of {name}"] = "square" if a.shape[-1] == a.shape[-2] else "not square"
    return features


_KINDS = {"f": "float", "i": "int", "u": "uint", "b": "bool"}


def parts_alike(cases: Cases) -> Iterator[tuple[str, Cases]]:
    """(in words, those cases) of parts of the cases that have something in common: a setting, an input that is given
    or left out, a number of axes. Of three failed ones at least, and of half of all: in few others much fits by chance.
    The same cases come once, by the first thing that they have in common.
    """
    ours, theirs = [_features(e) for e in cases.failed], [_features(e) for e in cases.right]
    seen = set()
    for name in dict.fromkeys(name for f in ours for name in f):
        values = [f[name] for f in ours if name in f]
        for value in sorted(dict.fromkeys(values), key=lambda v: -values.count(v)):
            if len(ours) > values.count(value) >= max(3, len(ours) / 2):
                failed = [e for e, f in zip(cases.failed, ours, strict=True) if f.get(name) == value]
                right = [e for e, f in zip(cases.right, theirs, strict=True) if f.get(name) == value]
                if (part := frozenset(e.case for e in (*failed, *right))) not in seen:
                    seen.add(part)
                    yield f"where {name} is {value}", Cases(failed, right)


def right_only_for(cases: Cases) -> str:
    """A hint about a setting (or an input) with one value in all cases that are right, and others in all that failed;
    or ""."""
    right = [e for e in cases.right if _has_a_voice(e) and enough(e.right)]
    if len(right) < 2 or len(cases.failed) < 2 or not cases.speak(right):
        return ""
    ours, theirs = [_features(e) for e in cases.failed], [_features(e) for e in right]
    for name, value in theirs[0].items():
        if all(f.get(name) == value for f in theirs) and all(f.get(name) != value for f in ours):
            if name in cases.failed[0].used or value == "None":
                return f"it is right for {name}={value} only: what does the pair do for another {name}?"
            return f"it is right only where {name} is {value}: what does the pair do elsewhere?"
    return ""
