"""What the fuzz hands to each kernel: for every op that has one, a recipe that draws a call.

A recipe says what fits: shapes that go together, ids that are in range. Then chance spoils some of it (`spoilt`), and
puts extreme numbers among the others.
"""

from dataclasses import dataclass, field

import numpy as np

from tests.kernels.memory import Memory

INTEGERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8", "?")
SIZES = (0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 13, 16, 17, 33)
EXTREME = (np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-38, 0.0, -0.0)
NO_NUMBERS = (float("nan"), float("inf"), -1.0, 0.0, 1.0, 1.5, 2**63, 2**64, -(2**63), 1e300, "x")


@dataclass
class Call:
    """arrays, settings  of the op
    is_extreme        whether floats are such that rounding, or the order of sums, may decide what comes out
    tolerance         None: that of the dtype
    may_refuse        whether it may be refused though the op's check does not
    meddled           what somebody did to an array between forward and backward
    """

    arrays: tuple
    settings: dict = field(default_factory=dict)
    is_extreme: bool = False
    tolerance: float | None = None
    may_refuse: bool = False
    meddled: str = ""

    def __str__(self) -> str:
        given = [_described(a) for a in self.arrays]
        return f"({', '.join(given)}) {_cut(self.settings)}"

    def copies(self) -> tuple:
        return _copied(self.arrays, {})

    def meddle(self, rng: np.random.Generator, y) -> None:
        """Somebody writes into an array, or changes its shape, dtype, length or strides in place; `meddled` tells."""
        arrays = [a for a in (*self.arrays, *(y if isinstance(y, tuple) else (y,))) if isinstance(a, np.ndarray)]
        i = int(rng.integers(len(arrays)))
        a, before = arrays[i], _described(arrays[i])
        if rng.random() < 0.5:
            if a.flags.writeable:
                a[...] = _extremes(rng, a.shape, a.dtype)
                # Another function's gradient comes out then, by design; but ids and masks are copied.
                self.is_extreme = self.is_extreme or a.dtype.kind == "f"
                self.meddled = f"wrote to array {i}"
            return
        try:
            kind = int(rng.integers(4))
            if kind == 0 and a.flags.owndata:
                a.resize(tuple(int(rng.choice(SIZES)) for _ in a.shape), refcheck=False)
            elif kind == 1:
                a.dtype = {1: "i1", 2: "i2", 4: "i4", 8: "i8"}[a.itemsize] if rng.random() < 0.5 else "u1"
            elif kind == 2:
                a.shape = [a.shape[::-1], (a.size,), (1, *a.shape), (*a.shape, 1)][int(rng.integers(4))]
            else:
                a.strides = (0,) * a.ndim
        except (ValueError, AttributeError, TypeError):  # NumPy does not allow it
            return
        self.is_extreme = self.is_extreme or kind != 2  # other numbers: by design, those are another gradient
        self.may_refuse, self.meddled = True, f"made of array {i}, {before}, {_described(a)}"


def _copied(a, copies: dict):
    """Copies of arrays; one that is there twice is there twice again."""
    if isinstance(a, list | tuple):
        return type(a)(_copied(one, copies) for one in a)
    return None if a is None else copies.setdefault(id(a), np.array(a))


def _described(a) -> str:
    if isinstance(a, list):
        return f"[{', '.join(map(_described, a))}]"
    return f"{a.dtype}{a.shape} by {a.strides}" if isinstance(a, np.ndarray) else repr(a)


def _cut(x) -> str:
    return text if len(text := str(x)) < 300 else f"{text[:300]} ..."


# --- parts -------------------------------------------------------------------------------------------------------


