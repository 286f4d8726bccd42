"""Inputs for checking ops: for each op, the cases on which every version of it must be right.

    for case in cases("layer_norm"):
        y, saved = pair.forward(*case.arrays, **case.settings)

Shapes are chosen to be awkward: no two sizes equal, so that a swapped axis shows; sizes of 1, where broadcasting and
reductions have their corners; sizes of 0, where they are legal; sizes just past a power of two, where a kernel's blocks
end; and arrays that do not lie in memory row by row. Values have nothing special about them, and keep clear of kinks
(a tie of two maxima, the 0 of relu), where finite differences measure nothing. They are float64, and the same at every
call.

`arrays` holds all that forward takes, None included, so that backward returns just as many gradients.
"""

from dataclasses import dataclass

import numpy as np

from tinygrad_gpt.kernels.registry import op_names


@dataclass(frozen=True)
class Case:
    """One call of an op: `forward(*arrays, **settings)`. Floats are float64."""

    name: str
    arrays: tuple
    settings: dict


def cases(op: str) -> list[Case]:
    """The cases of `op`, with fresh arrays. Raises ValueError for a name that is no op."""
    if op not in _MAKERS:
        raise ValueError(f"there are no cases for {op!r}; the ops are {', '.join(op_names())}")
    made = _MAKERS[op](_Draw(op))
    return [Case(name, arrays, settings) for name, arrays, settings in made]


LONG = 1025  # one more than any vector or block of a kernel divides


class _Draw:
    """Random arrays; the op's name is the seed."""

    def __init__(self, op: str):
        self.rng = np.random.default_rng(list(op.encode()))

    def normal(self, *shape: int, size: float = 1.0) -> np.ndarray:
        return np.asarray(size * self.rng.standard_normal(shape))

    def positive(self, *shape: int) -> np.ndarray:
        return np.asarray(self.rng.uniform(0.5, 3.0, shape))

    def nonzero(self, *shape: int) -> np.ndarray:
        """Of either sign, at least 0.3 away from 0."""
        return np.asarray(self.rng.uniform(0.3, 3.0, shape) * self.rng.choice([-1.0, 1.0], shape))

    def distinct(self, *shape: int) -> np.ndarray:
        """No two closer than 0.05."""
        n = int(np.prod(shape))
        return (0.1 * self.rng.permutation(n) + self.rng.uniform(0, 0.05, n) - 0.05 * n).reshape(shape)

    def bools(self, *shape: int) -> np.ndarray:
        return np.asarray(self.rng.random(shape) < 0.6)

    def ids(self, below: int, *shape: int, dtype=np.int64) -> np.ndarray:
        return np.asarray(self.rng.integers(0, below, shape), dtype=dtype)


# --- ways to lie in memory ---------------------------------------------------------------------------------------


def _strided(a: np.ndarray) -> np.ndarray:
    """The same numbers with gaps between them, the last axis running backwards."""
    wide = np.zeros((*a.shape, 3))
    wide[..., 1] = a[..., ::-1]
    return wide[..., 1][..., ::-1]


def _transposed(a: np.ndarray) -> np.ndarray:
    """The same numbers, the axes in reverse order in memory."""
    return np.array(a.T, order="C").T


# --- elementwise -------------------------------------------------------------------------------------------------


def _unary(values: str = "normal", **settings):
    """Cases of an op on one array, whose elements _Draw's method `values` makes."""

    def make(draw):
        one = getattr(draw, values)
        yield "three axes", (one(2, 3, 5),), settings
        yield "a number", (one(),), settings
        yield "one element", (one(1, 1),), settings
        yield "nothing", (one(0, 3),), settings
        yield "long", (one(LONG),), settings
        yield "strided", (_strided(one(3, 7)),), settings
        yield "transposed", (_transposed(one(4, 2, 3)),), settings

    return make


def _with_large(make, size: float):
    """More cases: arguments so large that the function is flat, or overflows if written carelessly."""

    def more(draw):
        yield from make(draw)
        yield "large", (np.linspace(-size, size, 23),), {}

    return more


