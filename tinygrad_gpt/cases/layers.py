"""Cases of the ops that layers are made of."""

import numpy as np

from tinygrad_gpt.cases.draw import LONG, strided, transposed

INTEGERS = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")  # besides int64


def _matmul(draw):
    for name, a, b in [
        ("matrices", (7, 3), (3, 5)),
        ("batches", (4, 7, 3), (4, 3, 5)),
        ("two batch axes", (2, 3, 4, 5), (2, 3, 5, 7)),
        ("one matrix for a batch", (4, 2, 3), (3, 5)),
        ("a batch for one matrix", (2, 3), (4, 3, 5)),
        ("batches that broadcast", (6, 1, 2, 3), (4, 3, 5)),
        ("row by matrix", (3,), (3, 5)),
        ("matrix by column", (2, 3), (3,)),
        ("row by batch", (3,), (4, 3, 5)),
        ("batch by column", (4, 2, 3), (3,)),
        ("row by column", (3,), (3,)),
        ("square", (5, 5), (5, 5)),  # where a wrong transpose fits
        ("cubes", (3, 3, 3), (3, 3, 3)),
        ("sizes one", (1, 1), (1, 1)),
        ("nothing to sum", (2, 0), (0, 3)),
        ("no rows", (0, 2), (2, 3)),
        ("larger", (33, 65), (65, 17)),
    ]:
        yield name, (draw.normal(*a), draw.normal(*b)), {}
    yield "strided and transposed", (strided(draw.normal(2, 3)), transposed(draw.normal(4, 3, 5))), {}


def _linear(draw):
    for name, x, c_out in [
        ("rows", (7, 5), 3),
        ("batches", (2, 3, 5), 4),
        ("one row", (5,), 3),
        ("one in, one out", (3, 1), 1),
        ("no rows", (0, 5), 3),
        ("square", (7, 5), 5),  # where a wrong transpose fits
        ("larger", (33, 65), 17),
    ]:
        c_in = x[-1]
        yield name, (draw.normal(*x), draw.normal(c_out, c_in), draw.normal(c_out)), {}
        yield f"{name}, no bias", (draw.normal(*x), draw.normal(c_out, c_in), None), {}
    views = (strided(draw.normal(2, 3, 5)), transposed(draw.normal(4, 5)), strided(draw.normal(4)))
    yield "strided and transposed", views, {}


def _gelu_linear(draw):
    for approximate in ("tanh", "none"):
        for name, arrays, _ in _linear(draw):
            yield f"{approximate}, {name}", arrays, {"approximate": approximate}


def _embedding(draw):
    yield "batch", (draw.ids(7, 2, 5), draw.normal(7, 3)), {}
    yield "repeated often", (draw.ids(4, 3, 67), draw.normal(5, 9)), {}
    yield "one id", (draw.ids(7), draw.normal(7, 3)), {}
    yield "no ids", (draw.ids(7, 0, 2), draw.normal(7, 3)), {}
    yield "one row", (draw.ids(1, 4), draw.normal(1, 3)), {}
    yield "width one", (draw.ids(5, 4), draw.normal(5, 1)), {}
    for dtype in (*INTEGERS, ">i4"):
        yield dtype, (draw.ids(7, 6, dtype=dtype), draw.normal(7, 3)), {}
    yield "transposed", (draw.ids(7, 5, 2).T, transposed(draw.normal(7, 3))), {}


