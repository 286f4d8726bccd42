"""A gradient of another shape than its input's, or with the right numbers in other places.

forward broadcast the input      backward must sum over the axes that were stretched   (G07)
summed over other axes           than over those that the input lacks                  (G07, G09)
transposed                       (G10)
the right numbers, reshaped      such as with an axis of 1 that should not be there
the right numbers, elsewhere     reshaped where it should be transposed                (G11)
all alike                        summed over all axes, or over a wrong one             (G09)
"""

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np

from tinygrad_gpt.check.evidence import Evidence, is_alike, largest, same
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis, predicting
from tinygrad_gpt.check.terms import summed


def not_summed() -> Hypothesis:
    """That what forward broadcast is not summed; which explains more than that it is dy, or another's gradient."""
    return Hypothesis("G07", _broadcast_words, _is_not_summed)


def summed_otherwise(cases: Cases) -> Iterator[Hypothesis]:
    """That what each row has to say is summed over axes that are not those which the input lacks.

    What it has to say is dy, or dy times an array that plays a part, where its sum over the axes that the input lacks
    is right.
    """
    first = next((e for e in cases.failed if e.got is not None and e.dy is not None and e.dy.ndim > 1), None)
    if first is None or first.right is None:
        return
    for name in ("", *(n for n in first.ingredients if n not in ("dy", first.name))):
        part = lambda e, name=name: _contribution(e, name)  # noqa: E731
        if part(first) is not None:
            what = f"dy · {name}" if name else "dy"
            axes = _summed_over(first, part(first))
            id = "G07" if axes is not None and set(axes) < set(_lacking(first)) else "G09"
            words = lambda e, w=what, p=part: _summed_words(e, w, p(e))  # noqa: E731
            yield Hypothesis(id, words, lambda e, part=part: _is_summed(e, part(e)))


def _contribution(e: Evidence, name: str):
    """What each element of dy has to say of the input: dy, times an array; None where its sum is not what is right."""
    z = e.ingredients.get(name) if name else 1.0
    if z is None or e.dy is None or e.right is None:
        return None
    z = np.broadcast_to(z, e.dy.shape) if np.ndim(z) <= e.dy.ndim and _broadcasts(z, e.dy.shape) else None
    total = None if z is None else summed(e.dy * z, e.right.shape)
    return e.dy * z if total is not None and e.same(total, e.right) else None


def _broadcasts(z, shape: tuple) -> bool:
    return all(m in (1, n) for m, n in zip(np.shape(z)[::-1], shape[::-1], strict=False))


def _lacking(e: Evidence) -> tuple[int, ...]:
    """The axes of dy that the input lacks, or has as 1."""
    extra = e.dy.ndim - e.right.ndim
    return tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(e.right.shape) if n == 1 and e.dy.shape[extra + i] != 1
    )


def _summed_over(e: Evidence, part) -> tuple[int, ...] | None:
    """The axes over which it was summed, where that is what came, and wrong."""
    for count in range(e.dy.ndim + 1):
        for axes in combinations(range(e.dy.ndim), count):
            for keepdims in (False, True):
                total = np.sum(part, axis=axes, keepdims=keepdims)
                if total.shape == e.got.shape and e.same(e.got, total):
                    return axes
    return None


def _is_summed(e: Evidence, part) -> bool | None:
    if e.silent or e.got is None or e.got.size == 0 or part is None:
        return None
    axes = _summed_over(e, part)
    if axes is None or axes == _lacking(e):
        return None if axes is not None and e.got.size == e.right.size else False
    return True


def _summed_words(e: Evidence, what: str, part) -> str:
    axes, lacking = _summed_over(e, part), _lacking(e)
    over = f"summed over {_named(axes)}" if axes else "not summed"
    left, kept = [a for a in lacking if a not in axes], [a for a in axes if a not in lacking]
    asks = [f"sum over {_named(left)} too"] * bool(left) + [f"keep {_named(kept)}"] * bool(kept)
    return f"it is {what}, of shape {e.dy.shape}, {over}; {e.name} has shape {e.right.shape}: {', '.join(asks)}"


def _named(axes) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else "axes " + " and ".join(map(str, axes))


def hypotheses() -> Iterator[Hypothesis]:
    """Hypotheses about where the numbers stand, the likeliest first."""
    yield Hypothesis("G10", _transposed_words, _is_transposed, _would_be_transposed)
    yield Hypothesis("", lambda e: f"the numbers are right: reshape it to {e.right.shape}", _is_reshaped)
    for which, k in (("first", 0), ("last", -1)):
        said = f"it is the {which} matrix of the right one, alone, without an axis for the batch"
        yield predicting("G21", said, lambda e, k=k: _matrix(e, k))
    yield Hypothesis("G11", _elsewhere_words, _is_elsewhere)
    said = "all of its elements are alike: it is summed over all axes, those of this input too"
    yield predicting("G09", said, lambda e: None if is_alike(e.right) else np.full_like(e.right, np.sum(e.right)))
    said = "all of its elements are alike: it is the mean of the right one, over axes that should stay"
    yield predicting("G09", said, lambda e: None if is_alike(e.right) else np.full_like(e.right, np.mean(e.right)))
    said = "all of its elements are alike: it is the sum of all of dy, and each element has a dy of its own"
    yield predicting("G09", said, lambda e: None if e.dy is None else np.full_like(e.right, np.sum(e.dy)))
    said = "along the op's axis its elements are alike: it is all of dy summed over it"
    yield predicting("G09", said, _dy_over_the_axis)
    for axis in (-1, -2, -3):
        said = f"along axis {axis} its elements are alike: it is summed over that axis too, which should stay"
        yield predicting("G09", said, lambda e, axis=axis: _alike(e, axis))
    yield Hypothesis("G07", _shape_only_words, _is_of_the_outputs_shape)
    yield Hypothesis("", _axes_words, _has_the_shape_of_a_sum)


