"""A constant factor: what came is c times what is right, in every case, and one explanation of c fits all of them.

An explanation gives for each case the factor that it would make: -1; n, 1/n, √n, 1/√n or n/(n-1), where n is the size
of an axis, the number of rows, of all elements, or of elements per output; a float setting s, 1/s, s², 1-s, 1/(1-s). In
a single case many of them fit by chance (an axis of 2, and a lost 2); over cases of odd sizes one is left.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from tinygrad_gpt.check.evidence import CLOSE, Evidence, enough, largest
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis

NEAR_ONE = 1e-3  # a factor as near to 1 as that, such as 1 - eps, is none


def factor_of(e: Evidence, base=None) -> float | None:
    """c, where what came is c · base (the right array, if not given); None where it is no multiple of it."""
    base = e.right if base is None else base
    if not e.comparable or base is None or base.shape != e.got.shape or not largest(base):
        return None
    if not np.isfinite(base).all():
        return None
    factor = float(np.sum(e.got * base) / np.sum(base * base))
    return factor if e.same(e.got, factor * base) else None


def _right(e: Evidence):
    return e.right


def hypotheses(cases: Cases, sized: bool, base: Callable = _right) -> Iterator[Hypothesis]:
    """Hypotheses of a factor, the likeliest first.

    sized  whether sizes and settings may explain one, as they may not in a single case of unknown origin
    base   what is multiplied by it: the right array, or what another mistake gives
    """
    bases = [(e, base(e)) for e in cases.failed if e.comparable]
    showing = []
    for e, b in bases:
        if b is not None and enough(b):
            showing.append((e, factor_of(e, b)))
            if showing[-1][1] is None:
                return
    if not showing:
        return
    explained = lambda id, words, value: _explained(id, words, value, base)  # noqa: E731
    yield flipped(base)
    factors = [c for _, c in showing]
    constant = len(factors) > 1 and max(factors) - min(factors) <= CLOSE * abs(factors[0])
    if sized and constant and any(enough(e.right) for e in cases.right if not e.degenerate):
        for words, value, id in _of_settings(cases):  # which leave nothing to do in the right ones
            h = explained(id, words, value)
            if not any(h.denies(e) for e in cases.right if not e.degenerate):
                yield h
    if sized and not constant:
        explanations = list(_explanations(cases, alone=len(showing) == 1))
        for words, value, id in explanations:
            yield explained(id, words, value)
        for words, value, id in explanations:
            yield explained(id, lambda e, w=words: w(e) + "; and the sign is flipped besides", _negative(value))
    everywhere = ", in every case" if len(factors) > 1 else ""
    if (constant or len(factors) == 1) and factors[0]:
        said = f"multiplied by {1 / factors[0]:.4g}, it would be right{everywhere}"
        said += ": is a constant missing, or one too many?"
        yield explained("", lambda e: said, lambda e: factors[0])


def flipped(base: Callable = _right) -> Hypothesis:
    """That the sign is flipped."""
    return _explained("G04", lambda e: "the sign is flipped: it is -1 times the right one", lambda e: -1.0, base)


def of_settings(cases: Cases, base: Callable) -> Iterator[Hypothesis]:
    """Hypotheses that what came is `base` times one number in all of several cases, or times a setting or the like."""
    if sum(e.comparable and enough(e.right) for e in cases.failed) > 1:
        yield from hypotheses(cases, sized=False, base=base)
    for words, value, id in _of_settings(cases):
        yield _explained(id, words, value, base)


def _negative(value):
    return lambda e: None if (c := value(e)) is None else -c


def _explained(id: str, words, value: Callable[[Evidence], float | None], base: Callable) -> Hypothesis:
    def test(e: Evidence) -> bool | None:
        if not e.comparable:
            return None if e.silent else False
        c, b = value(e), base(e)
        if c is None or b is None or not math.isfinite(c) or not e.same(e.got, c * b):
            return False
        return True if enough(b) and abs(c - 1) > NEAR_ONE and not e.same(e.got, e.right) else None

    def denies(e: Evidence) -> bool:
        c, b = value(e), base(e)
        return c is not None and b is not None and not e.same(c * b, e.right)

    return Hypothesis(id, words, test, denies)


def _explanations(cases: Cases, alone: bool) -> Iterator[tuple]:
    """(words, value, id) of each. `alone`: only one case shows the factor, which fits too much by chance."""
    for what, n in _sizes(cases):
        for form, value in _forms(n, ("n", "1/n") if alone else ("n", "1/n", "√n", "1/√n", "n/(n-1)", "(n-1)/n")):
            id = "G08" if what == HOW_OFTEN_STRETCHED and form == "1/n" else ""
            yield _words_of_size(form, what, n, value), value, id
    if alone:
        return
    said = "it is divided by the number of all rows, where only those that count (are not ignored) should be"
    yield lambda e: said, _share_that_counts, ""
    yield from _of_settings(cases)


def _of_settings(cases: Cases) -> Iterator[tuple]:
    """(words, value, id) of each factor that a setting explains."""
    for name in dict.fromkeys(name for e in cases.failed for name in e.numbers):
        s = lambda e, name=name: e.numbers.get(name)  # noqa: E731
        for form, value in _forms(s, _OF_SETTINGS):
            yield _words_of_setting(form.replace("n", name), value), value, ""


_FORMS: dict[str, Callable[[float], float]] = {
    "n": lambda n: n,
    "1/n": lambda n: 1 / n,
    "√n": math.sqrt,
    "1/√n": lambda n: 1 / math.sqrt(n),
    "n/(n-1)": lambda n: n / (n - 1),
    "(n-1)/n": lambda n: (n - 1) / n,
    "n²": lambda n: n * n,
    "1/n²": lambda n: 1 / (n * n),
    "1-n": lambda n: 1 - n,
    "1/(1-n)": lambda n: 1 / (1 - n),
    "√(1-n)": lambda n: math.sqrt(1 - n),
    "1/√(1-n)": lambda n: 1 / math.sqrt(1 - n),
    "(1-n)/n": lambda n: (1 - n) / n,
    "n/(1-n)": lambda n: n / (1 - n),
    "n-1": lambda n: n - 1,
    "n+1": lambda n: n + 1,
}
_OF_SETTINGS = ("n", "1/n", "n²", "1/n²", "1-n", "1/(1-n)", "√(1-n)", "1/√(1-n)")
_OF_SETTINGS += ("(n-1)/n", "(1-n)/n", "n/(1-n)", "n-1", "n+1")
_ASKS = {
    "n": "a sum where a mean is meant?",
    "1/n": "a mean where a sum is meant?",
    "√n": "is a factor 1/√n missing?",
    "1/√n": "is there a factor 1/√n too many?",
    "n/(n-1)": "divided by n - 1 where n is meant?",
    "(n-1)/n": "divided by n where n - 1 is meant?",
}


def _forms(n, names) -> Iterator[tuple]:
    for name in names:

        def value(e, form=_FORMS[name]):
            try:
                return None if (size := n(e)) is None else form(size)
            except (ValueError, ZeroDivisionError):  # the root of a negative setting, 1/0
                return None

        yield name, value


def _words_of_size(form: str, what: str, n, value):
    def words(e: Evidence) -> str:
        size = f"{n(e):g}"
        if form in ("n", "1/n"):
            return f"it is {form.replace('n', size)} times the right one, and {size} is {what}: {_ASKS[form]}"
        return f"it is {form} = {value(e):.4g} times the right one, where n = {size} is {what}: {_ASKS[form]}"

    return words


def _words_of_setting(form: str, value):
    return lambda e: (
        f"it is {form} = {value(e):.4g} times the right one, in every case: "
        "is that factor one too many, or its inverse missing?"
    )


HOW_OFTEN_STRETCHED = "how often forward stretched this input"


def _sizes(cases: Cases) -> Iterator[tuple[str, Callable[[Evidence], float | None]]]:
    """(what it is, its size in a case), such sizes as differ from case to case."""
    first = cases.failed[0]
    yield "the number of elements that each output is made of", lambda e: _ratio(e.x.size, e.y.size)
    yield HOW_OFTEN_STRETCHED, lambda e: _ratio(e.y.size, e.x.size)
    if any(isinstance(e.used.get("axis"), int) for e in cases.failed):
        yield "the size of x along `axis`", lambda e: _of(e.x, lambda a: a.shape[e.axis])
        yield "the number of rows along `axis`", lambda e: _of(e.x, lambda a: a.size / a.shape[e.axis])
    for name in first.named:
        if name == "the output" or (first.named[name].ndim == 0 and name != "dy"):
            continue
        array = lambda e, name=name: e.named.get(name)  # noqa: E731
        yield f"the number of rows of {name}", lambda e, a=array: _of(a(e), lambda a: a.size / a.shape[-1])
        for axis in (-1, -2, -3, -4):
            if axis >= -max((e.named[name].ndim for e in cases.failed if name in e.named), default=0):
                size = lambda e, a=array, k=axis: _of(a(e), lambda a: a.shape[k])  # noqa: E731
                yield f"the size of {name} (axis {axis})", size
        yield f"the size of {name} (its first axis)", lambda e, a=array: _of(a(e), lambda a: a.shape[0])
        yield f"the size of {name} (all axes together)", lambda e, a=array: _of(a(e), lambda a: a.size)
    yield "the number of rows that count", _counted


def _ratio(a: int, b: int) -> float | None:
    return a / b if b and a > b and a % b == 0 else 1.0 if a == b else None


def _of(a, size) -> float | None:
    try:
        return None if a is None else float(size(a))
    except (IndexError, ZeroDivisionError):
        return None


def _share_that_counts(e: Evidence) -> float | None:
    counts = e.saved.get("counts")
    return None if counts is None or not counts.size else float(np.mean(counts))


def _counted(e: Evidence) -> float | None:
    counts = e.saved.get("counts")
    return None if counts is None else float(np.sum(counts))
