"""The right gradient of something else: what came is what would be right for another dy, setting, input or output.

    for dy of ones          backward ignores dy                    (G01)
    of another input        gradients in another order             (G05)
    dy itself               the op's own derivative is missing     (G02)
    for a setting left out  as where dropout, label_smoothing or axis is forgotten in backward
    at other inputs         as where a factor is forgotten (weight of ones), or y is taken for x  (G06)
    with other ids          as where targets are shifted by one, or the first one stands for all
    with another saved      as where x is taken for y, v for k, or a sum is not divided by

Each is computed with the reference, for the very arrays of the case, so that a match is no matter of judgement.
"""

import math
from collections.abc import Iterator

import numpy as np

from tinygrad_gpt import array
from tinygrad_gpt.check.evidence import Evidence, largest
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis, predicting
from tinygrad_gpt.check.terms import summed


def hypotheses(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses about a gradient, the likeliest first."""
    said = "it is returned in the place of another: are the gradients returned in the order of forward's inputs?"
    yield Hypothesis("G05", lambda e: said, _is_in_anothers_place)
    yield Hypothesis("G03", _nothing, _is_nothing, lambda e: not e.is_zero)
    for name in dict.fromkeys(name for e in cases.failed for name in e.inputs):
        other = lambda e, name=name: e.others.get(name)  # noqa: E731
        said = f"it is the gradient of {name}: are the gradients returned in the order of forward's inputs?"
        yield predicting("G05", said, lambda e, o=other, n=name: None if _is_right(e, n) else o(e))
        said = f"it is the gradient of {name}, which is right: what tells the two apart is missing here"
        yield predicting("", said, other)
    yield predicting("G02", _dy_itself, _dy_in_any_shape)
    said = "it equals the gradient for an upstream gradient of ones: is dy ignored?"
    yield predicting("G01", said, lambda e: e.for_ones)
    said = "it is the gradient for dy = the output: is y used in the place of dy?"
    yield predicting("", said, lambda e: None if e.dy is None else e.right_for((e.y,)))
    for name in dict.fromkeys(name for e in cases.failed for name in e.inputs):
        said = f"it is the gradient for dy = {name}: is {name} used in the place of dy?"
        yield predicting("", said, lambda e, name=name: _for_input(e, name))
    for sign, dy in ((1, "dy"), (-1, "minus dy")):
        said = f"it is {dy}, no more: the op's own derivative is missing"
        yield predicting("G02", said, lambda e, sign=sign: None if e.dy is None else summed(sign * e.dy, e.right.shape))
    yield from _of_a_sibling(cases)
    yield from _other_settings(cases)
    yield from _other_inputs(cases)
    yield from _other_saved(cases)
    yield from _other_ids(cases)
    yield from _first_of_saved(cases)
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


def _is_in_anothers_place(e: Evidence) -> bool | None:
    """Whether no gradient came, and the right one stands where another input's belongs."""
    if e.silent or e.is_zero:
        return None
    return e.got is None and any(g is not None and e.same(g, e.right) for g in e.call.grads)


def _is_right(e: Evidence, name: str) -> bool:
    """Whether the gradient that came for another input is right."""
    if name not in e.others:
        return False
    g = e.call.grads[e.check.names.index(name)]
    return g is not None and e.same(g, e.others[name])


def _dy_in_any_shape(e: Evidence):
    """dy, reshaped if that is how it came."""
    if e.dy is None or e.got is None or e.got.shape == e.dy.shape or e.got.size != e.dy.size or e.got.ndim < e.dy.ndim:
        return e.dy
    return e.dy.reshape(e.got.shape)


_SIBLINGS = {  # ops that are easily taken for each other
    "softmax": ("log_softmax",),
    "log_softmax": ("softmax",),
    "gelu": ("silu", "relu"),
    "silu": ("gelu", "relu"),
    "sigmoid": ("tanh",),
    "tanh": ("sigmoid",),
    "softplus": ("relu",),
    "sin": ("cos",),
    "cos": ("sin",),
    "max": ("sum", "mean"),
    "logsumexp": ("max", "sum"),
    "mul": ("div", "add"),
    "div": ("mul", "sub"),
    "add": ("sub", "mul"),
    "sub": ("add",),
}


def _of_a_sibling(cases: Cases) -> Iterator[Hypothesis]:
    for op in _SIBLINGS.get(cases.failed[0].check.op, ()):
        yield predicting("", f"it is the gradient of {op}, another op", lambda e, op=op: e.right_of(op))


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
        candidates += [v for v in values if isinstance(v, str)] + {"axis": [-1, 0], "eps": [0.0]}.get(name, [])
        for value in dict.fromkeys(v for v in candidates if isinstance(v, int | float | str | None.__class__)):
            if name == "seed":
                continue
            said = f"it is the gradient for {name}={value!r}: does backward use {name}?"
            yield predicting("", said, lambda e, n=name, v=value: e.right_with(**{n: v}))
            said = f"it is the gradient for {name}={value!r} and the sum of all of dy: does backward use {name}?"
            yield predicting("", said, lambda e, n=name, v=value: e.right_for_all_of_dy(**{n: v}))
            said = f"it is the gradient with {_kept(cases.failed[0])} found for {name}={value!r}: is {name} used there?"
            yield predicting("", said, lambda e, n=name, v=value: e.right_with_saved_of(**{n: v}))


def _kept(e: Evidence) -> str:
    """The arrays that forward keeps for backward, by name."""
    return " and ".join(name for name, a in e.saved.items() if isinstance(a, np.ndarray) and a.ndim)


def _other_inputs(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if one input were left out, or held ones, or if the derivative were taken at y."""
    for i, name in enumerate(cases.failed[0].check.names):
        said = f"it is the gradient where no {name} is given: does backward use {name}?"
        yield predicting("", said, lambda e, i=i: e.right_at(i, None))
        if i != cases.failed[0].i:
            said = f"it is the gradient where {name} holds ones: is {name} missing in it?"
            yield predicting("", said, lambda e, i=i: e.right_at(i, np.ones_like))
        else:
            if cases.failed[0].check.op == "max":
                said = "dy goes to the smallest elements, where it should go to the largest"
                yield predicting("", said, lambda e, i=i: e.right_at(i, np.negative))
            said = f"it is the derivative at the output instead of at {name}"
            yield predicting(
                "G06", said, lambda e, i=i: e.right_at(i, lambda x, e=e: e.y if e.y.shape == x.shape else None)
            )


def _for_input(e: Evidence, name: str):
    x = e.inputs.get(name)
    return e.right_for((x,)) if x is not None and e.dy is not None and x.shape == e.dy.shape else None


def _other_saved(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if one of the arrays that backward reads were another, or ones."""
    read = [name for name, a in cases.failed[0].saved.items() if array.is_float(a)]
    for name in read:
        said = f"it is the gradient where {name} holds ones: is {name} missing in it?"
        yield predicting("", said, lambda e, name=name: e.right_with_saved(name, np.ones_like))
        for other in cases.failed[0].stand_ins:
            if other != name:
                said = f"it is the gradient with {other} in the place of {name}"
                yield predicting(
                    "", said, lambda e, n=name, o=other: e.right_with_saved(n, lambda _, e=e, o=o: e.stand_ins.get(o))
                )


_FIRST = {"row": 1, "matrix": 2}  # of what lies along so many of the last axes


def _first_of_saved(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if the first row, matrix or slab of an array that backward reads stood for all."""
    for name in [name for name, a in cases.failed[0].saved.items() if array.is_float(a)]:
        for what, axes in (*_FIRST.items(), ("slab (along its first axis)", None)):
            said = f"it is the gradient with the first {what} of {name} in the place of all: does an index stay at 0?"
            change = lambda a, axes=axes: _first(a, axes)  # noqa: E731
            yield predicting("", said, lambda e, name=name, change=change: e.right_with_saved(name, change))


def _first(a, axes: int | None) -> np.ndarray | None:
    axes = a.ndim - 1 if axes is None else axes
    if a.ndim <= axes or not a.size:
        return None
    return np.broadcast_to(a.reshape(-1, *a.shape[a.ndim - axes :])[0], a.shape).copy()


def _other_ids(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if the integers that backward reads, such as targets, were others."""
    for name, a in cases.failed[0].saved.items():
        if not isinstance(a, np.ndarray) or a.dtype.kind not in "iu":
            continue
        for said, change in (
            (f"{name} + 1 in the place of {name}", lambda a, n: (a + 1) % n if n else None),
            (f"{name} - 1 in the place of {name}", lambda a, n: (a - 1) % n if n else None),
            (f"0 in the place of all {name}: are {name} used?", lambda a, n: np.zeros_like(a)),
            (
                f"the last number in the place of all {name}: are {name} used?",
                lambda a, n: np.full_like(a, n - 1) if n else None,
            ),
            (f"the next row's {name} in each row: are they shifted?", lambda a, n: np.roll(a, -1)),
            (f"the previous row's {name} in each row: are they shifted?", lambda a, n: np.roll(a, 1)),
            (
                f"the first of {name} in the place of all: does an index stay at 0?",
                lambda a, n: np.full_like(a, a.ravel()[0]),
            ),
        ):
            predict = lambda e, name=name, change=change: _with_ids(e, name, change)  # noqa: E731
            yield predicting("", f"it is the gradient with {said}", predict)


def _with_ids(e: Evidence, name: str, change) -> np.ndarray | None:
    n = _COUNTS.get(e.check.op, lambda e: 0)(e)
    return e.right_with_saved(name, lambda a: change(a.astype(np.int64), n) if a.size else None)


_COUNTS = {"cross_entropy": lambda e: e.right.shape[-1], "embedding": lambda e: e.right.shape[0]}  # of the ids


def _parts_of_dy(cases: Cases) -> Iterator[Hypothesis]:
    """What would be right if dy were 0 but for its first row, or in its last one: a loop or a sum that is too short."""
    for which, said in (
        (slice(0, 1), "it is what the first {} of dy gives, alone: is the rest left out?"),
        (slice(-1, None), "it is what the last {} of dy gives, alone: is the rest left out?"),
        (slice(0, -1), "it lacks what the last {} of dy gives: does a loop end one too early?"),
        (slice(1, None), "it lacks what the first {} of dy gives: does a loop begin one too late?"),
    ):
        second = "the heads" if cases.failed[0].check.op == "attention" else "its second axis"
        if cases.failed[0].check.op == "matmul":
            said_of_one = said.format("matrix")
            yield predicting("G21", said_of_one, lambda e, which=which: e.right_for((_matrices(e, which),)))
        for axis, what in ((None, "row"), (0, "slab (along its first axis)"), (1, f"slab (along {second})")):
            predict = lambda e, which=which, axis=axis: e.right_for(_part(e, which, axis))  # noqa: E731
            yield predicting("G21", said.format(what), predict)


def _matrices(e: Evidence, which: slice) -> np.ndarray:
    """matmul's dy with only so many of its matrices: of vectors, they have an axis less."""
    axes = sum(a.ndim > 1 for a in e.inputs.values())
    kept = np.zeros((math.prod(e.dy.shape[: e.dy.ndim - axes]), *e.dy.shape[e.dy.ndim - axes :]))
    kept[which] = e.dy.reshape(kept.shape)[which]
    return kept.reshape(e.dy.shape)


def _part(e: Evidence, which: slice, axis: int | None) -> tuple:
    """The upstream gradients with only so many of their slabs along an axis; or for None of their rows, which lie along
    the last axis."""
    parts = []
    for dy in e.call.dys:
        rows = dy.reshape(-1, dy.shape[-1] if dy.ndim else 1) if axis is None and dy.size else dy
        kept = np.zeros_like(rows)
        if rows.ndim > (axis or 0) + bool(axis):  # its second axis must not be its last: they are columns
            there = (slice(None),) * (axis or 0) + (which,)
            kept[there] = rows[there]
        else:
            kept[...] = rows
        parts.append(kept.reshape(dy.shape))
    return tuple(parts)
