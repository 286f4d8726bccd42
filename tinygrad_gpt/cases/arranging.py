"""Cases of the ops that reduce, rearrange, pick, join and cut."""

import numpy as np

from tinygrad_gpt.cases.draw import LONG, strided, transposed

# --- reductions --------------------------------------------------------------------------------------------------


def _reduction(values: str = "normal", of_nothing: bool = False, **settings):
    """Cases of an op that reduces axes; `of_nothing`: whether it may reduce no elements at all."""

    def make(draw):
        one = getattr(draw, values)
        for axis in (None, 0, 1, -1, (0, 2), (-1, 1), (2, 0, 1)):
            for keepdims in (False, True):
                name = f"axis {axis}" + ", kept" * keepdims
                yield name, (one(3, 5, 7),), {"axis": axis, "keepdims": keepdims} | settings
        yield "no axis", (one(2, 3),), {"axis": ()} | settings
        yield "size one", (one(3, 1),), {"axis": 1} | settings
        yield "square", (one(5, 5),), {"axis": 1} | settings  # where dy fits along the wrong axis too
        yield "no rows", (one(0, 3),), {"axis": 1} | settings
        yield "long", (one(3, LONG),), {"axis": 1} | settings
        yield "strided", (strided(one(3, 7)),), {"axis": 0} | settings
        yield "transposed", (transposed(one(3, 7, 5)),), {"axis": (0, -1)} | settings
        if of_nothing:
            yield "of nothing", (one(0, 3),), {"axis": 0} | settings
            yield "a number", (one(),), settings

    return make


def _var(draw):
    yield from _reduction(correction=0)(draw)
    for correction in (1, 0.5):
        yield f"correction {correction}", (draw.normal(3, 5),), {"axis": 1, "correction": correction}
    yield "far from 0", (draw.normal(3, 5) + 50,), {"axis": -1, "keepdims": True}
    yield "constant rows", (np.repeat([[2.0], [-3.5], [0.0]], 5, axis=1),), {"axis": 1}


def _logsumexp(draw):
    yield from _reduction()(draw)
    yield "large", (np.array([[800.0, 799.0, -800.0], [-900.0, -901.5, -950.0]]),), {"axis": 1}
    yield "one impossible", (np.array([[1.0, -np.inf, 0.5], [-np.inf, 0.25, -1.0]]),), {"axis": -1}


def _prod(draw):
    yield from _reduction("near_one", of_nothing=True)(draw)
    zeros = draw.normal(4, 5)
    zeros[0, 2], zeros[1, [1, 4]], zeros[2] = 0, 0, 0
    for axis in (0, 1, None):
        yield f"one zero, two and only zeros, axis {axis}", (zeros,), {"axis": axis}
    yield "one zero in all", (np.where(np.arange(6).reshape(2, 3) == 4, 0.0, draw.normal(2, 3)),), {}
    yield "normal, two axes", (draw.normal(2, 3, 2),), {"axis": (0, 2), "keepdims": True}


def _cumsum(draw):
    for axis in (0, 1, 2, -1):
        yield f"axis {axis}", (draw.normal(2, 3, 5),), {"axis": axis}
    yield "one axis", (draw.normal(7),), {"axis": 0}
    yield "size one", (draw.normal(3, 1),), {"axis": 1}
    yield "no rows", (draw.normal(0, 3),), {"axis": 1}
    yield "of nothing", (draw.normal(3, 0),), {"axis": -1}
    yield "long", (draw.normal(3, LONG),), {"axis": 1}
    yield "strided", (strided(draw.normal(3, 7)),), {"axis": 0}
    yield "transposed", (transposed(draw.normal(4, 2, 3)),), {"axis": 1}


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
    yield "transposed", (transposed(draw.normal(4, 6)),), {"shape": (8, 3)}


def _permute(draw):
    yield "two axes", (draw.normal(3, 5),), {"axes": (1, 0)}
    yield "rotated", (draw.normal(2, 3, 5),), {"axes": (1, 2, 0)}
    yield "four axes", (draw.normal(2, 3, 4, 5),), {"axes": (0, 2, 1, 3)}
    yield "four axes, no two at home", (draw.normal(2, 3, 4, 5),), {"axes": (3, 0, 1, 2)}
    yield "counted from the end", (draw.normal(2, 3, 5),), {"axes": (-1, 0, -2)}
    yield "left alone", (draw.normal(2, 3),), {"axes": (0, 1)}
    yield "sizes one", (draw.normal(1, 3, 1),), {"axes": (2, 0, 1)}
    yield "a number", (draw.normal(),), {"axes": ()}
    yield "nothing", (draw.normal(0, 3),), {"axes": (1, 0)}
    yield "strided", (strided(draw.normal(3, 4, 2)),), {"axes": (2, 0, 1)}


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
    yield "transposed", (transposed(draw.normal(2, 1, 3)),), {"shape": (2, 4, 3)}


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
        ("repeated, uint8", np.array([3, 3, 0], dtype=np.uint8)),
        ("repeated, int8", np.array([-1, 3, 0], dtype=np.int8)),
        ("booleans of rows", np.array([True, False, True, True])),
        ("booleans of elements", x > 0),
        ("no booleans", np.zeros((4, 5), dtype=bool)),
    ]:
        yield name, (x,), {"index": index}
    yield "new axis of a number", (draw.normal(),), {"index": None}
    yield "strided", (strided(draw.normal(4, 5)),), {"index": (np.array([1, 1, 2]), slice(1, None))}
    yield "one axis, repeated", (draw.normal(7),), {"index": np.array([6, 6, 0, 6])}
    yield "sizes one", (draw.normal(1, 3, 1),), {"index": (0, slice(None), np.array([0, 0]))}
    yield "of nothing", (draw.normal(0, 3),), {"index": (slice(None), 1)}