def _matrix(e: Evidence, k: int):
    return e.right.reshape(-1, *e.right.shape[-2:])[k] if e.right.ndim > 2 and e.right.size else None


def _dy_over_the_axis(e: Evidence):
    if e.dy is None or e.dy.shape != e.right.shape or not isinstance(e.used.get("axis"), int):
        return None
    return np.broadcast_to(np.sum(e.dy, axis=e.axis, keepdims=True), e.right.shape)


def _alike(e: Evidence, axis: int):
    if e.right.ndim < -axis or is_alike(e.right, axis):
        return None
    return np.broadcast_to(np.sum(e.right, axis=axis, keepdims=True), e.right.shape)


def _stretched(e: Evidence) -> tuple[int, ...]:
    """The axes of what came that the input lacks, or has as 1; () where that is not what is wrong."""
    got, shape = e.got, e.right.shape
    if got is None or got.ndim < len(shape):
        return ()
    added = tuple(range(got.ndim - len(shape)))
    axes = added + tuple(len(added) + i for i, n in enumerate(shape) if n == 1 and got.shape[len(added) + i] != 1)
    summed = tuple(n for i, n in enumerate(got.shape) if i not in added)
    fits = all(
        m in (n, got.shape[len(added) + i]) for i, (m, n) in enumerate(zip(shape, summed, strict=True)) if m != 1
    )
    return axes if axes and fits else ()


def _is_not_summed(e: Evidence) -> bool | None:
    if e.silent or (e.got is not None and e.got.size == 0):
        return None
    if not (axes := _stretched(e)):
        return False
    if not same(np.sum(e.got, axis=axes, keepdims=True).reshape(e.right.shape), e.right):
        return False
    return True if e.got.size > e.right.size else None


def _is_of_the_outputs_shape(e: Evidence) -> bool | None:
    if e.silent or e.got is None or e.got.shape == e.right.shape or e.got.size == 0:
        return None
    return bool(_stretched(e)) and e.got.shape == e.y.shape


def _broadcast_words(e: Evidence) -> str:
    axes = ", ".join(map(str, _stretched(e)))
    if e.got.shape == e.y.shape:
        return f"forward broadcast this input from {e.right.shape} to {e.got.shape}: backward must sum over axis {axes}"
    return f"the input has shape {e.right.shape}, what came {e.got.shape}: backward must sum over axis {axes} too"


def _shape_only_words(e: Evidence) -> str:
    return _broadcast_words(e) + " (and the numbers are wrong besides)"


def _sum_of_this_shape(e: Evidence) -> tuple[int, ...] | None:
    """The axes over which dy would have to be summed for its shape to be what came."""
    for count in range(1, e.dy.ndim + 1):
        for axes in combinations(range(e.dy.ndim), count):
            if tuple(n for i, n in enumerate(e.dy.shape) if i not in axes) == e.got.shape:
                return axes
    return None


def _has_the_shape_of_a_sum(e: Evidence) -> bool | None:
    if e.silent or e.got is None or e.got.size == 0:
        return None
    if e.dy is None or e.got.shape == e.right.shape or summed(e.dy, e.right.shape) is None:
        return False
    return _sum_of_this_shape(e) not in (None, _lacking(e))


def _axes_words(e: Evidence) -> str:
    lacking = _lacking(e)
    return (
        f"its shape {e.got.shape} is that of dy {e.dy.shape} summed over {_named(_sum_of_this_shape(e))}; "
        f"{e.name} has shape {e.right.shape}: {f'sum over {_named(lacking)}' if lacking else 'nothing is to be summed'}"
    )


def _is_transposed(e: Evidence) -> bool | None:
    if e.silent:
        return None
    if e.got is None or e.got.ndim < 2:
        return False
    if not e.same(np.swapaxes(e.got, -1, -2), e.right):
        return False
    return True if not e.same(e.got, e.right) and e.got.size > 3 else None


def _would_be_transposed(e: Evidence) -> bool:
    return e.right.ndim >= 2 and not same(np.swapaxes(e.right, -1, -2), e.right)


def _transposed_words(e: Evidence) -> str:
    return "it is transposed" + ": swap its last two axes" * (e.got.shape == e.right.shape)


def _is_reshaped(e: Evidence) -> bool | None:
    if e.silent:
        return None
    if e.got is None or e.got.shape == e.right.shape or e.got.size != e.right.size:
        return False
    return same(e.got.reshape(e.right.shape), e.right)


def _is_elsewhere(e: Evidence) -> bool | None:
    if e.silent:
        return None
    if e.got is None or e.got.size != e.right.size or e.got.size < 6 or not np.isfinite(e.got).all():
        return False if e.got is None or e.got.size != e.right.size else None
    order = [*permutations(range(e.right.ndim))][1:]
    places = [np.transpose(e.right, axes).reshape(e.got.shape) for axes in order]
    if e.got.shape == e.right.shape:
        places += [np.flip(e.right, axis) for axis in range(e.right.ndim)]
    ordered = e.same(np.sort(e.got, axis=None), np.sort(e.right, axis=None))
    if not ordered and not any(e.same(e.got, a) for a in places):
        return False
    different = np.diff(np.sort(e.right, axis=None)) > 1e-6 * largest(e.right)
    return True if np.sum(different) >= 5 and not e.same(e.got, e.right) else None


def _elsewhere_words(e: Evidence) -> str:
    return "the right numbers in other places: is it reshaped where it should be transposed, turned round, or shifted?"
