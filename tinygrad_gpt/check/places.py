"""Where the wrong numbers stand: "in the rows whose id occurs twice or more", "at the targets", "where x < 0".

A place is a named set of elements, which a case's arrays and settings tell. It is said only if in every case the wrong
elements are exactly those of the set, but for such as are 0 and should be.
"""

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad_gpt.check.evidence import CLOSE, Evidence, largest
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis

Place = Callable[
    [Evidence], object
]  # booleans of the array's shape, or that broadcast to it; None where there are none


def hypotheses(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses of a place, those that the op knows first."""
    first = cases.failed[0]
    known = PLACES.get(first.check.op, {}) if first.i is not None and all(e.saved for e in cases.failed) else {}
    for words, place in [*known.items(), *_of_any_op(cases)]:
        yield Hypothesis("", lambda e, w=words, p=place: _words(e, w, p), lambda e, p=place: _is_wrong(e, p))
    yield Hypothesis("", lambda e: "all its other elements are right", _is_one_element)


def _is_one_element(e: Evidence) -> bool | None:
    if not e.comparable or e.got.size < 6:
        return None if e.silent or e.comparable else False
    return int(np.sum(wrong_places(e))) == 1


def _is_wrong(e: Evidence, place: Place) -> bool | None:
    if not e.comparable:
        return None if e.silent else False
    there = _of(e, place)
    if there is None:
        return False
    wrong = wrong_places(e)
    tiny = ROUNDED * largest(e.right)
    by_chance = (np.abs(e.got) <= tiny) & (np.abs(e.right) <= tiny)
    if np.any(wrong & ~there) or np.any(there & ~wrong & ~by_chance):
        return False
    return True if wrong.size > 1 and not wrong.all() and np.any(~there & ~by_chance) else None


ROUNDED = 1e-12


def wrong_places(e: Evidence) -> np.ndarray:
    return np.abs(e.got - e.right) > CLOSE * max(largest(e.right), largest(e.got)) * 1e-2


def _of(e: Evidence, place: Place) -> np.ndarray | None:
    there = place(e)
    if there is None:
        return None
    try:
        return np.broadcast_to(there, e.right.shape)
    except ValueError:
        return None


def _words(e: Evidence, words: str, place: Place) -> str:
    there = _of(e, place)
    tiny = ROUNDED * largest(e.right)
    if np.all(np.abs(e.right[there]) <= tiny):
        return f"it is wrong {words}, and only there: it should be 0 there"
    if np.all(np.abs(e.got[there]) <= tiny):
        return f"it is wrong {words}, and only there: it is 0 there"
    return f"it is wrong {words}, and only there"


# --- of any op -------------------------------------------------------------------------------------------------------


def _of_any_op(cases: Cases) -> Iterator[tuple[str, Place]]:
    first = cases.failed[0]
    for name in first.inputs:
        here = lambda e, name=name: e.inputs.get(name)  # noqa: E731
        yield f"where {name} > 0", lambda e, a=here: None if a(e) is None else a(e) > 0
        yield f"where {name} < 0", lambda e, a=here: None if a(e) is None else a(e) < 0
        yield f"where {name} = 0", lambda e, a=here: None if a(e) is None else a(e) == 0
    if first.dy is not None:
        yield "where dy < 0", lambda e: e.dy < 0
        yield "where dy > 0", lambda e: e.dy > 0
        yield "where the output is 0", lambda e: e.y == 0
        yield "where the output is not 0", lambda e: e.y != 0
    yield "where the right one is 0", lambda e: e.right == 0
    names = _AXES.get(first.check.op, {})
    for words, axis in (
        (names.get(0, "the first axis"), lambda e: 0),
        (names.get(-1, "the last axis"), lambda e: e.right.ndim - 1),
        (names.get(-2, "the last axis but one"), lambda e: e.right.ndim - 2),
        (names.get(-3, "the last axis but two"), lambda e: e.right.ndim - 3),
    ):
        yield f"in the last slab along {words}", lambda e, axis=axis: _slab(e, axis(e), slice(-1, None))
        yield f"in the first slab along {words}", lambda e, axis=axis: _slab(e, axis(e), slice(0, 1))
        yield f"after the first slab along {words}", lambda e, axis=axis: _slab(e, axis(e), slice(1, None))
        yield f"before the last slab along {words}", lambda e, axis=axis: _slab(e, axis(e), slice(0, -1))
    yield "in the rows after the first", lambda e: _rows(e, slice(1, None))
    yield "in the last row", lambda e: _rows(e, slice(-1, None))
    for words, which in (
        ("in the matrices after the first one of the batch", slice(1, None)),
        ("in the matrices before the last one of the batch", slice(0, -1)),
        ("in the first matrix of the batch", slice(0, 1)),
        ("in the last matrix of the batch", slice(-1, None)),
    ):
        yield words, lambda e, which=which: _rows(e, which, of=2)
    said = "in the rows after the first n, n being the size of {}"
    for words, count in (
        ("the first axis", lambda e: e.right.shape[0]),
        ("the last axis, of one row", lambda e: e.right.shape[-1]),
    ):
        yield said.format(words), lambda e, count=count: _rows(e, slice(count(e), None))
    if isinstance(first.used.get("axis"), int):
        yield (
            said.format("the first axis").replace("rows", "rows along `axis`"),
            lambda e: _rows_along(e, slice(e.right.shape[0], None)),
        )
    yield "in the last element", lambda e: np.arange(e.right.size).reshape(e.right.shape) == e.right.size - 1
    yield "in all but the first element", lambda e: np.arange(e.right.size).reshape(e.right.shape) > 0


_AXES = {  # what an op calls its axes
    "cross_entropy": {-1: "the last axis, the classes"},
    "attention": {0: "the first axis, B", -3: "axis 1, the heads", -2: "axis 2, T", -1: "the last axis, D"},
}


def _slab(e: Evidence, axis: int, which: slice):
    if not 0 <= axis < e.right.ndim:
        return None
    there = np.zeros(e.right.shape, bool)
    np.moveaxis(there, axis, 0)[which] = True
    return there


def _rows(e: Evidence, which: slice, of: int = 1):
    """So many of all rows, which lie along the last axis; or of all matrices (`of` 2), along the last two."""
    if e.right.ndim < of or not e.right.size:
        return None
    there = np.zeros((e.right.size // int(np.prod(e.right.shape[-of:])), *e.right.shape[-of:]), bool)
    there[which] = True
    return there.reshape(e.right.shape)


def _rows_along(e: Evidence, which: slice):
    """So many of all rows along the op's axis."""
    moved = np.moveaxis(np.zeros(e.right.shape, bool), e.axis, -1)
    there = np.zeros((e.right.size // max(1, moved.shape[-1]), moved.shape[-1]), bool)
    there[which] = True
    return np.moveaxis(there.reshape(moved.shape), -1, e.axis)


# --- of one op -------------------------------------------------------------------------------------------------------


def _array(e: Evidence, name: str):
    return dict(zip(e.check.names, e.call.arrays, strict=True)).get(name)


def _rows_of_ids(test) -> Place:
    def place(e: Evidence):
        counts = np.bincount(_array(e, "ids").astype(np.int64).ravel(), minlength=len(e.right))
        return test(counts).reshape(-1, 1)

    return place


def _targets(e: Evidence):
    one_hot = np.zeros((e.right.size // e.right.shape[-1], e.right.shape[-1]), bool)
    counts, targets = e.saved["counts"], e.saved["targets"]
    one_hot[np.flatnonzero(counts), targets[counts]] = True
    return one_hot.reshape(e.right.shape)


def _ignored(e: Evidence):
    return ~e.saved["counts"].reshape(*e.right.shape[:-1], 1)


def _largest(e: Evidence):
    return e.saved.get("is_largest")


def _ties(e: Evidence):
    is_largest = e.saved["is_largest"]
    return is_largest & (np.sum(is_largest, axis=e.saved["axes"], keepdims=True) > 1)


def _bounds(e: Evidence, above: bool):
    bound = e.used.get("max" if above else "min")
    return False if bound is None else e.x > bound if above else e.x < bound


def _sees_nothing(e: Evidence):
    return np.all(e.saved["p"] == 0, axis=-1)[..., None] if e.name == "q" else None


def _unseen(e: Evidence):
    return np.all(e.saved["p"] == 0, axis=-2)[..., None] if e.name in ("k", "v") else None


def _may_not_attend(e: Evidence):
    return None if e.name != "mask" or e.right.shape != e.saved["p"].shape else e.saved["p"] == 0


PLACES: dict[str, dict[str, Place]] = {
    "embedding": {
        "in the rows whose id occurs twice or more": _rows_of_ids(lambda n: n > 1),
        "in the rows whose id occurs once": _rows_of_ids(lambda n: n == 1),
        "in the rows whose id does not occur": _rows_of_ids(lambda n: n == 0),
        "in the rows whose id occurs": _rows_of_ids(lambda n: n > 0),
    },
    "cross_entropy": {
        "in all classes but class 0": lambda e: np.arange(e.right.shape[-1]) > 0,
        "at the targets": _targets,
        "everywhere but at the targets": lambda e: ~_targets(e) & ~_ignored(e),
        "at the targets of the rows after the first": lambda e: _targets(e) & _rows(e, slice(1, None)),
        "at the targets of the rows after the first n, n being the number of classes": lambda e: (
            _targets(e) & _rows(e, slice(e.right.shape[-1], None))
        ),
        "at the targets of the rows after the first n, n being the size of the first axis": lambda e: (
            _targets(e) & _rows(e, slice(e.right.shape[0], None))
        ),
        "in the ignored rows": _ignored,
        "in the rows that count": lambda e: ~_ignored(e),
    },
    "max": {
        "where several elements are the largest": _ties,
        "at the largest elements": _largest,
        "everywhere but at the largest elements": lambda e: ~_largest(e),
    },
    "clamp": {
        "below the lower bound": lambda e: _bounds(e, above=False),
        "above the upper bound": lambda e: _bounds(e, above=True),
        "beyond the bounds": lambda e: _bounds(e, above=False) | _bounds(e, above=True),
    },
    "where": {
        "where the condition is true": lambda e: _array(e, "condition"),
        "where the condition is false": lambda e: ~_array(e, "condition"),
    },
    "attention": {
        "in the rows that may see nothing": _sees_nothing,
        "in the keys that no query may see": _unseen,
        "at the masked places": _may_not_attend,
    },
}
