"""Cases of the ops that work element by element."""

import numpy as np

from tinygrad_gpt.cases.draw import LONG, strided, transposed


def _unary(values: str = "normal", **settings):
    """Cases of an op on one array, whose elements Draw's method `values` makes."""

    def make(draw):
        one = getattr(draw, values)
        yield "three axes", (one(3, 5, 7),), settings
        yield "a number", (one(),), settings
        yield "one element", (one(1, 1),), settings
        yield "nothing", (one(0, 3),), settings
        yield "long", (one(LONG),), settings
        yield "strided", (strided(one(3, 7)),), settings
        yield "transposed", (transposed(one(5, 3, 7)),), settings

    return make


_NEAR_ZERO = np.array([0.0, -0.0, 1e-300, -1e-9, 1e-5])


def _with_large(make, size: float):
    """More cases: 0, and arguments so large that the function is flat, or overflows if written carelessly."""

    def more(draw):
        yield from make(draw)
        yield "large", (np.linspace(-size, size, 23),), {}
        yield "near zero", (_NEAR_ZERO,), {}

    return more


def _pow(draw):
    yield "square", (draw.normal(3, 5, 7),), {"exponent": 2}
    yield "cube", (draw.normal(7),), {"exponent": 3}
    yield "root", (draw.positive(3, 5),), {"exponent": 0.5}
    yield "inverse", (draw.nonzero(3, 5),), {"exponent": -1}
    yield "fraction", (draw.positive(131),), {"exponent": -1.7}
    yield "power one, at zero too", (np.array([0.0, 1.5, -2.0]),), {"exponent": 1}
    yield "power zero, at zero too", (np.array([0.0, 1.5, -2.0]),), {"exponent": 0}
    yield "a number", (draw.positive(),), {"exponent": 2.5}
    yield "one element", (draw.positive(1, 1),), {"exponent": 2}
    yield "nothing", (draw.positive(0, 3),), {"exponent": 2}
    yield "strided", (strided(draw.positive(3, 7)),), {"exponent": 1.5}


def _gelu(draw):
    for approximate in ("tanh", "none"):
        for name, arrays, _ in _with_large(_unary(), 12.0)(draw):
            yield f"{approximate}, {name}", arrays, {"approximate": approximate}


def _clamp(draw):
    for name, bounds in {"both": (-0.5, 0.7), "below": (-0.3, None), "above": (None, 0.4), "crossed": (1, -1)}.items():
        settings = {"min": bounds[0], "max": bounds[1]}
        for shape, arrays, _ in _unary()(draw):
            yield f"{name}, {shape}", arrays, settings


def _dropout(draw):
    for p in (0.0, 0.1, 0.75):
        yield f"p = {p}", (draw.normal(3, 5, 7),), {"p": p, "seed": 1234567}
    for name, arrays, _ in _unary()(draw):
        yield name, arrays, {"p": 0.4, "seed": 2**62 + 987654321}


_BROADCASTS = {
    "one shape": ((3, 5, 7), (3, 5, 7)),
    "a row to many": ((3, 7, 5), (5,)),
    "many to a row": ((5,), (3, 7, 5)),
    "a column and a row": ((3, 1), (5,)),
    "stretched both ways": ((3, 1, 5), (7, 1)),
    "stretched in the middle": ((3, 1, 7), (5, 7)),
    "stretched in the middle of the other": ((5, 7), (3, 1, 7)),
    "a number and an array": ((), (5,)),
    "an array and one element": ((3, 5), (1, 1, 1)),
    "two numbers": ((), ()),
    "nothing": ((0, 3), (1, 3)),
    "stretched to nothing": ((1, 3), (0, 1)),
    "long": ((3, LONG), (LONG,)),
}


def _binary(values: str = "normal", other: str | None = None, apart: float = 0.0):
    """Cases of an op on two arrays that broadcast; `apart` is added to b, so that it equals a nowhere."""

    def make(draw):
        one, two = getattr(draw, values), getattr(draw, other or values)
        for name, (a, b) in _BROADCASTS.items():
            yield name, (one(*a), np.asarray(two(*b) + apart)), {}
        yield "strided and transposed", (strided(one(3, 5)), transposed(two(7, 3, 5)) + apart), {}

    return make


def _where(draw):
    for name, (a, b) in _BROADCASTS.items():
        condition = draw.bools(*np.broadcast_shapes(a, b))
        yield name, (condition, draw.normal(*a), draw.normal(*b)), {}
    yield "the condition broadcasts", (draw.bools(3, 1), draw.normal(7, 3, 5), draw.normal(5)), {}
    yield "the condition stretches both", (draw.bools(7, 3, 5), draw.normal(5), draw.normal(3, 1)), {}
    yield "strided", (draw.bools(6, 5)[::2], strided(draw.normal(3, 5)), transposed(draw.normal(3, 5))), {}
    a, condition = draw.normal(3, 5), np.arange(15).reshape(3, 5) % 2 == 0
    yield "what is not chosen is infinite", (condition, np.where(condition, a, np.inf), draw.normal(3, 5)), {}


MAKERS = {
    "add": _binary(),
    "sub": _binary(),
    "mul": _binary(),
    "div": _binary("normal", "nonzero"),
    "maximum": _binary("distinct", apart=0.071),  # a's and b's elements are from two grids that do not meet
    "where": _where,
    "neg": _unary(),
    "pow": _pow,
    "exp": _unary(),
    "log": _unary("positive"),
    "sqrt": _unary("positive"),
    "tanh": _with_large(_unary(), 30.0),
    "sigmoid": _with_large(_unary(), 800.0),
    "relu": _unary("nonzero"),
    "silu": _with_large(_unary(), 800.0),
    "softplus": _with_large(_unary(), 800.0),
    "sin": _unary(),
    "cos": _unary(),
    "clamp": _clamp,
    "gelu": _gelu,
    "dropout": _dropout,
}
