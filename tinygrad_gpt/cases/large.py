"""Cases beyond every block: more rows, columns and elements than a kernel takes at a time, and no multiple of that.

A kernel cuts its work: rows into blocks of up to 256, columns into strips, elements into chunks of 8192, a sum into
slices, queries and keys into tiles of 64. A loop that forgets the second block, or the odd piece at the end, is right
on everything small. These cases are measured along random directions, in which every element has its part.
"""

import numpy as np

from tinygrad_gpt.cases.draw import transposed
from tinygrad_gpt.cases.kinks import EQUAL_SHARES

ROWS, COLUMNS = 521, 67  # primes: 34907 elements in all
WIDE = 8209  # a prime too
STRIP, CHUNK = 64, 8192  # columns and elements of a piece: what is left is one, in the sizes that add 1


def _unary(values: str = "normal", **settings):
    def make(draw):
        yield "hundreds of rows and columns", (getattr(draw, values)(ROWS, COLUMNS),), settings
        yield "one more than a chunk", (getattr(draw, values)(CHUNK + 1),), settings

    return make


def _binary(values: str = "normal", other: str | None = None, apart: float = 0.0):
    """`apart`: what is added to b, so that no element of it is equal to one of a."""

    def make(draw):
        one, two = getattr(draw, values), getattr(draw, other or values)
        yield "a row to many rows", (one(ROWS, COLUMNS), two(COLUMNS) + apart), {}
        yield "a column to many columns", (one(ROWS, 1), two(ROWS, COLUMNS) + apart), {}

    return make


def _where(draw):
    condition = draw.bools(ROWS, COLUMNS)
    yield "hundreds of rows and columns", (condition, draw.normal(ROWS, COLUMNS), draw.normal(COLUMNS)), {}


def _reduction(draw):
    x = draw.normal(ROWS, COLUMNS)
    for axis in (0, 1, None):
        yield f"hundreds of rows and columns, axis {axis}", (x,), {"axis": axis}


def _max(draw):
    """Among so many maxima one is always as good as a tie, when data are drawn afresh: so they are ties altogether."""
    x = draw.few(ROWS, COLUMNS)
    for axis in (0, 1, None):
        yield f"hundreds of rows and columns, axis {axis}", (x,), {"axis": axis}, EQUAL_SHARES


def _cumsum(draw):
    yield "hundreds of rows", (draw.normal(ROWS, COLUMNS),), {"axis": 0}
    yield "hundreds of columns", (draw.normal(COLUMNS, ROWS),), {"axis": -1}


def _prod(draw):
    yield "hundreds of rows and columns", (draw.near_one(ROWS, COLUMNS),), {"axis": 1}
    yield "hundreds of rows and columns, the columns", (draw.near_one(ROWS, COLUMNS),), {"axis": 0}


def _reshape(draw):
    yield "hundreds of rows and columns", (draw.normal(ROWS, COLUMNS),), {"shape": (COLUMNS, ROWS)}


def _permute(draw):
    yield "hundreds of rows and columns", (draw.normal(ROWS, COLUMNS),), {"axes": (1, 0)}
    yield "five axes", (draw.normal(2, 17, 3, 29, 7),), {"axes": (3, 0, 4, 2, 1)}


def _broadcast_to(draw):
    yield "to hundreds of rows", (draw.normal(COLUMNS),), {"shape": (ROWS, COLUMNS)}
    yield "of hundreds of rows", (draw.normal(ROWS, COLUMNS),), {"shape": (2, ROWS, COLUMNS)}
    yield "to many columns", (draw.normal(ROWS, 1),), {"shape": (ROWS, COLUMNS)}


def _getitem(draw):
    x = draw.normal(ROWS, COLUMNS)
    yield "hundreds of rows, repeated", (x,), {"index": draw.ids(ROWS, 1031)}
    yield "many pairs, repeated", (x,), {"index": (draw.ids(ROWS, 1031), draw.ids(COLUMNS, 1031))}
    yield "every second of many", (x,), {"index": (slice(None, None, 2), slice(3, None))}


def _concatenate(draw):
    yield "hundreds of rows", (draw.normal(ROWS, COLUMNS), draw.normal(257, COLUMNS)), {}
    yield "many columns", (draw.normal(3, ROWS), draw.normal(3, 257)), {"axis": 1}


def _split(draw):
    yield "hundreds of rows", (draw.normal(ROWS + 257, COLUMNS),), {"sizes": (ROWS, 257)}
    yield "many columns", (draw.normal(3, 2 * ROWS),), {"sizes": (ROWS, ROWS), "axis": -1}


