"""Inputs that don't fit are refused by an error that names the op, what it expected and what it got."""

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import apply
from tinygrad_gpt.kernels import registry


def x(*shape):
    return np.zeros(shape, np.float32)


def ids(*values):
    return np.array(values)


ADAMW = {"lr": 1, "beta1": 0, "beta2": 0, "eps": 1}

ERRORS = [
    # broadcasting
    *[
        (f"{name} of shapes", lambda op=op: op(x(2, 3), x(4)), ValueError, [name, "broadcast", "(2, 3) and (4,)"])
        for name, op in {"add": F.add, "sub": F.sub, "mul": F.mul, "div": F.div, "maximum": F.maximum}.items()
    ],
    ("where, shapes", lambda: F.where(np.ones(2, bool), x(2, 3), x(3)), ValueError, ["where", "(2,)", "(2, 3)"]),
    ("where, condition", lambda: F.where(x(3), x(3), x(3)), TypeError, ["where", "boolean", "float32", "x > 0"]),
    (
        "where, ints with floats",
        lambda: apply("where", np.ones(3, bool), x(3), ids(1, 2, 3)),
        TypeError,
        ["where", "float32", "int64", "astype"],
    ),
    ("broadcast_to", lambda: F.broadcast_to(x(2, 3), (3, 2)), ValueError, ["broadcast_to", "(2, 3)", "(3, 2)"]),
    ("broadcast_to, fewer axes", lambda: F.broadcast_to(x(2, 3), (3,)), ValueError, ["broadcast_to", "(3,)"]),
    # pow
    ("pow of a Tensor", lambda: F.pow(x(3), F.exp(x(3))), TypeError, ["pow", "Python number", "Tensor", "exp("]),
    ("negative base", lambda: (-2) ** F.exp(x(3)), TypeError, ["pow", "positive", "-2"]),
    # reductions
    ("sum, axis", lambda: F.sum(x(2, 3), 2), ValueError, ["sum", "axis 2", "2 dimensions"]),
    ("sum, axis twice", lambda: F.sum(x(2, 3), (1, -1)), ValueError, ["sum", "(1, -1)", "twice"]),
    ("mean, axis", lambda: F.mean(x(2, 3), -3), ValueError, ["mean", "axis -3"]),
    ("mean of nothing", lambda: F.mean(x(0, 3), 0), ValueError, ["mean", "at least one", "(0, 3)"]),
    ("max, axis", lambda: F.max(x(2, 3), 5), ValueError, ["max", "axis 5"]),
    ("max of nothing", lambda: F.max(x(2, 0)), ValueError, ["max", "at least one", "(2, 0)"]),
    ("var of one", lambda: F.var(x(2, 1), 1), ValueError, ["var", "more than 1", "(2, 1)"]),
    # shapes
    ("reshape", lambda: F.reshape(x(2, 3), (4, 2)), ValueError, ["reshape", "6 elements", "(2, 3)", "(4, 2)"]),
    ("reshape, two unknown", lambda: F.reshape(x(2, 3), (-1, -1)), ValueError, ["reshape", "(-1, -1)"]),
    ("reshape, remainder", lambda: F.reshape(x(2, 3), (4, -1)), ValueError, ["reshape", "(4, -1)"]),
    ("reshape, negative", lambda: F.reshape(x(2, 3), (-2, -3)), ValueError, ["reshape", "(-2, -3)"]),
    ("reshape, unknown of nothing", lambda: F.reshape(x(0, 3), (0, -1)), ValueError, ["reshape", "(0, -1)"]),
    ("permute, too few", lambda: F.permute(x(2, 3), (0,)), ValueError, ["permute", "2 axes", "(0,)"]),
    ("permute, twice", lambda: F.permute(x(2, 3), (0, 0)), ValueError, ["permute", "twice"]),
    ("permute, range", lambda: F.permute(x(2, 3), (0, 2)), ValueError, ["permute", "axis 2"]),
    ("getitem", lambda: F.getitem(x(2, 3), 5), IndexError, ["getitem", "5", "(2, 3)"]),
    ("getitem, too many", lambda: F.getitem(x(2, 3), (0, 0, 0)), IndexError, ["getitem", "(2, 3)"]),
    ("getitem, array", lambda: F.getitem(x(2, 3), ids(0, 2)), IndexError, ["getitem", "2", "(2, 3)"]),
    ("concatenate, none", lambda: F.concatenate([]), ValueError, ["concatenate", "at least one"]),
    ("concatenate", lambda: F.concatenate([x(2, 3), x(2, 4)]), ValueError, ["concatenate", "axis 0", "(2, 4)"]),
    ("concatenate, axis", lambda: F.concatenate([x(2, 3)], axis=2), ValueError, ["concatenate", "axis 2"]),
    ("concatenate, ndim", lambda: F.concatenate([x(2, 3), x(3)]), ValueError, ["concatenate", "(3,)"]),
    ("concatenate, dtypes", lambda: F.concatenate([x(2), ids(1)]), TypeError, ["concatenate", "float32, int64"]),
    ("split", lambda: apply("split", x(2, 7), sizes=()), ValueError, ["split", "add up", "2", "()"]),
    ("split, none", lambda: F.split(x(2, 7), 0), ValueError, ["split", ">= 1", "0"]),
    ("split, sizes", lambda: F.split(x(2, 7), (3, 3), 1), ValueError, ["split", "add up", "7", "(3, 3)"]),
    ("split, negative", lambda: F.split(x(2, 7), (8, -1), 1), ValueError, ["split", "(8, -1)"]),
    ("split, axis", lambda: F.split(x(2, 7), 1, axis=2), ValueError, ["split", "axis 2"]),
    # layers
    ("matmul", lambda: F.matmul(x(2, 3), x(4, 5)), ValueError, ["matmul", "(..., K, N)", "(2, 3)", "(4, 5)"]),
    ("matmul, batches", lambda: F.matmul(x(2, 3, 4), x(3, 4, 5)), ValueError, ["matmul", "(2, 3, 4)"]),
    ("matmul, numbers", lambda: F.matmul(x(), x(2)), ValueError, ["matmul", "()"]),
    ("linear", lambda: F.linear(x(2, 3), x(3, 4)), ValueError, ["linear", "(C_out, C_in)", "(2, 3)", "(3, 4)"]),
    ("linear, bias", lambda: F.linear(x(2, 3), x(4, 3), x(3)), ValueError, ["linear", "bias", "(4,)", "(3,)"]),
    ("embedding, floats", lambda: F.embedding(x(2), x(5, 3)), TypeError, ["embedding", "integer", "float32"]),
    ("embedding, weight", lambda: F.embedding(ids(1), x(5)), ValueError, ["embedding", "(V, C)", "(5,)"]),
    (
        "embedding, id",
        lambda: F.embedding(np.array([[1, 2], [3, 9]]), x(5, 3)),
        IndexError,
        ["embedding", "0 .. 4", "vocabulary size 5", "got 9", "(1, 1)"],
    ),
    ("embedding, negative id", lambda: F.embedding(ids(1, -1), x(5, 3)), IndexError, ["embedding", "got -1", "(1,)"]),
    ("layer_norm", lambda: F.layer_norm(x(2, 3), 3, x(2)), ValueError, ["layer_norm", "weight", "(3,)", "(2,)"]),
    ("layer_norm, bias", lambda: F.layer_norm(x(2, 3), 3, x(3), x(2)), ValueError, ["layer_norm", "bias", "(2,)"]),
    ("layer_norm, number", lambda: F.layer_norm(x(), 1, x(1)), ValueError, ["layer_norm", "(..., C)", "()"]),
    (
        "add_layer_norm",
        lambda: F.add_layer_norm(x(2, 3), x(3), x(3)),
        ValueError,
        ["add_layer_norm", "one shape", "(2, 3)", "(3,)"],
    ),
    (
        "add_layer_norm, weight",
        lambda: F.add_layer_norm(x(2, 3), x(2, 3), x(2)),
        ValueError,
        ["weight", "(3,)", "(2,)"],
    ),
    ("softmax, axis", lambda: F.softmax(x(2, 3), 2), ValueError, ["softmax", "axis 2"]),
    ("softmax of nothing", lambda: F.softmax(x(2, 0)), ValueError, ["softmax", "at least one", "(2, 0)"]),
    ("log_softmax of nothing", lambda: F.log_softmax(x(2, 0)), ValueError, ["log_softmax", "(2, 0)"]),
    ("dropout", lambda: F.dropout(x(3), 1.0), ValueError, ["dropout", "0 <= p < 1", "1.0"]),
    ("dropout, negative", lambda: F.dropout(x(3), -0.1), ValueError, ["dropout", "-0.1"]),
    ("gelu", lambda: F.gelu(x(3), approximate="erf"), ValueError, ["gelu", '"tanh" or "none"', "'erf'"]),
    # attention
    (
        "attention, axes",
        lambda: F.attention(x(3, 4), x(3, 4), x(3, 4)),
        ValueError,
        ["attention", "(B, H, Tq, D)", "(3, 4)"],
    ),
    (
        "attention, head size",
        lambda: F.attention(x(1, 2, 3, 4), x(1, 2, 3, 5), x(1, 2, 3, 5)),
        ValueError,
        ["attention", "(1, 2, 3, 5)"],
    ),
    (
        "attention, values",
        lambda: F.attention(x(1, 2, 3, 4), x(1, 2, 5, 4), x(1, 2, 3, 4)),
        ValueError,
        ["attention", "(1, 2, 5, 4) and (1, 2, 3, 4)"],
    ),
    (
        "attention, mask",
        lambda: F.attention(*[x(1, 2, 3, 4)] * 3, np.ones((3, 4), bool)),
        ValueError,
        ["attention", "(1, 2, 3, 3)", "(3, 4)"],
    ),
    (
        "attention, integer mask",
        lambda: F.attention(*[x(1, 2, 3, 4)] * 3, np.ones((3, 3), int)),
        TypeError,
        ["attention", "booleans", "float32", "int64"],
    ),
    (
        "attention, dropout",
        lambda: F.attention(*[x(1, 2, 3, 4)] * 3, dropout=1.0),
        ValueError,
        ["attention", "dropout", "1.0"],
    ),
    # cross-entropy
    (
        "cross_entropy",
        lambda: F.cross_entropy(x(2, 5), ids(1, 2, 3)),
        ValueError,
        ["cross_entropy", "(..., V)", "(2, 5) and (3,)"],
    ),
    ("cross_entropy, floats", lambda: F.cross_entropy(x(2, 5), x(2)), TypeError, ["cross_entropy", "integer"]),
    (
        "cross_entropy, target",
        lambda: F.cross_entropy(x(2, 3, 5), np.array([[1, 2, -100], [0, 5, 1]])),
        IndexError,
        ["cross_entropy", "vocabulary size 5", "-100 to ignore", "got 5", "(1, 1)"],
    ),
    (
        "cross_entropy, negative",
        lambda: F.cross_entropy(x(2, 5), ids(1, -1)),
        IndexError,
        ["cross_entropy", "got -1", "(1,)"],
    ),
    (
        "cross_entropy, reduction",
        lambda: F.cross_entropy(x(1, 5), ids(1), reduction="average"),
        ValueError,
        ["cross_entropy", '"mean"', "'average'"],
    ),
    (
        "cross_entropy, smoothing",
        lambda: F.cross_entropy(x(1, 5), ids(1), label_smoothing=1.0),
        ValueError,
        ["cross_entropy", "label_smoothing", "1.0"],
    ),
    (
        "cross_entropy, all ignored",
        lambda: F.cross_entropy(x(2, 5), ids(-100, -100)),
        ValueError,
        ["cross_entropy", "at least one target", "ignore_index=-100"],
    ),
    # routines
    (
        "adamw, shapes",
        lambda: registry.run("adamw", [x(3)], [x(2)], [x(3)], [x(3)], **ADAMW, weight_decays=[0], steps=[1]),
        ValueError,
        ["adamw", "one shape", "(2,)"],
    ),
    (
        "adamw, lists",
        lambda: registry.run("adamw", *[[x(3)]] * 4, **ADAMW, weight_decays=[0], steps=[1, 1]),
        ValueError,
        ["adamw", "one length"],
    ),
    (
        "adamw, step",
        lambda: registry.run("adamw", *[[x(3)]] * 4, **ADAMW, weight_decays=[0], steps=[0]),
        ValueError,
        ["adamw", "from 1", "0"],
    ),
    ("sum_squares of integers", lambda: registry.run("sum_squares", ids(1)), TypeError, ["sum_squares", "int64"]),
]


@pytest.mark.parametrize(("call", "error", "fragments"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors(call, error, fragments):
    with pytest.raises(error) as caught:
        call()
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


UNARY = [
    "neg",
    "exp",
    "log",
    "sqrt",
    "tanh",
    "sigmoid",
    "silu",
    "relu",
    "gelu",
    "sum",
    "mean",
    "max",
    "var",
    "softmax",
    "log_softmax",
]


@pytest.mark.parametrize("op", UNARY)
def test_arithmetic_refuses_integers(op):
    with pytest.raises(TypeError, match=rf"^{op}: expected float32 or float64, got int64 of shape \(2,\): .*astype"):
        apply(op, ids(1, 2))


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "maximum", "matmul"])
def test_arithmetic_refuses_integers_on_either_side(op):
    for pair in [(ids(1, 2), x(2)), (x(2), ids(1, 2))]:
        with pytest.raises(TypeError, match=rf"^{op}: expected float32 or float64, got int64"):
            apply(op, *pair)


def test_a_graph_of_two_float_dtypes_is_refused():
    with pytest.raises(TypeError, match="add: float32 and float64 don't mix"):
        F.add(np.zeros(2, np.float32), np.zeros(2))