def _layer_norm(draw):
    for name, shape in [
        ("batches", (3, 7, 5)),
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
    yield "constant rows", (np.repeat([[0.1], [-3.7], [0.0]], 5, axis=1), draw.normal(5), draw.normal(5)), {"eps": 0.3}
    # With two channels x̂ is ±1 and dx nearly 0, all rounding: only a large eps leaves something to compare.
    yield "width two, large eps", (draw.normal(3, 2), draw.normal(2), draw.normal(2)), {"eps": 0.3}
    yield "large eps", (draw.normal(3, 5), draw.normal(5), draw.normal(5)), {"eps": 0.3}
    yield "strided", (strided(draw.normal(3, 5)), strided(draw.normal(5)), strided(draw.normal(5))), {}
    yield "transposed", (transposed(draw.normal(3, 7, 5)), draw.normal(5), draw.normal(5)), {}


def _add_layer_norm(draw):
    for name, (x, weight, bias), settings in _layer_norm(draw):
        yield name, (x, draw.normal(*x.shape), weight, bias), settings
    x, residual = strided(draw.normal(3, 5)), transposed(draw.normal(3, 5))
    yield "of unlike layouts", (x, residual, strided(draw.normal(5)), strided(draw.normal(5))), {}


def _softmax(draw):
    for axis in (0, 1, -1):
        yield f"axis {axis}", (draw.normal(3, 5, 7),), {"axis": axis}
    yield "one axis", (draw.normal(7),), {}
    yield "width one", (draw.normal(3, 1),), {}
    yield "no rows", (draw.normal(0, 3),), {}
    yield "long", (draw.normal(3, LONG),), {}
    yield "large", (draw.normal(3, 7, size=300.0),), {}
    yield "ties", (draw.few(7, 5),), {}
    yield "all equal", (np.full((3, 5), 7.0),), {}
    yield "strided", (strided(draw.normal(3, 7)),), {}
    yield "transposed", (transposed(draw.normal(5, 3, 7)),), {"axis": 1}
    yield "too large for exp", (1000 + draw.few(3, 5),), {}


def _attention(draw):
    def qkv(b, h, tq, tk, d):
        return draw.normal(b, h, tq, d), draw.normal(b, h, tk, d), draw.normal(b, h, tk, d)

    yield "full", (*qkv(2, 3, 5, 7, 3), None), {}
    yield "causal", (*qkv(2, 3, 5, 5, 3), None), {"causal": True}
    yield "causal, fewer queries (a cache)", (*qkv(2, 1, 3, 7, 5), None), {"causal": True}
    yield "causal, one query", (*qkv(2, 3, 1, 5, 7), None), {"causal": True}
    yield "causal, more queries: the first see nothing", (*qkv(1, 2, 7, 4, 3), None), {"causal": True}
    yield "one key", (*qkv(2, 1, 3, 1, 5), None), {}
    yield "head size one", (*qkv(1, 2, 3, 4, 1), None), {}
    yield "scale", (*qkv(1, 2, 3, 5, 7), None), {"scale": 0.3}
    yield "large scores", (*qkv(1, 2, 3, 5, 4), None), {"scale": 5.0}  # much larger, and gradients are all rounding
    two_in_turn = 200 * (np.eye(12) + np.eye(12, k=4) + np.eye(12, k=-8))  # e^200 is too large for float32
    far_above = (two_in_turn[None, None], np.eye(12)[None, None], draw.normal(1, 1, 12, 12), None)
    yield "two keys in turn far above the others", far_above, {"scale": 1.0}
    q, k, v = qkv(1, 2, 3, 5, 4)
    yield "scores that tie", (q, np.concatenate([k[:, :, :3]] * 2, axis=2)[:, :, :5], v, None), {}
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
    for name, shape in [
        ("one of each head", (3, 4, 5)),
        ("one row of each sequence", (2, 1, 1, 5)),
        ("one row of each head", (2, 3, 1, 5)),
        ("transposed", (2, 3, 4, 5)),
    ]:
        mask = draw.normal(*shape)
        yield f"added mask, {name}", (*qkv(2, 3, 4, 5, 2), transposed(mask) if name == "transposed" else mask), {}
    yield "added mask, one query", (*qkv(2, 3, 1, 5, 4), draw.normal(2, 3, 1, 5)), {"causal": True}
    yield "added mask, no keys", (*qkv(2, 1, 3, 0, 4), draw.normal(3, 0)), {}
    infinite = np.where(draw.bools(4, 5), draw.normal(4, 5), -np.inf)
    infinite[2] = -np.inf
    yield "added mask with -inf, one row all of it", (*qkv(2, 3, 4, 5, 2), infinite), {}

    yield "dropout", (*qkv(2, 3, 5, 7, 4), None), {"dropout": 0.4, "seed": 97}
    yield "dropout, causal", (*qkv(2, 3, 5, 5, 4), None), {"causal": True, "dropout": 0.2, "seed": 2**62 + 5}
    yield "dropout, boolean mask", (*qkv(2, 3, 5, 7, 4), some), {"dropout": 0.3, "seed": 11}
    yield "dropout, added mask", (*qkv(2, 1, 4, 5, 3), draw.normal(4, 5)), {"dropout": 0.3, "seed": 11}
    each = draw.normal(2, 3, 5, 5)
    yield "dropout, added mask of each pair, causal", (*qkv(2, 3, 5, 5, 3), each), {"causal": True, "dropout": 0.3}

    yield "long, causal", (*qkv(1, 2, 67, 67, 9), None), {"causal": True}
    yield "long", (*qkv(1, 2, 35, 131, 17), None), {}
    yield "long, causal, a cache, dropout", (*qkv(1, 1, 33, 70, 5), None), {"causal": True, "dropout": 0.1, "seed": 3}
    fused = draw.normal(2, 5, 3, 3, 4)  # (B, T, 3, H, D), as one linear layer makes q, k and v
    yield "views of one array", (*fused.transpose(2, 0, 3, 1, 4), None), {"causal": True}
    q, k, v = strided(draw.normal(2, 1, 3, 4)), transposed(draw.normal(2, 1, 5, 4)), draw.normal(2, 1, 10, 4)
    yield "strided", (q, k, v[:, :, ::2], None), {}


def _cross_entropy(draw):
    def some_ignored(targets, ignore_index=-100):
        targets[..., ::2] = ignore_index
        return targets

    for reduction in ("mean", "sum", "none"):
        for label_smoothing in (0.0, 0.1):
            settings = {"reduction": reduction, "label_smoothing": label_smoothing}
            name = f"{reduction}, smoothing {label_smoothing}"
            yield name, (draw.normal(3, 7, 5), draw.ids(5, 3, 7)), settings
            yield f"{name}, some ignored", (draw.normal(3, 7, 5), some_ignored(draw.ids(5, 3, 7))), settings
    yield "one row", (draw.normal(5), draw.ids(5)), {}
    yield "one class", (draw.normal(3, 1), draw.ids(1, 3)), {}
    yield "one class, some ignored", (draw.normal(5, 1), some_ignored(draw.ids(1, 5))), {"reduction": "none"}
    yield "ignoring class 0", (draw.normal(7, 5), some_ignored(1 + draw.ids(4, 7), 0)), {"ignore_index": 0}
    yield "all ignored", (draw.normal(3, 5), np.full(3, -100)), {"reduction": "sum"}
    yield "no rows", (draw.normal(0, 5), draw.ids(5, 0)), {"reduction": "sum"}
    yield "no rows, not reduced", (draw.normal(2, 0, 5), draw.ids(5, 2, 0)), {"reduction": "none"}
    yield "long", (draw.normal(3, LONG), draw.ids(LONG, 3)), {}
    yield "long, smoothing", (draw.normal(3, LONG), draw.ids(LONG, 3)), {"label_smoothing": 0.2}
    yield "many rows", (draw.normal(67, 9), draw.ids(9, 67)), {}
    yield "large", (draw.normal(3, 7, size=300.0), draw.ids(7, 3)), {"reduction": "none"}
    yield "ties", (draw.few(7, 5), draw.ids(5, 7)), {}
    for dtype in INTEGERS:
        yield dtype, (draw.normal(3, 5), draw.ids(5, 3, dtype=dtype)), {}
        padded = some_ignored(1 + draw.ids(4, 7, dtype=dtype), 0)
        yield f"{dtype}, ignoring class 0", (draw.normal(7, 5), padded), {"ignore_index": 0}
        most = np.iinfo(dtype).max  # as good a number for padding as any, and no class
        padded = some_ignored(draw.ids(5, 7, dtype=dtype), most)
        if most < 2**63:  # np.uint64's does not fit among the numbers that the op takes
            yield f"{dtype}, ignoring the largest number", (draw.normal(7, 5), padded), {"ignore_index": int(most)}
    yield "uint8, ignoring what it has no room for", (draw.normal(3, 5), draw.ids(5, 3, dtype=np.uint8)), {}
    yield "of other byte order", (draw.normal(3, 5), draw.ids(5, 3, dtype=">u2")), {"ignore_index": 0}
    yield "strided", (strided(draw.normal(3, 5)), draw.ids(5, 6)[::2]), {}
    yield "transposed", (transposed(draw.normal(3, 7, 5)), draw.ids(5, 7, 3).T), {}


def _linear_cross_entropy(draw):
    def arrays(v, *shape, ignored=False):
        targets = draw.ids(v, *shape[:-1])
        if ignored:
            targets[..., ::2] = -100
        return draw.normal(*shape), draw.normal(v, shape[-1]), targets, draw.normal(v)

    for reduction in ("mean", "sum"):
        for label_smoothing in (0.0, 0.1):
            settings = {"reduction": reduction, "label_smoothing": label_smoothing}
            name = f"{reduction}, smoothing {label_smoothing}"
            yield name, arrays(5, 3, 7, 4), settings
            yield f"{name}, some ignored", arrays(5, 3, 7, 4, ignored=True), settings
    yield "no bias", (*arrays(5, 3, 7, 4)[:3], None), {}
    yield "one row", arrays(5, 3), {}
    yield "one channel", arrays(5, 7, 1), {}
    yield "no channels", arrays(5, 7, 0), {}
    yield "one class", arrays(1, 3, 4), {}
    yield "no rows", arrays(5, 0, 3), {"reduction": "sum"}
    yield "all ignored", arrays(5, 1, 3, ignored=True), {"reduction": "sum"}
    x, weight, targets, bias = arrays(5, 7, 3)
    yield "ignoring class 0", (x, weight, targets.astype(np.uint8), bias), {"ignore_index": 0}
    yield "square", arrays(5, 7, 5), {}  # where a wrong transpose fits
    yield "larger", arrays(17, 33, 65), {}
    x, weight, targets, bias = strided(draw.normal(3, 5)), transposed(draw.normal(7, 5)), draw.ids(7, 6), draw.normal(7)
    yield "strided and transposed", (x, weight, targets[::2], strided(bias)), {}


MAKERS = {
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
