"""What `ops.py` asks of each op: arrays as a model of nanoGPT's larger recipe, or GPT-2, would hand them to it.

Both sides make the same arrays from the same seed. Work is counted once, whatever a version does:

    operations  of matrix products: those that the result needs (a causal query meets half the keys; a backward pass
                that computes the scores anew has not done more)
    bytes       of all other ops: every array that goes in or comes out, once; in backward dy, the gradients, and, where
                these depend on their values, the arrays that forward took
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

B, T, C, V = 16, 256, 384, 50257
LAYER = 7_080_000  # parameters of one layer of GPT-2
TOLERANCE = 2e-4  # of float32 numbers
LINEAR_IN_ALL = ("add", "sub", "neg", "where", "dropout", "broadcast_to", "getitem", "concatenate", "split")
LINEAR_IN_ALL += ("gather", "cumsum", "rel_shift", "shift_rows")
OPTIMISER = ("adamw", "sum_squares")  # what it does, besides the ops of the tape
ROUTINES = (*OPTIMISER, "likeliest")


@dataclass(frozen=True)
class OpCase:
    """One call of an op.

    make        function from a random generator to the arrays that forward takes, None included
    operations  floating-point operations forward and backward; None for an op that is bound by memory
    bytes       bytes read and written forward and backward, where that is not the default above; 0 where views will do
    handed_over whether forward's first array is a fresh one that nobody else holds, as in a model, so that backward may
                write over it
    tolerance   how far PyTorch's numbers may be from the reference's, relative to the largest
    """

    op: str
    name: str
    make: Callable
    settings: dict = field(default_factory=dict)
    operations: tuple[float, float] | None = None
    bytes: tuple[int | None, int | None] = (None, None)
    handed_over: bool = False
    tolerance: float = TOLERANCE

    def __str__(self) -> str:
        return f"{self.op} {self.name}"

    def arrays(self) -> tuple:
        return self.make(np.random.default_rng(0))

    def upstream(self, y: np.ndarray) -> np.ndarray:
        """A random gradient for y, the same on both sides. That of attention lies as (B, T, H, D), because in models
        it comes from a linear layer's (B, T, C)."""
        dy = np.empty(y.shape, np.float32)
        if self.op == "attention":
            dy = np.ascontiguousarray(dy.swapaxes(1, 2)).swapaxes(1, 2)
        dy[...] = np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)
        return dy


def normal(*shape: int) -> Callable:
    return lambda rng: (rng.standard_normal(shape, dtype=np.float32),)


def near_one(*shape: int) -> Callable:
    """Numbers of which a row's product is neither too large for a float nor 0."""
    return lambda rng: (1 + 0.01 * rng.standard_normal(shape, dtype=np.float32),)


def positive(*shape: int) -> Callable:
    return lambda rng: (rng.uniform(0.5, 2.0, shape).astype(np.float32),)


def both(*makers: Callable) -> Callable:
    return lambda rng: tuple(array for make in makers for array in make(rng))


def ids(below: int, *shape: int) -> Callable:
    return lambda rng: (rng.integers(below, size=shape),)


def bools(*shape: int) -> Callable:
    return lambda rng: (rng.random(shape) < 0.5,)


def nothing(rng) -> tuple:
    return (None,)


def fused_qkv(b: int, h: int, t: int, d: int) -> Callable:
    """q, k and v (B, H, T, D) as models have them: views of one array (B, T, 3C), cut in three and into heads."""

    def make(rng):
        qkv = rng.standard_normal((b, t, 3 * h * d), dtype=np.float32).reshape(b, t, 3 * h, d).swapaxes(1, 2)
        return (*np.split(qkv, 3, axis=1), None)  # (B, T, 3C) -> (B, 3H, T, D) -> 3 of (B, H, T, D), no mask

    return make


def attention(b: int, h: int, t: int, d: int) -> OpCase:
    product = 2 * b * h * t * t * d / 2  # causal
    return OpCase(
        "attention", f"{(b, h, t, d)} causal", fused_qkv(b, h, t, d), {"causal": True}, (2 * product, 4 * product)
    )