def _pow(draw):
    yield "square", (draw.normal(2, 3, 5),), {"exponent": 2}
    yield "cube", (draw.normal(7),), {"exponent": 3}
    yield "root", (draw.positive(3, 5),), {"exponent": 0.5}
    yield "inverse", (draw.nonzero(3, 5),), {"exponent": -1}
    yield "fraction", (draw.positive(131),), {"exponent": -1.7}
    yield "power one, at zero too", (np.array([0.0, 1.5, -2.0]),), {"exponent": 1}
    yield "power zero, at zero too", (np.array([0.0, 1.5, -2.0]),), {"exponent": 0}
    yield "a number", (draw.positive(),), {"exponent": 2.5}
    yield "one element", (draw.positive(1, 1),), {"exponent": 2}
    yield "nothing", (draw.positive(0, 3),), {"exponent": 2}
    yield "strided", (_strided(draw.positive(3, 7)),), {"exponent": 1.5}


def _gelu(draw):
    for approximate in ("tanh", "none"):
        for name, arrays, _ in _with_large(_unary(), 12.0)(draw):
            yield f"{approximate}, {name}", arrays, {"approximate": approximate}


def _dropout(draw):
    for p in (0.0, 0.1, 0.75):
        yield f"p = {p}", (draw.normal(3, 5, 7),), {"p": p, "seed": 1234567}
    for name, arrays, _ in _unary()(draw):
        yield name, arrays, {"p": 0.4, "seed": 2**62 + 987654321}


_BROADCASTS = {
    "one shape": ((2, 3, 5), (2, 3, 5)),
    "a row to many": ((2, 3, 5), (5,)),
    "many to a row": ((5,), (2, 3, 5)),
    "a column and a row": ((3, 1), (5,)),
    "stretched both ways": ((2, 1, 5), (3, 1)),
    "a number and an array": ((), (4,)),
    "an array and one element": ((3, 4), (1, 1, 1)),
    "two numbers": ((), ()),
    "nothing": ((0, 3), (1, 3)),
    "stretched to nothing": ((1, 3), (0, 1)),
    "long": ((3, LONG), (LONG,)),
}


def _binary(values: str = "normal", other: str | None = None):
    """Cases of an op on two arrays that broadcast."""

    def make(draw):
        one, two = getattr(draw, values), getattr(draw, other or values)
        for name, (a, b) in _BROADCASTS.items():
            yield name, (one(*a), two(*b)), {}
        yield "strided and transposed", (_strided(one(3, 5)), _transposed(two(2, 3, 5))), {}

    return make


def _maximum(draw):
    for name, shapes in _BROADCASTS.items():
        a, b = (draw.distinct(*shape) for shape in shapes)
        yield name, (a, np.asarray(b + 0.071)), {}  # a's and b's elements are from two grids that do not meet
    yield "strided and transposed", (_strided(draw.distinct(3, 5)), _transposed(draw.distinct(2, 3, 5)) + 0.071), {}


def _where(draw):
    for name, (a, b) in _BROADCASTS.items():
        condition = draw.bools(*np.broadcast_shapes(a, b))
        yield name, (condition, draw.normal(*a), draw.normal(*b)), {}
    yield "the condition broadcasts", (draw.bools(3, 1), draw.normal(2, 3, 5), draw.normal(5)), {}
    yield "the condition stretches both", (draw.bools(2, 3, 5), draw.normal(5), draw.normal(3, 1)), {}
    yield "strided", (draw.bools(6, 4)[::2], _strided(draw.normal(3, 4)), _transposed(draw.normal(3, 4))), {}


# --- reductions --------------------------------------------------------------------------------------------------


def _reduction(values: str = "normal", of_nothing: bool = False, **settings):
    """Cases of an op that reduces axes; `of_nothing`: whether it may reduce no elements at all."""

    def make(draw):
        one = getattr(draw, values)
        for axis in (None, 0, 1, -1, (0, 2), (-1, 1), (2, 0, 1)):
            for keepdims in (False, True):
                name = f"axis {axis}" + ", kept" * keepdims
                yield name, (one(2, 3, 5),), {"axis": axis, "keepdims": keepdims} | settings
        yield "no axis", (one(2, 3),), {"axis": ()} | settings
        yield "size one", (one(3, 1),), {"axis": 1} | settings
        yield "no rows", (one(0, 3),), {"axis": 1} | settings
        yield "long", (one(3, LONG),), {"axis": 1} | settings
        yield "strided", (_strided(one(3, 7)),), {"axis": 0} | settings
        yield "transposed", (_transposed(one(4, 2, 3)),), {"axis": (0, -1)} | settings
        if of_nothing:
            yield "of nothing", (one(0, 3),), {"axis": 0} | settings
            yield "a number", (one(),), settings

    return make


