"""What is wrong with these numbers: the mistakes in a gradient that can be recognised from the outside.

The checks know the right gradient (by finite differences) and the one that backward returned. Some mistakes leave a
signature in the difference: a flipped sign, a constant factor, an axis that was not summed, an upstream gradient that
was never multiplied in. Each function here looks for one signature and returns a hint in words, or None. A signature
must hold for every element, and arrays too small to show one get no hint: no hint is better than a wrong one.
"""

import math
from collections.abc import Callable

import numpy as np

CLOSE = 1e-5  # of the largest value: far above the noise of finite differences, far below any mistake of interest
ENOUGH = 3  # elements that must agree before a pattern counts as one
MANY = 0.5  # of the elements, that are right not by chance
A_SIZE = "is the size of"  # in a hint that may hold by chance in one case
INEXACT = "float64 has 15 digits, and about 7 of them are right: is something computed in float32 inside?"


def gradient_hint(got, expected, with_ones: Callable, named: dict, others: dict, sized: bool = True) -> str:
    """A hint about a gradient that has the right shape and wrong numbers, or "".

    got, expected  arrays of the same shape
    with_ones      called without arguments, returns the right gradient for an upstream gradient of ones
    named          arrays that play a part, by the names that the hint may use: inputs, "the output", "dy"
    others         the right gradients of the op's other inputs, by name
    sized          whether a factor that is a size tells something: among several cases, not in a single one
    """
    if not np.all(np.isfinite(got)):
        bad = int(np.sum(~np.isfinite(got)))
        return f"{bad} of {got.size} elements are nan or inf: a division by zero, or inf - inf?"
    if same(got, 0 * expected):
        return "it is all zeros: is the input's contribution dropped?"
    for name, other in others.items():
        if differ_enough(other, expected) and same(got, other):
            return f"it is the gradient of {name}: are the gradients returned in the order of forward's inputs?"
    if "dy" in named and same(got, named["dy"]) and _enough(expected):
        return "it is dy itself: the op's own derivative is missing"
    ones = with_ones()
    if differ_enough(ones, expected) and same(got, ones):
        return "it equals the gradient for an upstream gradient of ones: is dy ignored?"
    return difference_hint(got, expected, named, sized)


def nan_hint(got, expected) -> str:
    """A hint about numbers that are nan where they should be finite, or the other way round, or ""."""
    if np.isnan(got).any() and np.isfinite(expected).all():
        return (
            f"{int(np.sum(np.isnan(got)))} of {got.size} elements are nan: 0 / 0, or inf - inf, as in a row that a "
            "mask has made -inf all along?"
        )
    if np.isfinite(got).all() and not np.isfinite(expected).all():
        return (
            f"{int(np.sum(~np.isfinite(expected)))} of {got.size} elements have no finite value: the op's file says why"
        )
    return ""


def dtype_hint(dtype) -> str:
    """A hint about an array of this dtype, where the inputs have another."""
    if dtype == np.float64:
        return (
            "numbers that NumPy makes are float64 and turn float32 arrays into float64: np.sqrt(64) of a Python "
            "number, np.float64(...), np.arange(n) / n. Use math.sqrt(64), float(...), or dtype=x.dtype"
        )
    return (
        "is a dtype written down somewhere? Results have the dtype of the inputs, x.dtype"
        if dtype == np.float32
        else ""
    )


def difference_hint(got, expected, named: dict, sized: bool = True) -> str:
    """A hint about any array that has the right shape and wrong numbers, or ""."""
    if hint := nan_hint(got, expected):
        return hint
    if hint := _factor(got, expected, named if sized else {}):
        return hint
    for look in (_transposed, _missing_factor, _missing_term):
        if hint := look(got, expected, named):
            return hint
    right = np.abs(got - expected) <= CLOSE * _size(expected)
    count = int(np.sum(right))
    if MANY * right.size <= count < right.size:
        first = place(np.unravel_index(int(np.argmin(right)), right.shape))
        return f"{count} of {right.size} elements are right; the first wrong one is at {first}"
    return ""


