"""The right gradient of something else: what came is what would be right for another dy, setting, input or output.

    for dy of ones          backward ignores dy                    (G01)
    of another input        gradients in another order             (G05)
    dy itself               the op's own derivative is missing     (G02)
    for a setting left out  as where dropout, label_smoothing or axis is forgotten in backward
    at other inputs         as where a factor is forgotten (weight of ones), or y is taken for x  (G06)

Each is computed with the reference, for the very arrays of the case, so that a match is no matter of judgement.
"""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.check.evidence import Evidence, largest
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis, predicting

_FIRST, _LAST = "the first", "the last"


def hypotheses(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses about a gradient, the likeliest first."""
    yield Hypothesis("G03", _nothing, _is_nothing, lambda e: not e.is_zero)
    for name in dict.fromkeys(name for e in cases.failed for name in e.inputs):
        said = f"it is the gradient of {name}: are the gradients returned in the order of forward's inputs?"
        yield predicting("G05", said, lambda e, name=name: e.others.get(name))
    yield predicting("G02", _dy_itself, lambda e: e.dy)
    said = "it equals the gradient for an upstream gradient of ones: is dy ignored?"
    yield predicting("G01", said, lambda e: e.for_ones)
    yield predicting("G02", "it is minus dy: the op's own derivative is missing", lambda e: None if e.dy is None else -e.dy)
    yield from _other_settings(cases)
    yield from _other_inputs(cases)
    yield from _parts_of_dy(cases)


def _nothing(e: Evidence) -> str:
    if e.got is None:
        returned = e.call.grads and all(g is None for g in e.call.grads)
        return "did backward return anything?" if returned else "is the input's contribution dropped?"
    return "it is all zeros: is the input's contribution dropped?"


def _is_nothing(e: Evidence) -> bool | None:
    if e.silent:
        return None
    if e.is_zero:
        return False if largest(e.got) > e.least else None
    return e.got is None or (e.got.size > 0 and e.same(e.got, np.zeros_like(e.got)))


def _dy_itself(e: Evidence) -> str:
    if e.got.shape != e.right.shape:
        return f"it is dy as it came, of shape {e.got.shape}: the op's own derivative is missing"
    return "it is dy itself: the op's own derivative is missing"


def _other_settings(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if one setting had its default, or another case's value."""
    used = [e.used for e in cases.failed]
    for name in dict.fromkeys(name for settings in used for name in settings):
        values = [s[name] for s in used if name in s] + [e.used[name] for e in cases.right if name in e.used]
        defaults = cases.failed[0].defaults
        candidates = [defaults[name]] if name in defaults else []
        candidates += [v for v in values if isinstance(v, str)] + ([-1, 0] if name == "axis" else [])
        for value in dict.fromkeys(v for v in candidates if isinstance(v, int | float | str | None.__class__)):
            if name == "seed":
                continue
            said = f"it is the gradient for {name}={value!r}: does backward use {name}?"
            yield predicting("", said, lambda e, n=name, v=value: e.right_with(**{n: v}))


def _other_inputs(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if one input were left out, or held ones, or if the derivative were taken at y."""
    for i, name in enumerate(cases.failed[0].check.names):
        said = f"it is the gradient where no {name} is given: does backward use {name}?"
        yield predicting("", said, lambda e, i=i: e.right_at(i, None) if e.call.arrays[i] is not None else None)
        said = f"it is the gradient for a {name} of ones: is {name} missing in it?"
        yield predicting("", said, lambda e, i=i: e.right_at(i, np.ones_like))
        if i == cases.failed[0].i:
            said = f"it is the derivative at the output instead of at {name}"
            yield predicting("G06", said, lambda e, i=i: e.right_at(i, lambda x, e=e: e.y if e.y.shape == x.shape else None))


def _parts_of_dy(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if dy were 0 but for its first row, or in its last one: a loop, or a sum, that is too short."""
    for which, said in (
        (_FIRST, "it is what the first row of dy gives, alone: are the rows summed, all of them?"),
        (_LAST, "it is what the last row of dy gives, alone: are the rows summed, all of them?"),
        ("all but the last", "it lacks what the last row of dy gives: does a loop end one too early?"),
        ("all but the first", "it lacks what the first row of dy gives: does a loop begin one too late?"),
    ):
        for flat in (False, True):
            yield predicting("G21", said, lambda e, which=which, flat=flat: e.right_for(_part(e, which, flat)))


def _part(e: Evidence, which: str, flat: bool) -> tuple:
    """The upstream gradients with only so many of their rows; rows along the first axis, or `flat`, along all but the
    last one."""
    parts = []
    for dy in e.call.dys:
        rows = dy.reshape(-1, dy.shape[-1]) if flat and dy.ndim > 1 else dy.reshape(dy.shape or (1,))
        keep = np.zeros(rows.shape[0], bool)
        keep[{_FIRST: slice(0, 1), _LAST: slice(-1, None), "all but the last": slice(0, -1)}.get(which, slice(1, None))] = True
        parts.append((rows * keep.reshape(-1, *[1] * (rows.ndim - 1))).reshape(dy.shape))
    return tuple(parts)