def attention_with_bias(b: int, h: int, t: int, k: int, d: int) -> OpCase:
    """What a model with relative positions asks for: T queries and K keys, and a number added to each score."""
    product = 2 * b * h * t * k * d
    make = both(normal(b, h, t, d), normal(b, h, k, d), normal(b, h, k, d), normal(b, h, t, k))
    return OpCase("attention", f"{(b, h, t, d)}, {k} keys, bias", make, {}, (2 * product, 4 * product))


def linear(rows: int, c_in: int, c_out: int) -> OpCase:
    product = 2 * rows * c_in * c_out
    make = both(normal(rows, c_in), normal(c_out, c_in), normal(c_out))
    return OpCase("linear", f"({rows}, {c_in}) to {c_out}", make, {}, (product, 2 * product))


def gelu_linear(rows: int, c_in: int, c_out: int) -> OpCase:
    """The GELU costs next to nothing, and the second one of backward is not counted."""
    alike = linear(rows, c_in, c_out)
    return OpCase("gelu_linear", alike.name, alike.make, {"approximate": "tanh"}, alike.operations, handed_over=True)


def linear_cross_entropy(rows: int, c: int, v: int) -> OpCase:
    """A version may have all the gradients once forward is done, so only both together compare, and no rates."""
    make = both(normal(rows, c), normal(v, c), ids(v, rows))
    name = f"({rows}, {c}) to {v}"
    return OpCase("linear_cross_entropy", name, make, {}, (0, 0))


def embedding(v: int, c: int, *shape: int) -> OpCase:
    rows, table = 4 * c * int(np.prod(shape)), 4 * c * v
    make = both(ids(v, *shape), normal(v, c))
    return OpCase("embedding", f"{shape} of ({v}, {c})", make, {}, bytes=(2 * rows, rows + table))


X, WIDE = (B, T, C), (B, T, 4 * C)