def _var(draw):
    yield from _reduction()(draw)
    for correction in (1, 0.5):
        yield f"correction {correction}", (draw.normal(3, 5),), {"axis": 1, "correction": correction}
    yield "far from 0", (draw.normal(3, 5) + 50,), {"axis": -1, "keepdims": True}


# --- shapes ------------------------------------------------------------------------------------------------------


def _reshape(draw):
    for name, old, new in [
        ("two axes to one", (3, 5), (15,)),
        ("one axis to three", (30,), (2, 3, 5)),
        ("worked out", (4, 6), (3, -1)),
        ("worked out alone", (2, 3, 5), (-1,)),
        ("a number to an axis", (), (1,)),
        ("an element to a number", (1, 1), ()),
        ("nothing", (0, 3), (5, 0)),
    ]:
        yield name, (draw.normal(*old),), {"shape": new}
    yield "transposed", (_transposed(draw.normal(4, 6)),), {"shape": (8, 3)}


def _transpose(draw):
    yield "two axes", (draw.normal(3, 5),), {"axes": (1, 0)}
    yield "rotated", (draw.normal(2, 3, 5),), {"axes": (1, 2, 0)}
    yield "four axes", (draw.normal(2, 3, 4, 5),), {"axes": (0, 2, 1, 3)}
    yield "four axes, no two at home", (draw.normal(2, 3, 4, 5),), {"axes": (3, 0, 1, 2)}
    yield "counted from the end", (draw.normal(2, 3, 5),), {"axes": (-1, 0, -2)}
    yield "left alone", (draw.normal(2, 3),), {"axes": (0, 1)}
    yield "sizes one", (draw.normal(1, 3, 1),), {"axes": (2, 0, 1)}
    yield "a number", (draw.normal(),), {"axes": ()}
    yield "nothing", (draw.normal(0, 3),), {"axes": (1, 0)}
    yield "strided", (_strided(draw.normal(3, 4, 2)),), {"axes": (2, 0, 1)}


def _broadcast_to(draw):
    for name, old, new in [
        ("as it is", (2, 3), (2, 3)),
        ("a new axis", (5,), (3, 5)),
        ("stretched", (3, 1), (3, 5)),
        ("both", (3, 1, 5), (2, 3, 4, 5)),
        ("a number", (), (2, 3)),
        ("all stretched", (1, 1), (3, 5)),
        ("to nothing", (1, 3), (0, 3)),
        ("nothing", (0, 1), (0, 3)),
    ]:
        yield name, (draw.normal(*old),), {"shape": new}
    yield "transposed", (_transposed(draw.normal(2, 1, 3)),), {"shape": (2, 4, 3)}


def _getitem(draw):
    x = draw.normal(4, 5, 3)
    for name, index in [
        ("integer", 2),
        ("integer from the end", -1),
        ("all integers", (1, 2, 0)),
        ("slice", slice(1, 3)),
        ("slices with steps", (slice(None, None, 2), slice(None, None, -1))),
        ("empty slice", slice(2, 2)),
        ("ellipsis", (..., 1)),
        ("new axes", (None, 1, ..., None)),
        ("nothing but the ellipsis", ...),
        ("integer array", np.array([3, 0, 1])),
        ("repeated", np.array([1, 1, -3, 0, 1])),
        ("repeated, on a later axis", (slice(None), np.array([4, 4, 0, -1]))),
        ("repeated, two axes", np.array([[0, 2, 0], [0, 0, 3]])),
        ("repeated pairs", (np.array([0, 1, 0, 0]), np.array([2, 2, 2, 1]))),
        ("integer arrays that broadcast", (np.array([[0], [2]]), np.array([1, 1, 4]))),
        ("integer arrays apart", (np.array([0, 0, 1]), slice(1, 4), np.array([2, 2, 0]))),
        ("a list", [2, 2, 0]),
        ("no ids", np.array([], dtype=np.int64)),
        ("booleans of rows", np.array([True, False, True, True])),
        ("booleans of elements", x > 0),
        ("no booleans", np.zeros((4, 5), dtype=bool)),
    ]:
        yield name, (x,), {"index": index}
    yield "strided", (_strided(draw.normal(4, 5)),), {"index": (np.array([1, 1, 2]), slice(1, None))}
    yield "one axis, repeated", (draw.normal(7),), {"index": np.array([6, 6, 0, 6])}
    yield "sizes one", (draw.normal(1, 3, 1),), {"index": (0, slice(None), np.array([0, 0]))}
    yield "of nothing", (draw.normal(0, 3),), {"index": (slice(None), 1)}