def _extremes(rng, shape, dtype) -> np.ndarray:
    dtype = np.dtype(dtype)
    if dtype.kind in "fc":
        return rng.choice(EXTREME, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    limits = np.iinfo(dtype)
    some = [limits.min, limits.max, limits.max - 1, limits.max // 2, 0, 1, -1 % (limits.max + 1), -100, 2**31, 2**33]
    some = [n for n in some if limits.min <= n <= limits.max]
    return np.array(some, dtype)[rng.integers(0, len(some), shape)]


def _size(rng) -> int:
    return int(rng.choice(SIZES)) if rng.random() < 0.97 else int(rng.integers(60, 700))


def _lead(rng) -> tuple[int, ...]:
    """Leading axes, none to three."""
    return tuple(int(rng.choice(SIZES[1:9])) for _ in range(int(rng.integers(0, 4)))) if rng.random() < 0.9 else (0, 2)


def _float(rng) -> np.dtype:
    return np.dtype("f4" if rng.random() < 0.7 else "f8")


def _floats(rng, memory: Memory, dtype, *shapes, settings=None, first=()) -> Call:
    """A call on normal numbers of these shapes (None stays None), some of them extreme in one of eight calls."""
    is_extreme = rng.random() < 0.125
    arrays = []
    for shape in shapes:
        if shape is None:
            arrays.append(None)
            continue
        x = np.asarray(rng.standard_normal(shape), dtype)
        if is_extreme and x.size:
            x = np.where(rng.random(shape) < 0.3, _extremes(rng, shape, dtype), x)
        arrays.append(x)
    arrays = [*first, *_spoilt(rng, arrays)]
    placed = tuple(None if a is None else memory.place(a) for a in arrays)
    odd = any(s is n for s in (settings or {}).values() for n in NO_NUMBERS)
    return Call(placed, settings or {}, is_extreme or odd, may_refuse=odd)


def _spoilt(rng, arrays: list) -> list:
    """The arrays, in one of six calls one of them of another shape or dtype."""
    some = [i for i, a in enumerate(arrays) if a is not None]
    if not some or rng.random() > 0.16:
        return arrays
    i = some[int(rng.integers(len(some)))]
    a = arrays[i]
    if rng.random() < 0.3:
        other = a.astype(rng.choice(["f2", "f4", "f8", ">f4", ">f8", "i4", "u8", "?", "c8"]))
    else:
        shapes = [a.shape[::-1], (a.size,), (1, *a.shape), (*a.shape, 1), a.shape[1:], a.shape[:-1], ()]
        shapes += [tuple(n + 1 for n in a.shape), tuple(max(0, n - 1) for n in a.shape)]
        other = np.resize(a, shapes[int(rng.integers(len(shapes)))]) if a.size else a.reshape(*a.shape, 0)
    return [*arrays[:i], other, *arrays[i + 1 :]]


def _ids(rng, shape, below: int, among: tuple = ()) -> np.ndarray:
    """Integers of any dtype in 0 .. below-1 and `among`, one of three times with extreme ones."""
    dtype = np.dtype(str(rng.choice(INTEGERS)))
    most = 1 if dtype.kind == "b" else np.iinfo(dtype).max
    ids = np.asarray(rng.integers(0, max(1, min(below, most + 1)), shape))
    for number in among:
        ids = np.where(rng.random(shape) < 0.3, number, ids)
    ids = ids.astype(dtype)  # wraps round what does not fit, as those do who store -1 in a uint16
    if rng.random() < 0.33:
        ids = np.where(rng.random(shape) < 0.3, _extremes(rng, shape, dtype), ids)
        if rng.random() < 0.3 and ids.size and dtype.kind != "b":
            ids.reshape(-1)[0] = np.array([below]).astype(dtype)[0]
    return np.asarray(ids)


def _odd(rng, setting, chance: float = 0.06):
    """The setting, or now and then what is none."""
    return setting if rng.random() > chance else NO_NUMBERS[int(rng.integers(len(NO_NUMBERS)))]


def _bias(rng, c: int):
    return (c,) if rng.random() < 0.7 else None


# --- recipes -----------------------------------------------------------------------------------------------------


def _embedding(rng, memory):
    v, c = _size(rng), _size(rng)
    ids = _ids(rng, _lead(rng), v)
    return _floats(rng, memory, _float(rng), (v, c), first=[ids])


def _cross_entropy(rng, memory):
    lead, v = _lead(rng), _size(rng)
    ignore_index = int(rng.choice([-100, -1, 0, 1, 255, 300, 65535, 2**31, 2**62, -(2**63)]))
    targets = _ids(rng, lead, v, (ignore_index,) if rng.random() < 0.6 else ())
    settings = {
        "ignore_index": _odd(rng, ignore_index),
        "label_smoothing": _odd(rng, float(rng.choice([0.0, 0.1]))),
        "reduction": _odd(rng, str(rng.choice(["mean", "sum", "none"]))),
    }
    call = _floats(rng, memory, _float(rng), (*lead, v), settings=settings)
    call.arrays = (*call.arrays, memory.place(targets))
    return call


def _attention(rng, memory):
    b, h, tq, tk = (int(rng.choice(SIZES[:9])) for _ in range(4))
    if rng.random() < 0.1:
        tq, tk = int(rng.integers(60, 140)), int(rng.integers(60, 140))
    d, mask = int(rng.choice([1, 2, 3, 4, 8, 16, 17])), None
    if rng.random() < 0.4:
        shape = [n if rng.random() < 0.6 else 1 for n in (b, h, tq, tk)][int(rng.integers(3)) :]
        mask = rng.random(shape) < 0.7
    dropout = 0.3 if rng.random() < 0.3 else 0.0
    settings = {
        "causal": bool(rng.random() < 0.5),
        "scale": None if rng.random() < 0.5 else _odd(rng, 0.3),
        "dropout": _odd(rng, dropout, 0.03),
        "seed": _odd(rng, int(rng.choice([0, 7, 2**63 - 1])), 0.03),
    }
    dtype = _float(rng)
    call = _floats(rng, memory, dtype, (b, h, tq, d), (b, h, tk, d), (b, h, tk, d), settings=settings)
    if mask is not None and rng.random() < 0.5:  # one that is added, -inf where the other hides
        numbers = _extremes(rng, mask.shape, dtype) if call.is_extreme else rng.standard_normal(mask.shape)
        (mask,) = _spoilt(rng, [np.where(mask, numbers, -np.inf).astype(dtype)])
    call.arrays = (*call.arrays, None if mask is None else memory.place(mask))
    call.is_extreme = call.is_extreme or settings["scale"] not in (None, 0.3)
    return call


def _layer_norm(rng, memory, residual=False):
    lead, c = _lead(rng), _size(rng)
    eps = _odd(rng, 0.3)  # so large that a row of one number is no matter of rounding
    xs = [(*lead, c)] * (2 if residual else 1)
    call = _floats(rng, memory, _float(rng), *xs, (c,), _bias(rng, c), settings={"eps": eps})
    call.is_extreme = call.is_extreme or eps != 0.3
    return call


def _linear(rng, memory, settings=None):
    c_in, c_out = _size(rng), _size(rng)
    shapes = (*_lead(rng), c_in), (c_out, c_in), _bias(rng, c_out)
    return _floats(rng, memory, _float(rng), *shapes, settings=settings)


def _gelu_linear(rng, memory):
    return _linear(rng, memory, {"approximate": _odd(rng, str(rng.choice(["tanh", "tanh", "none"])))})


def _linear_cross_entropy(rng, memory):
    lead, v, c = _lead(rng), _size(rng), _size(rng)
    ignore_index = int(rng.choice([-100, 0, 255, -(2**63)]))
    targets = _ids(rng, lead, v, (ignore_index,) if rng.random() < 0.6 else ())
    settings = {
        "ignore_index": _odd(rng, ignore_index),
        "label_smoothing": _odd(rng, float(rng.choice([0.0, 0.1]))),
        "reduction": _odd(rng, str(rng.choice(["mean", "sum"]))),
    }
    call = _floats(rng, memory, _float(rng), (*lead, c), (v, c), _bias(rng, v), settings=settings)
    x, weight, bias = call.arrays
    call.arrays = (x, weight, memory.place(targets), bias)
    return call


def _gelu(rng, memory):
    approximate = _odd(rng, str(rng.choice(["tanh", "tanh", "none"])))
    return _floats(rng, memory, _float(rng), (*_lead(rng), _size(rng)), settings={"approximate": approximate})


def _dropout(rng, memory):
    settings = {"p": _odd(rng, float(rng.choice([0.0, 0.1, 0.9]))), "seed": _odd(rng, int(rng.choice([0, 2**63 - 1])))}
    return _floats(rng, memory, _float(rng), (*_lead(rng), _size(rng)), settings=settings)


def _one(rng, memory):
    """An op of each element by itself."""
    return _floats(rng, memory, _float(rng), (*_lead(rng), _size(rng)))


def _two(rng, memory):
    """An op of two arrays: of one shape, or the second of the last axes. (Other pairs go to the reference, which asks
    what shapes they have when backward runs.)"""
    shape = (*_lead(rng), _size(rng) if rng.random() < 0.6 else 70)
    return _floats(rng, memory, _float(rng), shape, shape[-1:] if shape[-1] == 70 else shape)


def _alike(rng, memory):
    shape = (*_lead(rng), _size(rng))
    return _floats(rng, memory, _float(rng), shape, shape)


def _div(rng, memory):
    call = _two(rng, memory)
    near_zero = any(a.dtype.kind == "f" and a.size and np.abs(a).min() < 0.05 for a in call.arrays)
    call.is_extreme = call.is_extreme or near_zero
    return call


def _sqrt(rng, memory):
    call = _one(rng, memory)
    (x,) = call.arrays
    call.is_extreme = call.is_extreme or (x.dtype.kind == "f" and x.size > 0 and bool(x.min() < 0.05))
    return call


def _pow(rng, memory):
    call = _one(rng, memory)
    call.settings = {"exponent": _odd(rng, int(rng.integers(0, 10)), 0.2)}
    call.is_extreme = call.is_extreme or call.settings["exponent"] not in range(1, 10)
    call.tolerance = 1e-3 if call.arrays[0].dtype == np.float32 else None
    return call


def _where(rng, memory):
    call = _two(rng, memory)
    (condition,) = _spoilt(rng, [np.asarray(rng.random(call.arrays[0].shape) < 0.5)])
    call.arrays = (memory.place(condition), *call.arrays)
    return call


def _along_axis(rng, memory):
    shape = (*_lead(rng), _size(rng))
    axis = -1 if rng.random() < 0.7 else int(rng.integers(-len(shape), len(shape) + 1))
    return _floats(rng, memory, _float(rng), shape, settings={"axis": axis})


def _sum(rng, memory):
    call = _along_axis(rng, memory)
    axes = [call.settings["axis"], None, (-1, -2)][int(rng.integers(3))]
    call.settings = {"axis": axes, "keepdims": bool(rng.random() < 0.5)}
    return call


def _matmul(rng, memory):
    batch = _lead(rng)
    m, k, n = (_size(rng) for _ in range(3))
    other = tuple(size if rng.random() < 0.7 else 1 for size in batch)
    other = other[int(rng.integers(len(batch) + 1)) :] if rng.random() < 0.4 else other
    dtype = _float(rng)
    shapes = [(*batch, m, k), (*other, k, n)] if rng.random() < 0.9 else [(k,), (k, n)]
    if rng.random() < 0.3:  # matrices that lie column by column
        call = _floats(rng, memory, dtype, *[(*s[:-2], *s[:-3:-1]) for s in shapes])
        call.arrays = tuple(a.swapaxes(-1, -2) if a.ndim > 1 else a for a in call.arrays)
        return call
    return _floats(rng, memory, dtype, *shapes)


def _likeliest(rng, memory):
    rows, v = int(rng.choice(SIZES)), _size(rng)
    k = _odd(rng, int(rng.integers(1, min(v, 12) + 2)))  # now and then one more than there are
    call = _floats(rng, memory, _float(rng), (rows, v), settings={"k": k})
    call.tolerance = 1e-4 if call.arrays[0].dtype == np.float32 else None  # of log_p, which are float64 in any case
    call.may_refuse = call.may_refuse or call.is_extreme  # the reference has no order for nan
    return call


def _block_step(rng, memory):
    """Now and then without room for the position. (Odd strides of x and of the cache are fine.)"""
    r, h, d, inner = int(rng.integers(1, 10)), int(rng.integers(1, 4)), int(rng.choice(SIZES[1:])), _size(rng)
    c, capacity = h * d, int(rng.integers(1, 40))
    length = int(rng.integers(capacity)) if rng.random() < 0.95 else capacity
    dtype, has_bias = _float(rng), rng.random() < 0.8
    layers = [(c,), (3 * c, c), (c, c), (c,), (inner, c), (c, inner)]
    weights = [shape for layer in layers for shape in (layer, layer[:1] if has_bias else None)]
    call = _floats(rng, memory, dtype, (r, c), *[(r, h, capacity, d)] * 2, *weights)
    shown = memory.place(rng.random((r, length + 1)) < 0.7) if rng.random() < 0.4 else None
    x, keys, values, *rest = call.arrays
    keys, values = (memory.place(a, written=True) for a in (keys, values))
    call.arrays = (x, keys, values, shown, *rest)
    call.settings = {"length": length, "scale": 0.3, "eps": 1e-5}
    call.may_refuse = not keys.flags.writeable or not values.flags.writeable
    return call


def _adamw(rng, memory):
    """Now and then a list too long, an array of another shape or dtype, one that is locked, or one that is two."""
    shapes = [(*_lead(rng), _size(rng)) for _ in range(int(rng.integers(0, 5)))]
    dtype = _float(rng)
    lists = [_spoilt(rng, [np.asarray(rng.standard_normal(s), dtype) for s in shapes]) for _ in range(4)]
    lists[3] = [v if v.dtype.kind != "f" else v * v for v in lists[3]]
    fit = rng.random() < 0.7  # for the kernel, which wants contiguous arrays
    layouts = [["plain", "owner"][int(rng.integers(2))] if fit else None for _ in range(4)]
    is_shared = rng.random() < 0.15
    placed = [
        [memory.place(a, layout=layout, written=is_shared or i != 1) for a in some]
        for i, (some, layout) in enumerate(zip(lists, layouts, strict=True))
    ]
    some = [i for i in range(4) if placed[i]]
    if some and is_shared:
        i, j = (int(rng.choice(some)) for _ in range(2))
        placed[i][0] = placed[j][int(rng.integers(len(placed[j])))]  # one array in two places
    if rng.random() < 0.05 and placed[0]:
        placed[int(rng.integers(4))].pop()
    n = len(shapes) + int(rng.random() < 0.03)
    settings = {
        "lr": 1e-2, "beta1": 0.9, "beta2": 0.95, "eps": 1e-2, "weight_decays": [0.1] * n,
        "steps": [int(rng.choice([3, 1, 0], p=[0.6, 0.39, 0.01])) for _ in range(n)], "grad_scale": 0.5,
    }  # fmt: skip
    written = [a for i in (0, 2, 3) for a in placed[i]]
    is_locked = not all(a.flags.carray for a in written)
    return Call(tuple(placed), settings, may_refuse=is_locked)


def _shift_rows(rng, memory):
    rows, r = (*_lead(rng), _size(rng)), _size(rng)
    first = _ids(rng, tuple(n if rng.random() < 0.7 else 1 for n in rows), r + 3, (-1, -r))
    call = _floats(rng, memory, _float(rng), (*rows, r), settings={"keys": _odd(rng, _size(rng))})
    call.arrays = (*call.arrays, memory.place(first))
    return call


def _sum_squares(rng, memory):
    return _floats(rng, memory, _float(rng), *[(*_lead(rng), _size(rng)) for _ in range(int(rng.integers(0, 5)))])


RECIPES = {
    "adamw": _adamw,
    "add": _two,
    "add_layer_norm": lambda rng, memory: _layer_norm(rng, memory, residual=True),
    "attention": _attention,
    "block_step": _block_step,
    "cross_entropy": _cross_entropy,
    "div": _div,
    "dropout": _dropout,
    "embedding": _embedding,
    "exp": _one,
    "gelu": _gelu,
    "gelu_linear": _gelu_linear,
    "layer_norm": _layer_norm,
    "likeliest": _likeliest,
    "linear": _linear,
    "linear_cross_entropy": _linear_cross_entropy,
    "log_softmax": _along_axis,
    "matmul": _matmul,
    "max": _sum,
    "maximum": _alike,
    "mean": _sum,
    "mul": _two,
    "neg": _one,
    "pow": _pow,
    "relu": _one,
    "shift_rows": _shift_rows,
    "sigmoid": _one,
    "silu": _one,
    "softmax": _along_axis,
    "sqrt": _sqrt,
    "sub": _two,
    "sum": _sum,
    "sum_squares": _sum_squares,
    "tanh": _one,
    "where": _where,
}