def _concatenate(draw):
    yield "two", (draw.normal(2, 3), draw.normal(4, 3)), {}
    yield "three, last axis", (draw.normal(2, 3), draw.normal(2, 1), draw.normal(2, 4)), {"axis": -1}
    yield "middle axis", (draw.normal(2, 3, 5), draw.normal(2, 4, 5)), {"axis": 1}
    yield "three axes, the first", (draw.normal(2, 3, 4), draw.normal(5, 3, 4)), {}
    yield "one", (draw.normal(2, 3),), {"axis": 1}
    yield "one of them empty", (draw.normal(3), draw.normal(0), draw.normal(2)), {}
    yield "strided", (strided(draw.normal(3, 2)), transposed(draw.normal(3, 4))), {"axis": 1}


def _split(draw):
    yield "thirds", (draw.normal(2, 9),), {"sizes": (3, 3, 3), "axis": -1}
    yield "the last axis of three", (draw.normal(2, 5, 6),), {"sizes": (2, 2, 2), "axis": -1}
    yield "first axis", (draw.normal(4, 3),), {"sizes": (2, 2)}
    yield "middle axis", (draw.normal(2, 6, 5),), {"sizes": (3, 3), "axis": 1}
    yield "sizes", (draw.normal(2, 7),), {"sizes": (4, 1, 2), "axis": -1}
    yield "one of them empty", (draw.normal(2, 7),), {"sizes": (4, 0, 3), "axis": 1}
    yield "one", (draw.normal(2, 3),), {"sizes": (3,), "axis": -1}
    yield "pieces of size one", (draw.normal(1, 3),), {"sizes": (1, 1, 1), "axis": -1}
    yield "of nothing", (draw.normal(0, 4),), {"sizes": (2, 2), "axis": -1}
    yield "strided", (strided(draw.normal(2, 6)),), {"sizes": (3, 3), "axis": -1}


def _gather(draw):
    x = draw.normal(2, 3, 5)
    for axis, n in enumerate(x.shape):
        yield (
            f"axis {axis}",
            (x, draw.ids(n, *(4 if i == axis else size for i, size in enumerate(x.shape)))),
            {"axis": axis},
        )
    yield "the last axis, of fewer rows", (x, draw.ids(5, 2, 2, 7)), {"axis": -1}
    yield "one of each row", (draw.normal(4, 3), draw.ids(3, 4, 1)), {"axis": 1}
    yield "repeated", (draw.normal(7), np.array([6, 6, 0, 6, 2])), {"axis": 0}
    yield "uint8", (draw.normal(4, 3), draw.ids(3, 4, 2, dtype=np.uint8)), {"axis": 1}
    yield "sizes one", (draw.normal(1, 3, 1), draw.ids(1, 1, 2, 4)), {"axis": 2}
    yield "nothing", (draw.normal(4, 3), draw.ids(3, 4, 0)), {"axis": 1}
    yield "no rows", (draw.normal(0, 3), draw.ids(3, 0, 2)), {"axis": 1}
    yield "strided", (strided(draw.normal(3, 4)), draw.ids(4, 3, 6)[:, ::2]), {"axis": 1}
    yield "transposed", (transposed(draw.normal(4, 3)), draw.ids(4, 5, 3)), {"axis": 0}


def _rel_shift(draw):
    for name, shape, first, keys in [
        ("as in Transformer-XL", (2, 3, 4, 7), 3, 7),
        ("as in XLNet", (2, 3, 4, 11), 4, 7),
        ("without a memory", (2, 5, 5), 4, 5),
        ("one query", (2, 1, 5), 0, 5),
        ("one key", (3, 5), 2, 1),
        ("one column", (3, 1), 1, 5),
        ("sizes one", (1, 1), 0, 1),
        ("more columns than are read", (2, 3, 17), 6, 4),
        ("fewer columns than keys", (2, 4, 3), 1, 9),
        ("first beyond the queries", (2, 3, 9), 7, 5),
        ("first below 0", (3, 5), -2, 8),
        ("first beyond the columns", (3, 4), 5, 6),
        ("nothing is read: all before", (2, 3), -9, 4),
        ("nothing is read: all behind", (2, 3), 9, 4),
        ("no keys", (2, 3, 4), 2, 0),
        ("no columns", (3, 0), 1, 4),
        ("no queries", (2, 0, 4), 1, 3),
        ("no batch", (0, 3, 4), 2, 4),
    ]:
        yield name, (draw.normal(*shape),), {"first": first, "keys": keys}
    yield "strided", (strided(draw.normal(2, 3, 7)),), {"first": 3, "keys": 4}
    yield "strided, padded", (strided(draw.normal(3, 7)),), {"first": 2, "keys": 7}
    yield "transposed", (transposed(draw.normal(2, 3, 7)),), {"first": 3, "keys": 4}