def _concatenate(draw):
    yield "two", (draw.normal(2, 3), draw.normal(4, 3)), {}
    yield "three, last axis", (draw.normal(2, 3), draw.normal(2, 1), draw.normal(2, 4)), {"axis": -1}
    yield "middle axis", (draw.normal(2, 3, 5), draw.normal(2, 4, 5)), {"axis": 1}
    yield "one", (draw.normal(2, 3),), {"axis": 1}
    yield "one of them empty", (draw.normal(3), draw.normal(0), draw.normal(2)), {}
    yield "strided", (_strided(draw.normal(3, 2)), _transposed(draw.normal(3, 4))), {"axis": 1}


def _split(draw):
    yield "thirds", (draw.normal(2, 9),), {"sections": 3}
    yield "first axis", (draw.normal(4, 3),), {"sections": 2, "axis": 0}
    yield "middle axis", (draw.normal(2, 6, 5),), {"sections": 2, "axis": 1}
    yield "sizes", (draw.normal(2, 7),), {"sections": (4, 1, 2), "axis": -1}
    yield "one of them empty", (draw.normal(2, 7),), {"sections": (4, 0, 3), "axis": 1}
    yield "one", (draw.normal(2, 3),), {"sections": 1}
    yield "pieces of size one", (draw.normal(1, 3),), {"sections": 3}
    yield "of nothing", (draw.normal(0, 4),), {"sections": 2}
    yield "strided", (_strided(draw.normal(2, 6)),), {"sections": 2}


# --- layers ------------------------------------------------------------------------------------------------------


def _matmul(draw):
    for name, a, b in [
        ("matrices", (2, 3), (3, 5)),
        ("batches", (4, 2, 3), (4, 3, 5)),
        ("two batch axes", (2, 3, 4, 5), (2, 3, 5, 7)),
        ("one matrix for a batch", (4, 2, 3), (3, 5)),
        ("a batch for one matrix", (2, 3), (4, 3, 5)),
        ("batches that broadcast", (6, 1, 2, 3), (4, 3, 5)),
        ("row by matrix", (3,), (3, 5)),
        ("matrix by column", (2, 3), (3,)),
        ("row by batch", (3,), (4, 3, 5)),
        ("batch by column", (4, 2, 3), (3,)),
        ("row by column", (3,), (3,)),
        ("sizes one", (1, 1), (1, 1)),
        ("nothing to sum", (2, 0), (0, 3)),
        ("no rows", (0, 2), (2, 3)),
        ("larger", (33, 65), (65, 17)),
    ]:
        yield name, (draw.normal(*a), draw.normal(*b)), {}
    yield "strided and transposed", (_strided(draw.normal(2, 3)), _transposed(draw.normal(4, 3, 5))), {}


def _linear(draw):
    for name, x, c_out in [
        ("rows", (7, 5), 3),
        ("batches", (2, 3, 5), 4),
        ("one row", (5,), 3),
        ("one in, one out", (3, 1), 1),
        ("no rows", (0, 5), 3),
        ("larger", (33, 65), 17),
    ]:
        c_in = x[-1]
        yield name, (draw.normal(*x), draw.normal(c_out, c_in), draw.normal(c_out)), {}
        yield f"{name}, no bias", (draw.normal(*x), draw.normal(c_out, c_in), None), {}
    strided = (_strided(draw.normal(2, 3, 5)), _transposed(draw.normal(4, 5)), _strided(draw.normal(4)))
    yield "strided and transposed", strided, {}


def _embedding(draw):
    yield "batch", (draw.ids(7, 2, 5), draw.normal(7, 3)), {}
    yield "repeated often", (draw.ids(4, 3, 67), draw.normal(5, 9)), {}
    yield "one id", (draw.ids(7), draw.normal(7, 3)), {}
    yield "no ids", (draw.ids(7, 0, 2), draw.normal(7, 3)), {}
    yield "one row", (draw.ids(1, 4), draw.normal(1, 3)), {}
    yield "width one", (draw.ids(5, 4), draw.normal(5, 1)), {}
    yield "int32", (draw.ids(7, 4, dtype=np.int32), draw.normal(7, 3)), {}
    yield "uint16", (draw.ids(7, 4, dtype=np.uint16), draw.normal(7, 3)), {}
    yield "transposed", (draw.ids(7, 5, 2).T, _transposed(draw.normal(7, 3))), {}