def _gather(draw):
    yield "hundreds of rows", (draw.normal(ROWS, COLUMNS), draw.ids(COLUMNS, ROWS, 3)), {"axis": 1}
    yield "many times the same", (draw.normal(ROWS, COLUMNS), draw.ids(ROWS, 1031, 5)), {"axis": 0}


def _rel_shift(draw):
    yield "many queries, as in Transformer-XL", (draw.normal(3, 67, 197),), {"first": 66, "keys": 197}
    yield "many queries, as in XLNet", (draw.normal(2, 67, 264),), {"first": 67, "keys": 197}
    yield "many queries, few columns", (draw.normal(ROWS, COLUMNS),), {"first": 515, "keys": 131}


def _shift_rows(draw):
    yield "many queries, as in XLNet", (draw.normal(3, 67, 264), draw.ids(68, 3, 67)), {"keys": 197}
    yield "many queries, few columns", (draw.normal(ROWS, COLUMNS), draw.ids(515, ROWS)), {"keys": 131}


def _einsum(draw):
    rows = draw.normal(ROWS, COLUMNS)
    yield "hundreds of rows", (rows, draw.normal(COLUMNS, 11)), {"subscripts": "ij,jk->ik"}
    yield "many batches", (draw.normal(257, 7, 11), draw.normal(257, 5, 11)), {"subscripts": "bqd,bkd->bqk"}
    yield "hundreds of rows, transposed", (rows,), {"subscripts": "ij->ji"}


def _matmul(draw):
    yield "hundreds of rows", (draw.normal(ROWS, 37), draw.normal(37, COLUMNS)), {}
    yield "deep and wide", (draw.normal(67, 300), draw.normal(300, 401)), {}
    yield "many batches", (draw.normal(257, 2, 3), draw.normal(257, 3, 5)), {}


def _linear(draw):
    for name, x, c_out in [
        ("hundreds of rows", (ROWS, 37), COLUMNS),
        ("hundreds of rows in batches", (3, 2, 97, 17), STRIP + 1),
        ("deep and wide", (67, 300), 401),
        ("few rows, a large weight", (7, 131), 409),
    ]:
        yield name, (draw.normal(*x), draw.normal(c_out, x[-1]), draw.normal(c_out)), {}
    yield "hundreds of rows, no bias", (draw.normal(ROWS, 37), draw.normal(COLUMNS, 37), None), {}


def _gelu_linear(draw):
    for approximate in ("tanh", "none"):
        for name, arrays, _ in _linear(draw):
            if approximate == "tanh" or name == "hundreds of rows in batches":
                yield f"{approximate}, {name}", arrays, {"approximate": approximate}


def _gelu(draw):
    for approximate in ("tanh", "none"):
        for name, arrays, _ in _unary()(draw):
            yield f"{approximate}, {name}", arrays, {"approximate": approximate}


def _embedding(draw):
    yield "many ids and rows", (draw.ids(ROWS, 13, 79), draw.normal(ROWS, COLUMNS)), {}
    yield "many ids of few rows", (draw.ids(3, 1031), draw.normal(3, 2 * STRIP + 1)), {}
    yield "hundreds of rows, few of them used", (draw.ids(ROWS, 5), draw.normal(ROWS, 7)), {}


def _layer_norm(draw):
    for name, shape in [("hundreds of rows", (ROWS, COLUMNS)), ("four axes", (3, 2, 97, 11)), ("wide rows", (3, WIDE))]:
        c = shape[-1]
        yield name, (draw.normal(*shape), draw.normal(c), draw.normal(c)), {}
    yield "hundreds of rows, no bias", (draw.normal(ROWS, 11), draw.normal(11), None), {}


def _add_layer_norm(draw):
    for name, (x, weight, bias), settings in _layer_norm(draw):
        yield name, (x, draw.normal(*x.shape), weight, bias), settings


def _softmax(draw):
    yield "hundreds of rows", (draw.normal(ROWS, COLUMNS),), {}
    yield "many columns", (draw.normal(ROWS, COLUMNS),), {"axis": 0}
    yield "wide rows", (draw.normal(3, WIDE),), {}