CASES = [
    attention(16, 6, 256, 64),
    attention(1, 12, 1024, 64),
    attention(12, 4, 64, 32),
    attention(4, 12, 64, 64),
    attention_with_bias(8, 8, 128, 256, 32),
    linear(B * T, C, 4 * C),
    linear(B * T, 4 * C, C),
    linear(256, 768, V),
    gelu_linear(B * T, 4 * C, C),
    linear_cross_entropy(1024, 768, V),
    OpCase(
        "matmul", "(64, 256, 64) @ (64, 64, 256)", both(normal(64, 256, 64), normal(64, 64, 256)), {}, (5.4e8, 1.1e9)
    ),
    OpCase(
        "einsum",
        "(64, 256, 64), (64, 256, 64)",
        both(normal(64, 256, 64), normal(64, 256, 64)),
        {"subscripts": "bqd,bkd->bqk"},
        (5.4e8, 1.1e9),
    ),
    OpCase("layer_norm", f"{X}", both(normal(*X), normal(C), normal(C))),
    OpCase(
        "add_layer_norm",
        f"{X}",
        both(normal(*X), normal(*X), normal(C), normal(C)),
        bytes=(4 * 4 * B * T * C, 4 * 4 * B * T * C),
    ),
    OpCase("gelu", f"{WIDE} tanh", normal(*WIDE), {"approximate": "tanh"}),
    OpCase("gelu", f"{WIDE} erf", normal(*WIDE), {"approximate": "none"}),
    OpCase("cross_entropy", f"(4096, {65})", both(normal(4096, 65), ids(65, 4096)), handed_over=True),
    OpCase("cross_entropy", f"(256, {V})", both(normal(256, V), ids(V, 256)), handed_over=True),
    embedding(65, C, B, T),
    embedding(V, 768, 4, 64),
    OpCase("dropout", f"{X} p = 0.2", normal(*X), {"p": 0.2, "seed": 5}, tolerance=np.inf),
    OpCase("softmax", "(16, 6, 256, 256)", normal(16, 6, 256, 256)),
    OpCase("log_softmax", f"(256, {V})", normal(256, V)),
    OpCase("add", f"{X} + {X}", both(normal(*X), normal(*X)), bytes=(None, 0)),
    OpCase("add", f"{X} + {X[1:]}", both(normal(*X), normal(*X[1:]))),
    OpCase("sub", f"{X}", both(normal(*X), normal(*X))),
    OpCase("mul", f"{X}", both(normal(*X), normal(*X))),
    OpCase("div", f"{X}", both(normal(*X), positive(*X))),
    OpCase("maximum", f"{X}", both(normal(*X), normal(*X))),
    OpCase("where", f"{X}", both(bools(*X), normal(*X), normal(*X))),
    OpCase("neg", f"{X}", normal(*X)),
    OpCase("pow", f"{X} cubed", positive(*X), {"exponent": 3}),
    OpCase("exp", f"{X}", normal(*X)),
    OpCase("log", f"{X}", positive(*X)),
    OpCase("sqrt", f"{X}", positive(*X)),
    OpCase("tanh", f"{X}", normal(*X)),
    OpCase("sigmoid", f"{X}", normal(*X)),
    OpCase("silu", f"{X}", normal(*X)),
    OpCase("softplus", f"{X}", normal(*X)),
    OpCase("sin", f"{X}", normal(*X)),
    OpCase("cos", f"{X}", normal(*X)),
    OpCase("clamp", f"{X}", normal(*X), {"min": -1.0, "max": 1.0}),
    OpCase("relu", f"{WIDE}", normal(*WIDE)),
    OpCase("sum", f"{X} rows", normal(*X), {"axis": -1}, bytes=(None, 0)),
    OpCase("mean", f"{X} rows", normal(*X), {"axis": -1}, bytes=(None, 0)),
    OpCase("var", f"{X} rows", normal(*X), {"axis": -1, "correction": 1}),
    OpCase("max", f"{X} rows", normal(*X), {"axis": -1}),
    OpCase("prod", f"{X} rows", near_one(*X), {"axis": -1}),
    OpCase("logsumexp", f"{X} rows", normal(*X), {"axis": -1}),
    OpCase("cumsum", f"{X} along rows", normal(*X), {"axis": -1}),
    OpCase("reshape", f"{X} flat", normal(*X), {"shape": (B * T, C)}, bytes=(0, 0)),
    OpCase("permute", f"{X} swapped", normal(*X), {"axes": (0, 2, 1)}, bytes=(0, 0)),
    OpCase("broadcast_to", f"{X[1:]} to {X}", normal(*X[1:]), {"shape": X}, bytes=(0, None)),
    OpCase("getitem", f"{X} last", normal(*X), {"index": (slice(None), -1)}, bytes=(0, None)),
    OpCase(
        "gather", f"one of (4096, {C})", both(normal(B * T, C), ids(C, B * T, 1)), {"axis": -1}, bytes=(8 * B * T, None)
    ),
    OpCase(
        "shift_rows",
        "(8, 8, 149, 384), XLNet",
        both(normal(8, 8, 149, 384), ids(129, 8, 1, 149)),
        {"keys": 256},
    ),
    OpCase("rel_shift", "(8, 8, 128, 256), Transformer-XL", normal(8, 8, 128, 256), {"first": 127, "keys": 256}),
    OpCase(
        "rel_shift", "(8, 8, 128, 384), XLNet", normal(8, 8, 128, 384), {"first": 128, "keys": 256}, bytes=(0, None)
    ),
    OpCase("concatenate", f"2 of {X}", both(normal(*X), normal(*X)), {"axis": -1}, bytes=(None, 0)),
    OpCase("split", f"{(B, T, 3 * C)} in 3", normal(B, T, 3 * C), {"sizes": (C, C, C), "axis": -1}, bytes=(0, None)),
    # AdamW reads parameter, gradient and two running means, and writes all but the gradient
    OpCase("adamw", "a GPT-2 layer", both(normal(LAYER), normal(LAYER)), bytes=(7 * 4 * LAYER, 0)),
    OpCase("sum_squares", "a GPT-2 layer", both(normal(LAYER), normal(LAYER)), bytes=(4 * LAYER, 0), tolerance=1e-3),
    OpCase("likeliest", f"8 of ({B}, {V})", normal(B, V), {"k": 8}, bytes=(4 * B * V, 0)),
]