def _layer_norm(draw):
    for name, shape in [
        ("batches", (2, 3, 5)),
        ("one row", (7,)),
        ("width one", (3, 1)),
        ("no rows", (0, 5)),
        ("long", (3, LONG)),
        ("many rows", (67, 9)),
    ]:
        c = shape[-1]
        yield name, (draw.normal(*shape), draw.normal(c), draw.normal(c)), {}
        yield f"{name}, no bias", (draw.normal(*shape), draw.normal(c), None), {}
    yield "far from 0", (draw.normal(3, 5) + 30, draw.normal(5), draw.normal(5)), {}
    # With two channels x̂ is ±1 and dx nearly 0, all rounding: only a large eps leaves something to compare.
    yield "width two, large eps", (draw.normal(3, 2), draw.normal(2), draw.normal(2)), {"eps": 0.3}
    yield "large eps", (draw.normal(3, 5), draw.normal(5), draw.normal(5)), {"eps": 0.3}
    yield "strided", (_strided(draw.normal(3, 5)), _strided(draw.normal(5)), _strided(draw.normal(5))), {}
    yield "transposed", (_transposed(draw.normal(2, 3, 5)), draw.normal(5), draw.normal(5)), {}


def _softmax(draw):
    for axis in (0, 1, -1):
        yield f"axis {axis}", (draw.normal(2, 3, 5),), {"axis": axis}
    yield "one axis", (draw.normal(7),), {}
    yield "width one", (draw.normal(3, 1),), {}
    yield "no rows", (draw.normal(0, 3),), {}
    yield "long", (draw.normal(3, LONG),), {}
    yield "large", (draw.normal(3, 7, size=300.0),), {}
    yield "strided", (_strided(draw.normal(3, 7)),), {}
    yield "transposed", (_transposed(draw.normal(4, 2, 3)),), {"axis": 1}


def _attention(draw):
    def qkv(b, h, tq, tk, d):
        return draw.normal(b, h, tq, d), draw.normal(b, h, tk, d), draw.normal(b, h, tk, d)

    yield "full", (*qkv(2, 3, 5, 7, 4), None), {}
    yield "causal", (*qkv(2, 3, 5, 5, 4), None), {"causal": True}
    yield "causal, fewer queries (a cache)", (*qkv(2, 1, 3, 7, 4), None), {"causal": True}
    yield "causal, one query", (*qkv(2, 3, 1, 5, 4), None), {"causal": True}
    yield "causal, more queries: the first see nothing", (*qkv(1, 2, 7, 4, 3), None), {"causal": True}
    yield "one key", (*qkv(2, 1, 3, 1, 5), None), {}
    yield "head size one", (*qkv(1, 2, 3, 4, 1), None), {}
    yield "scale", (*qkv(1, 2, 3, 5, 4), None), {"scale": 0.3}
    yield "large scores", (*qkv(1, 2, 3, 5, 4), None), {"scale": 40.0}
    yield "no keys", (*qkv(2, 1, 3, 0, 4), None), {}
    yield "no queries", (*qkv(2, 1, 0, 3, 4), None), {}

    some = draw.bools(2, 3, 5, 7)
    some[1, 2, 3] = False
    yield "boolean mask, one row sees nothing", (*qkv(2, 3, 5, 7, 4), some), {}
    padding = np.arange(5) < np.array([5, 2])[:, None]  # (B, Tk): the second sequence has 2 tokens
    yield "padding mask", (*qkv(2, 3, 4, 5, 3), padding[:, None, None, :]), {}
    yield "padding mask, causal", (*qkv(2, 3, 5, 5, 4), padding[:, None, None, :]), {"causal": True}
    yield "boolean mask of two axes", (*qkv(2, 1, 3, 5, 4), draw.bools(3, 5)), {}

    yield "added mask", (*qkv(2, 3, 4, 5, 2), draw.normal(2, 3, 4, 5)), {}
    yield "added mask, broadcast", (*qkv(2, 3, 4, 5, 2), draw.normal(3, 1, 5)), {}
    yield "added mask, causal", (*qkv(2, 3, 5, 5, 4), draw.normal(2, 1, 5, 5)), {"causal": True}
    infinite = np.where(draw.bools(4, 5), draw.normal(4, 5), -np.inf)
    infinite[2] = -np.inf
    yield "added mask with -inf, one row all of it", (*qkv(2, 3, 4, 5, 2), infinite), {}

    yield "dropout", (*qkv(2, 3, 5, 7, 4), None), {"dropout": 0.4, "seed": 97}
    yield "dropout, causal", (*qkv(2, 3, 5, 5, 4), None), {"causal": True, "dropout": 0.2, "seed": 2**62 + 5}
    yield "dropout, boolean mask", (*qkv(2, 3, 5, 7, 4), some), {"dropout": 0.3, "seed": 11}
    yield "dropout, added mask", (*qkv(2, 1, 4, 5, 3), draw.normal(4, 5)), {"dropout": 0.3, "seed": 11}

    yield "long, causal", (*qkv(1, 2, 67, 67, 9), None), {"causal": True}
    yield "long", (*qkv(1, 2, 35, 131, 17), None), {}
    yield "long, causal, a cache, dropout", (*qkv(1, 1, 33, 70, 5), None), {"causal": True, "dropout": 0.1, "seed": 3}
    fused = draw.normal(2, 5, 3, 3, 4)  # (B, T, 3, H, D), as one linear layer makes q, k and v
    yield "views of one array", (*fused.transpose(2, 0, 3, 1, 4), None), {"causal": True}
    strided = (
        _strided(draw.normal(2, 1, 3, 4)),
        _transposed(draw.normal(2, 1, 5, 4)),
        draw.normal(2, 1, 10, 4)[:, :, ::2],
    )
    yield "strided", (*strided, None), {}


