"""Calls of every kernel of the package's ops, on arrays that are large enough for several threads."""

import numpy as np

from tests.kernels.test_against_reference import kernel, normal
from tinygrad_gpt.sparse_rows import dense

ATTENTION = tuple(normal((2, 3, 70, 16), np.float32, i) for i in range(3))
ONE_HEAD = tuple(normal((1, 1, 200, 16), np.float32, i) for i in range(3))
ONE_QUERY = (ATTENTION[0][:, :, :1], *normal((2, 2, 3, 400, 16), np.float32, 1))
LINEAR = (normal((300, 70), np.float32), normal((90, 70), np.float32, 1), normal(90, np.float32, 2))
FEW_ROWS = (normal((5, 200), np.float32), normal((183, 200), np.float32, 1), normal(183, np.float32, 2))
WIDE = (normal((33, 70), np.float32), normal((2500, 70), np.float32, 1))
TANH, EXACT = {"approximate": "tanh"}, {"approximate": "none"}
ROWS = (normal((600, 70), np.float32),)
TWO = (*ROWS, normal((600, 70), np.float32, 1))
NORM = (normal(70, np.float32, 1), normal(70, np.float32, 2))
CALLS = {  # op, and what is special about it -> arrays, settings
    "add": (TWO, {}),
    "add rows": ((*ROWS, normal(70, np.float32, 1)), {}),
    "add_layer_norm": ((*TWO, *NORM), {}),
    "attention": ((*ATTENTION, None), {"causal": True, "dropout": 0.1, "seed": 3}),
    "attention of one head": ((*ONE_HEAD, None), {"causal": True}),
    "attention of one query": ((*ONE_QUERY, None), {}),
    "attention with a mask of each pair": ((*ATTENTION, normal((2, 3, 70, 70), np.float32, 4)), {"causal": True}),
    "attention with a shared mask": ((*ATTENTION, normal((70, 70), np.float32, 4)), {"dropout": 0.1, "seed": 3}),
    "attention with a shared row": ((*ATTENTION, normal((2, 1, 1, 70), np.float32, 4)), {}),
    "attention of one head with a row": ((*ONE_HEAD, normal((1, 1, 1, 200), np.float32, 4)), {}),
    "cross_entropy": ((normal((200, 70), np.float32), np.arange(200) % 70), {}),
    "cross_entropy of many classes": ((normal((9, 5003), np.float32), np.arange(9)), {"label_smoothing": 0.1}),
    "div": (TWO, {}),
    "dropout": (ROWS, {"p": 0.1, "seed": 5}),
    "embedding": ((np.arange(1000) % 7, normal((7, 200), np.float32)), {}),
    "exp": (ROWS, {}),
    "gelu": (ROWS, TANH),
    "gelu exact": (ROWS, EXACT),
    "gelu_linear": (LINEAR, TANH),
    "gelu_linear exact": (LINEAR, EXACT),
    "layer_norm": ((*ROWS, *NORM), {}),
    "linear": (LINEAR, {}),
    "linear of few rows": (FEW_ROWS, {}),
    "linear that is wide": (WIDE, {}),
    "linear_cross_entropy": ((*LINEAR[:2], np.arange(300) % 90, LINEAR[2]), {}),
    "linear_cross_entropy of many classes": ((*WIDE, np.arange(33), None), {"label_smoothing": 0.1}),
    "log_softmax": (ROWS, {}),
    "matmul": ((normal((9, 40, 70), np.float32), normal((9, 70, 33), np.float32, 1)), {}),
    "matmul of one": ((normal((1, 130, 70), np.float32), normal((70, 33), np.float32, 1)), {}),
    "matmul of two": ((normal((2, 130, 70), np.float32), normal((2, 70, 33), np.float32, 1)), {}),
    "max": (ROWS, {"axis": -1}),
    "maximum": (TWO, {}),
    "mean": (ROWS, {"axis": -1}),
    "mul": (TWO, {}),
    "mul rows": ((*ROWS, normal(70, np.float32, 1)), {}),
    "neg": (ROWS, {}),
    "pow": (ROWS, {"exponent": 3}),
    "relu": (ROWS, {}),
    "shift_rows": ((normal((5, 60, 70), np.float32), np.arange(60).reshape(1, 60) % 9), {"keys": 61}),
    "sigmoid": (ROWS, {}),
    "silu": (ROWS, {}),
    "softmax": (ROWS, {}),
    "sqrt": ((np.abs(ROWS[0]),), {}),
    "sub": (TWO, {}),
    "sum": (ROWS, {"axis": -1}),
    "sum of all": (ROWS, {}),
    "tanh": (ROWS, {}),
    "where": ((ROWS[0] > 0, *TWO), {}),
}


def op_of(name: str) -> str:
    return name.split()[0]


def with_floats(name: str, dtype) -> tuple[list, dict]:
    """The arrays of a call, floats in this dtype, and its settings."""
    arrays, settings = CALLS[name]
    return [a.astype(dtype) if a is not None and a.dtype == np.float32 else a for a in arrays], settings


def run(name: str) -> list[np.ndarray]:
    """Outputs and gradients of one call of the kernel's pair."""
    return outputs_and_gradients(kernel(op_of(name)), *CALLS[name])


def outputs_and_gradients(pair, arrays, settings) -> list[np.ndarray]:
    """Of a pair, for a random dy."""
    y, saved = pair.forward(*arrays, **settings)
    ys = y if isinstance(y, tuple) else (y,)
    dys = tuple(normal(one.shape, one.dtype, 9 + i) for i, one in enumerate(ys))
    for dy in dys:
        dy.flags.writeable = False
    gradients = pair.backward(dys if isinstance(y, tuple) else dys[0], saved)
    return [*ys, *(dense(g) for g in gradients if g is not None)]