# For scaling.py: the same 4,096 tokens, in longer and longer sequences.
ATTENTION_BY_LENGTH = [attention(4096 // t, 6, t, 64) for t in (128, 256, 512, 1024, 2048)]

# What a GPU is asked: attention in longer and longer sequences, and the ops of GPT-2's smallest on 8,192 tokens.
TOKENS, GPT2 = (8, 1024), 768
ON_CUDA = [
    attention(64, 6, 256, 64),
    *(attention(8192 // t, 12, t, 64) for t in (1024, 2048, 4096)),
    linear(8192, GPT2, 4 * GPT2),
    linear(1024, GPT2, V),
    linear(1024, GPT2, 50304),  # the next vocabulary that fills whole tiles: what does an odd one cost?
    gelu_linear(8192, 4 * GPT2, GPT2),
    OpCase("layer_norm", f"{(*TOKENS, GPT2)}", both(normal(*TOKENS, GPT2), normal(GPT2), normal(GPT2))),
    OpCase(
        "add_layer_norm",
        f"{(*TOKENS, GPT2)}",
        both(normal(*TOKENS, GPT2), normal(*TOKENS, GPT2), normal(GPT2), normal(GPT2)),
        bytes=(4 * 4 * 8192 * GPT2, 4 * 4 * 8192 * GPT2),
    ),
    OpCase("gelu", f"{(*TOKENS, 4 * GPT2)} tanh", normal(*TOKENS, 4 * GPT2), {"approximate": "tanh"}),
    OpCase("cross_entropy", f"(1024, {V})", both(normal(1024, V), ids(V, 1024)), handed_over=True),
    embedding(V, GPT2, *TOKENS),
    OpCase("dropout", f"{(*TOKENS, GPT2)} p = 0.2", normal(*TOKENS, GPT2), {"p": 0.2, "seed": 5}, tolerance=np.inf),
    OpCase("add", f"{(*TOKENS, GPT2)} twice", both(normal(*TOKENS, GPT2), normal(*TOKENS, GPT2)), bytes=(None, 0)),
    *(case for case in CASES if case.op in OPTIMISER),
]
ALL = CASES + ATTENTION_BY_LENGTH + ON_CUDA  # peers know a case by its place here


def elsewhere(arrays: tuple, flat: Callable, view: Callable) -> tuple:
    """The arrays on another device, where they lie as they do here: views of one array are so there as well.

    flat  function from an array (N,) to one there
    view  function from such a one, the place of the first element, a shape, and for each axis how many elements are
          from one to the next
    """
    owners = {}

    def brought(a):
        if not isinstance(a, np.ndarray):
            return a
        owner = a if a.base is None else a.base
        if id(owner) not in owners:
            owners[id(owner)] = flat(owner.reshape(-1))
        first = (address(a) - address(owner)) // a.itemsize
        return view(owners[id(owner)], first, a.shape, tuple(stride // a.itemsize for stride in a.strides))

    return tuple(map(brought, arrays))


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


def work(case: OpCase, made: int) -> tuple[float, float]:
    """(forward, backward): operations, or bytes, where y has `made` bytes."""
    if case.operations:
        return case.operations
    arrays = [a for a in case.arrays() if a is not None]
    differentiable = sum(a.nbytes for a in arrays if a.dtype.kind == "f")
    read_again = 0 if case.op in LINEAR_IN_ALL else differentiable
    forward, backward = case.bytes
    return (
        sum(a.nbytes for a in arrays) + made if forward is None else forward,
        made + read_again + differentiable if backward is None else backward,
    )
