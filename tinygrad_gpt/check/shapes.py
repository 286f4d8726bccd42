"""A gradient of another shape than its input's, or with the right numbers in other places.

forward broadcast the input      backward must sum over the axes that were stretched   (G07)
transposed                       (G10)
the right numbers, reshaped      such as with an axis of 1 that should not be there
the right numbers, elsewhere     reshaped where it should be transposed                (G11)
all alike                        summed over all axes, or over a wrong one             (G09)
"""

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from tinygrad_gpt.check.evidence import Evidence, is_alike, largest, same
from tinygrad_gpt.check.hypothesis import Hypothesis, predicting


def not_summed() -> Hypothesis:
    """That what forward broadcast is not summed; which explains more than that it is dy, or another's gradient."""
    return Hypothesis("G07", _broadcast_words, _is_not_summed)


def hypotheses() -> Iterator[Hypothesis]:
    """Hypotheses about where the numbers stand, the likeliest first."""
    yield Hypothesis("G10", _transposed_words, _is_transposed, _would_be_transposed)
    yield Hypothesis("", lambda e: f"the numbers are right: reshape it to {e.right.shape}", _is_reshaped)
    yield Hypothesis("G11", _elsewhere_words, _is_elsewhere)
    said = "all of its elements are alike: it is summed over all axes, those of this input too"
    yield predicting("G09", said, lambda e: None if is_alike(e.right) else np.full_like(e.right, np.sum(e.right)))
    said = "all of its elements are alike: it is the mean of the right one, over axes that should stay"
    yield predicting("G09", said, lambda e: None if is_alike(e.right) else np.full_like(e.right, np.mean(e.right)))
    for axis in (-1, -2, -3):
        said = f"along axis {axis} its elements are alike: it is summed over that axis too, which should stay"
        yield predicting("G09", said, lambda e, axis=axis: _alike(e, axis))
    yield Hypothesis("G07", _shape_only_words, _is_of_the_outputs_shape)


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
    return same(np.sum(e.got, axis=axes, keepdims=True).reshape(e.right.shape), e.right)


def _is_of_the_outputs_shape(e: Evidence) -> bool | None:
    if e.silent or e.got is None or e.got.shape == e.right.shape or e.got.size == 0:
        return None
    return bool(_stretched(e)) and e.got.shape == e.y.shape


def _broadcast_words(e: Evidence) -> str:
    axes = ", ".join(map(str, _stretched(e)))
    return f"forward broadcast this input from {e.right.shape} to {e.got.shape}: backward must sum over axis {axes}"


def _shape_only_words(e: Evidence) -> str:
    return _broadcast_words(e) + " (and the numbers are wrong besides)"


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
    if not any(e.same(e.got, a) for a in places):
        return False
    different = np.diff(np.sort(e.right, axis=None)) > 1e-6 * largest(e.right)
    return True if np.sum(different) >= 5 and not e.same(e.got, e.right) else None


def _elsewhere_words(e: Evidence) -> str:
    return "the right numbers in other places: is it reshaped where it should be transposed, or turned round?"