def _shift_rows(draw):
    for name, shape, of_first, (low, high), keys in [
        ("as in XLNet", (2, 3, 4, 11), (2, 1, 4), (0, 5), 7),
        ("all rows by one number", (2, 3, 9), (1, 1), (2, 3), 4),
        ("each row by its own", (2, 3, 4, 9), (2, 3, 4), (-3, 9), 5),
        ("first below 0", (3, 5), (3,), (-4, 0), 8),
        ("first beyond the columns", (3, 4), (3,), (3, 8), 6),
        ("one column", (3, 1), (3,), (-2, 2), 5),
        ("one key", (3, 5), (3,), (0, 5), 1),
        ("sizes one", (1, 1), (1,), (0, 1), 1),
        ("nothing is read: all before", (2, 3), (1,), (-9, -8), 4),
        ("nothing is read: all behind", (2, 3), (1,), (9, 10), 4),
        ("no keys", (2, 3, 4), (2, 3), (0, 2), 0),
        ("no columns", (3, 0), (3,), (0, 2), 4),
        ("no queries", (2, 0, 4), (2, 0), (0, 2), 3),
        ("no batch", (0, 3, 4), (1, 3), (0, 2), 4),
    ]:
        yield name, (draw.normal(*shape), low + draw.ids(high - low, *of_first)), {"keys": keys}
    yield "int16", (draw.normal(2, 3, 7), draw.ids(4, 2, 3, dtype=np.int16)), {"keys": 3}
    yield "strided", (strided(draw.normal(2, 3, 7)), draw.ids(4, 2, 6)[:, ::2]), {"keys": 4}
    yield "transposed", (transposed(draw.normal(2, 3, 7)), draw.ids(4, 2, 3)), {"keys": 4}


def _einsum(draw):
    for subscripts, *shapes in [
        ("ij,jk->ik", (2, 3), (3, 5)),
        ("ij,jk", (2, 3), (3, 5)),
        ("bqd,bkd->bqk", (2, 3, 5), (2, 4, 5)),
        ("bhqk,bhkd->bqhd", (2, 3, 4, 5), (2, 3, 5, 7)),
        ("i,i->", (5,), (5,)),
        ("i,j->ij", (3,), (5,)),
        ("ji", (2, 3)),
        ("ij->", (2, 3)),
        ("ij->j", (2, 3)),
        ("ii->i", (3, 3)),
        ("ii", (3, 3)),
        ("iji->j", (3, 2, 3)),
        ("ii,ij->j", (3, 3), (3, 2)),
        ("ij,kj->k", (2, 3), (5, 3)),
        ("ij,k->k", (2, 3), (5,)),
        ("i,,i->i", (3,), (), (3,)),
        (",->", (), ()),
        ("...ij,...jk->...ik", (4, 2, 3), (6, 1, 3, 5)),
        ("b...d,d...->...b", (2, 3, 4, 5), (5, 4)),
        ("...i,...i", (2, 1, 3), (4, 3)),
        ("...i->i", (2, 4, 3)),
        ("i...->...", (3,)),
        ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)),
        ("i,i,i->i", (3,), (3,), (3,)),
        ("bi,oij,bj->bo", (2, 3), (4, 3, 5), (2, 5)),
        ("ij,ij->i", (2, 3), (1, 3)),
        ("ij,ij->", (2, 1), (2, 3)),
        ("A b, b Ac -> cA", (2, 3), (3, 2, 4)),
        ("ij,jk->ik", (2, 0), (0, 3)),
        ("ij,jk->ik", (0, 2), (2, 3)),
    ]:
        yield f"{subscripts} of {shapes}", tuple(draw.normal(*shape) for shape in shapes), {"subscripts": subscripts}
    views = (strided(draw.normal(2, 3, 5)), transposed(draw.normal(2, 4, 5)))
    yield "strided and transposed", views, {"subscripts": "bqd,bkd->bqk"}


MAKERS = {
    "sum": _reduction(of_nothing=True),
    "mean": _reduction(),
    "max": _reduction("distinct"),
    "var": _var,
    "logsumexp": _logsumexp,
    "prod": _prod,
    "cumsum": _cumsum,
    "reshape": _reshape,
    "permute": _permute,
    "broadcast_to": _broadcast_to,
    "getitem": _getitem,
    "concatenate": _concatenate,
    "split": _split,
    "gather": _gather,
    "rel_shift": _rel_shift,
    "shift_rows": _shift_rows,
    "einsum": _einsum,
}