def shape_hint(got, expected) -> str:
    """A hint about an array whose shape is not that of `expected`, or ""."""
    shape = expected.shape
    if got.ndim >= len(shape):
        added = tuple(range(got.ndim - len(shape)))
        stretched = tuple(len(added) + i for i, n in enumerate(shape) if n == 1 and got.shape[len(added) + i] != 1)
        summed = np.sum(got, axis=added + stretched, keepdims=True)
        if (added or stretched) and summed.size == expected.size and summed.shape[len(added) :] == shape:
            axes = ", ".join(map(str, added + stretched))
            hint = f"forward broadcast this input from {shape} to {got.shape}: backward must sum over axis {axes}"
            return hint if same(summed.reshape(shape), expected) else hint + " (and the numbers are wrong besides)"
    if got.ndim == 2 and got.shape[::-1] == shape:
        return "it is transposed" + ("" if same(got.T, expected) else " (and the numbers are wrong besides)")
    if got.size == expected.size and same(got.reshape(shape), expected):
        return f"the numbers are right: reshape it to {shape}"
    return ""


def same(a, b) -> bool:
    """Equal shapes, and equal numbers up to CLOSE of the largest of b."""
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= CLOSE * _size(b)))


def differ_enough(a, b) -> bool:
    """Whether two arrays are so different that being equal to one of them means something."""
    return a.shape != b.shape or (b.size > 0 and not same(a, b))


def _size(a) -> float:
    return float(np.max(np.abs(a))) if a.size else 0.0


def _enough(a) -> bool:
    return int(np.sum(np.abs(a) > CLOSE * _size(a))) >= ENOUGH


def place(index: tuple) -> str:
    """An index as one writes it: [1, 3]."""
    return "[" + ", ".join(str(int(i)) for i in index) + "]"


def _factor(got, expected, named: dict) -> str | None:
    """got = c · expected, with one number c."""
    if not _enough(expected):
        return None
    factor = float(np.sum(got * expected) / np.sum(expected * expected))
    if abs(factor - 1) < CLOSE or not same(got, factor * expected):
        return None
    if abs(factor + 1) < CLOSE:
        return "the sign is flipped: it is -1 times the right one"
    for name, array in named.items():
        for what, n in [*((f"axis {i}", n) for i, n in enumerate(array.shape)), ("all axes together", array.size)]:
            if n > 1 and min(abs(factor - n), abs(factor * n - 1)) < CLOSE * n:
                times = str(n) if factor > 1 else f"1/{n}"
                return (
                    f"it is {times} times the right one, and {n} {A_SIZE} {name} ({what}): "
                    "a sum where a mean is meant, or the other way round?"
                )
    return f"multiplied by {1 / factor:.4g}, it would be right: is a constant missing, or one too many?"


def _transposed(got, expected, named: dict) -> str | None:
    if got.ndim >= 2 and got.shape[-1] == got.shape[-2] and _enough(expected):
        swapped = np.swapaxes(got, -1, -2)
        if differ_enough(got, swapped) and same(swapped, expected):
            return "it is transposed: swap its last two axes"
    return None


def _missing_factor(got, expected, named: dict) -> str | None:
    """expected = got · z, or got = expected · z, for an array z that plays a part."""
    if not _enough(expected):
        return None
    for name, z in named.items():
        if z.size < 2 or not _fits(z.shape, got.shape) or not np.all(np.isfinite(z)):
            continue
        if same(got * z, expected):
            return f"multiplied by {name}, it would be right: is that factor missing?"
        if same(expected * z, got):
            return f"divided by {name}, it would be right: is that one factor too many?"
    return None


def _missing_term(got, expected, named: dict) -> str | None:
    """got - expected is constant along an axis, or there a multiple of an array z (or of z less its mean)."""
    residual = got - expected
    if not _enough(residual):
        return None
    for axis in range(-1, -got.ndim - 1, -1):
        if got.shape[axis] < ENOUGH:
            continue
        if same(residual, np.broadcast_to(np.mean(residual, axis=axis, keepdims=True), residual.shape)):
            return f"the error is the same all along axis {axis}: a sum or mean over that axis is missing or wrong"
        for name, z in named.items():
            if z.shape != got.shape or not np.all(np.isfinite(z)):
                continue
            for form, v in ((name, z), (f"({name} less its mean)", z - np.mean(z, axis=axis, keepdims=True))):
                squares = np.sum(v * v, axis=axis, keepdims=True)
                along = np.sum(residual * v, axis=axis, keepdims=True) / np.where(squares == 0, 1, squares)
                if same(residual, along * v):
                    return (
                        f"along axis {axis} the error is a multiple of {form}: "
                        f"a term like {form} times a sum or mean over that axis is missing or wrong"
                    )
    return None


def _fits(shape: tuple, into: tuple) -> bool:
    try:
        return np.broadcast_shapes(shape, into) == into
    except ValueError:
        return False


def readable(x: float) -> str:
    """A number with enough digits to compare by eye."""
    return f"{x:.6g}" if math.isfinite(x) else str(x)