def _attention(draw):
    def qkv(b, h, tq, tk, d):
        return draw.normal(b, h, tq, d), draw.normal(b, h, tk, d), draw.normal(b, h, tk, d)

    yield "many blocks, causal", (*qkv(1, 1, 197, 197, 5), None), {"causal": True}
    yield "many blocks, more keys, dropout", (*qkv(1, 1, 67, 263, 3), None), {"dropout": 0.2, "seed": 31}
    yield "many blocks, more queries, causal", (*qkv(1, 1, 263, 67, 3), None), {"causal": True}
    yield "many heads, two blocks", (*qkv(3, 3, 67, 67, 3), None), {"causal": True}
    mask = draw.bools(1, 1, 67, 131)
    mask[0, 0, 66] = False
    yield "many blocks, boolean mask", (*qkv(1, 2, 67, 131, 3), mask), {}
    padding = np.arange(131) < np.array([131, 70, 40, 0])[:, None]  # (B, Tk): the last sequence is all padding
    padding[:, 3] = False
    for name, settings in {"": {}, ", causal": {"causal": True}, ", dropout": {"dropout": 0.2, "seed": 37}}.items():
        yield f"many blocks, padding mask{name}", (*qkv(4, 1, 67, 131, 3), padding[:, None, None, :]), settings
    yield "many blocks, added mask", (*qkv(1, 2, 67, 131, 3), draw.normal(67, 131)), {}
    each = draw.normal(1, 2, 67, 131)
    yield "many blocks, added mask of each pair, causal", (*qkv(1, 2, 67, 131, 3), each), {"causal": True}
    yield "many blocks, added row of each head", (*qkv(2, 2, 131, 67, 3), draw.normal(2, 1, 67)), {"causal": True}
    yield "one query, many keys", (*qkv(2, 3, 1, 523, 17), None), {"causal": True}
    yield "wide heads", (*qkv(1, 1, 17, 67, 131), None), {}


def _cross_entropy(draw):
    targets = draw.ids(COLUMNS, ROWS)
    targets[1::3] = -100
    yield "hundreds of rows", (draw.normal(ROWS, COLUMNS), targets), {}
    smoothed = {"label_smoothing": 0.1, "reduction": "sum"}
    yield "hundreds of rows, smoothing", (draw.normal(ROWS, COLUMNS), targets), smoothed
    yield "hundreds of rows, not reduced", (draw.normal(ROWS, 11), draw.ids(11, ROWS)), {"reduction": "none"}
    padded = draw.ids(11, ROWS, dtype=np.uint16)
    yield "hundreds of rows, uint16, padding ignored", (draw.normal(ROWS, 11), padded), {"ignore_index": 0}
    yield "wide rows", (transposed(draw.normal(3, WIDE)), draw.ids(WIDE, 3)), {}


def _linear_cross_entropy(draw):
    targets = draw.ids(COLUMNS, ROWS)
    targets[1::3] = -100
    arrays = draw.normal(ROWS, 37), draw.normal(COLUMNS, 37), targets, draw.normal(COLUMNS)
    yield "hundreds of rows", arrays, {}
    yield "hundreds of rows, smoothing", arrays, {"label_smoothing": 0.1, "reduction": "sum"}
    yield "hundreds of rows, no bias", (draw.normal(ROWS, 5), draw.normal(11, 5), draw.ids(11, ROWS), None), {}
    yield "wide rows", (draw.normal(3, 5), draw.normal(WIDE, 5), draw.ids(WIDE, 3), draw.normal(WIDE)), {}


MAKERS = {
    "add": _binary(),
    "sub": _binary(),
    "mul": _binary(),
    "div": _binary("normal", "nonzero"),
    "maximum": _binary("distinct", apart=0.071),  # a's and b's elements are from two grids that do not meet
    "where": _where,
    "neg": _unary(),
    "pow": _unary("positive", exponent=1.5),
    "exp": _unary(),
    "log": _unary("positive"),
    "sqrt": _unary("positive"),
    "tanh": _unary(),
    "sigmoid": _unary(),
    "relu": _unary("nonzero"),
    "silu": _unary(),
    "softplus": _unary(),
    "sin": _unary(),
    "cos": _unary(),
    "clamp": _unary(min=-0.8, max=0.9),
    "gelu": _gelu,
    "dropout": _unary(p=0.3, seed=2**40 + 7),
    "sum": _reduction,
    "mean": _reduction,
    "max": _max,
    "var": _reduction,
    "logsumexp": _reduction,
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
    "matmul": _matmul,
    "linear": _linear,
    "gelu_linear": _gelu_linear,
    "embedding": _embedding,
    "layer_norm": _layer_norm,
    "add_layer_norm": _add_layer_norm,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "attention": _attention,
    "cross_entropy": _cross_entropy,
    "linear_cross_entropy": _linear_cross_entropy,
}