def _cross_entropy(draw):
    def some_ignored(targets, ignore_index=-100):
        targets[..., ::2] = ignore_index
        return targets

    for reduction in ("mean", "sum", "none"):
        for label_smoothing in (0.0, 0.1):
            settings = {"reduction": reduction, "label_smoothing": label_smoothing}
            name = f"{reduction}, smoothing {label_smoothing}"
            yield name, (draw.normal(2, 3, 5), draw.ids(5, 2, 3)), settings
            yield f"{name}, some ignored", (draw.normal(2, 3, 5), some_ignored(draw.ids(5, 2, 3))), settings
    yield "one row", (draw.normal(5), draw.ids(5)), {}
    yield "one class", (draw.normal(3, 1), draw.ids(1, 3)), {}
    yield "ignoring class 0", (draw.normal(6, 5), some_ignored(1 + draw.ids(4, 6), 0)), {"ignore_index": 0}
    yield "all ignored", (draw.normal(3, 5), np.full(3, -100)), {"reduction": "sum"}
    yield "no rows", (draw.normal(0, 5), draw.ids(5, 0)), {"reduction": "sum"}
    yield "no rows, not reduced", (draw.normal(2, 0, 5), draw.ids(5, 2, 0)), {"reduction": "none"}
    yield "long", (draw.normal(3, LONG), draw.ids(LONG, 3)), {}
    yield "long, smoothing", (draw.normal(3, LONG), draw.ids(LONG, 3)), {"label_smoothing": 0.2}
    yield "many rows", (draw.normal(67, 9), draw.ids(9, 67)), {}
    yield "large", (draw.normal(3, 7, size=300.0), draw.ids(7, 3)), {"reduction": "none"}
    yield "int32", (draw.normal(3, 5), draw.ids(5, 3, dtype=np.int32)), {}
    yield "uint16", (draw.normal(3, 5), draw.ids(5, 3, dtype=np.uint16)), {}
    yield "strided", (_strided(draw.normal(3, 5)), draw.ids(5, 6)[::2]), {}
    yield "transposed", (_transposed(draw.normal(2, 3, 5)), draw.ids(5, 3, 2).T), {}


_MAKERS = {
    "add": _binary(),
    "sub": _binary(),
    "mul": _binary(),
    "div": _binary("normal", "nonzero"),
    "maximum": _maximum,
    "where": _where,
    "neg": _unary(),
    "pow": _pow,
    "exp": _unary(),
    "log": _unary("positive"),
    "sqrt": _unary("positive"),
    "tanh": _with_large(_unary(), 30.0),
    "sigmoid": _with_large(_unary(), 800.0),
    "relu": _unary("nonzero"),
    "gelu": _gelu,
    "dropout": _dropout,
    "sum": _reduction(of_nothing=True),
    "mean": _reduction(),
    "max": _reduction("distinct"),
    "var": _var,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "getitem": _getitem,
    "concatenate": _concatenate,
    "split": _split,
    "matmul": _matmul,
    "linear": _linear,
    "embedding": _embedding,
    "layer_norm": _layer_norm,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "attention": _attention,
    "cross_entropy": _cross_entropy,
}
