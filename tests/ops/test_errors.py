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
    ("pow of a Tensor", lambda: F.pow(x(3), F.exp(x(3))), TypeError, ["pow", "number as exponent", "Tensor", "exp("]),
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
    (
        "cross_entropy, as PyTorch",
        lambda: F.cross_entropy(x(2, 5, 3), ids(1, 2, 3, 1, 2, 3).reshape(2, 3)),
        ValueError,
        ["cross_entropy", "(2, 5, 3) and (2, 3): the classes are the last axis here"],
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
    *[
        (f"linear_cross_entropy, {what}", run, error, ["linear_cross_entropy", *said])
        for what, run, error, said in [
            ("weight", lambda: F.linear_cross_entropy(x(2, 3), x(5, 4), ids(1, 2)), ValueError, ["(V, C)", "(5, 4)"]),
            ("no classes", lambda: F.linear_cross_entropy(x(0, 3), x(0, 3), []), ValueError, ["V >= 1", "(0, 3)"]),
            ("targets", lambda: F.linear_cross_entropy(x(2, 3), x(5, 3), ids(1)), ValueError, ["(2,)", "got (1,)"]),
            (
                "bias",
                lambda: F.linear_cross_entropy(x(2, 3), x(5, 3), ids(1, 2), linear_bias=x(3)),
                ValueError,
                ["bias of shape (5,)", "got (3,)"],
            ),
            ("floats", lambda: F.linear_cross_entropy(x(2, 3), x(5, 3), x(2)), TypeError, ["integer", "float32"]),
            ("target", lambda: F.linear_cross_entropy(x(2, 3), x(5, 3), ids(1, 5)), IndexError, ["size 5", "got 5"]),
            (
                "reduction",
                lambda: apply("linear_cross_entropy", x(2, 3), x(5, 3), ids(1, 2), reduction="none"),
                ValueError,
                ['"mean" or "sum"', "'none'", "cross_entropy(linear("],
            ),
            (
                "smoothing",
                lambda: F.linear_cross_entropy(x(2, 3), x(5, 3), ids(1, 2), label_smoothing=1.0),
                ValueError,
                ["label_smoothing", "1.0"],
            ),
            (
                "all ignored",
                lambda: F.linear_cross_entropy(x(1, 3), x(5, 3), ids(-100)),
                ValueError,
                ["at least one target", "ignore_index=-100"],
            ),
        ]
    ],
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
    # cumsum, prod, clamp, logsumexp
    ("cumsum, axis", lambda: F.cumsum(x(2, 3), 2), ValueError, ["cumsum", "axis 2"]),
    ("cumsum, no axis", lambda: F.cumsum(x(2, 3)), TypeError, ["cumsum", "dim=-1"]),
    ("cumsum, two axes", lambda: F.cumsum(x(2, 3), (0, 1)), TypeError, ["cumsum", "one axis", "(0, 1)"]),
    ("prod, axis", lambda: F.prod(x(2, 3), -3), ValueError, ["prod", "axis -3"]),
    ("clamp, no bounds", lambda: F.clamp(x(2)), ValueError, ["clamp", "min, max"]),
    ("clamp, bounds of no integers", lambda: F.clamp(ids(1, 2), 0.5), TypeError, ["clamp", "int64", "astype"]),
    ("clamp, one bound of no integers", lambda: F.clamp(ids(1, 2), 0, 0.5), TypeError, ["clamp", "int64", "astype"]),
    ("norm of integers", lambda: F.norm(ids(1, 2)), TypeError, ["norm", "int64", "astype"]),
    ("rms_norm of integers", lambda: F.rms_norm(ids(1, 2), 2), TypeError, ["rms_norm", "int64", "astype"]),
    ("minimum of shapes", lambda: F.minimum(x(2, 3), x(4)), ValueError, ["minimum", "broadcast", "(2, 3) and (4,)"]),
    ("clamp, Tensor", lambda: F.clamp(x(2), max=F.exp(x(2))), TypeError, ["clamp", "max", "minimum(maximum("]),
    ("clamp, text", lambda: F.clamp(x(2), "0"), TypeError, ["clamp", "min", "'0'"]),
    ("logsumexp of nothing", lambda: F.logsumexp(x(0, 3), 0), ValueError, ["logsumexp", "at least one", "(0, 3)"]),
    ("norm, p", lambda: F.norm(x(2), 0.5), ValueError, ["norm", "p >= 1", "0.5"]),
    ("norm, p no number", lambda: F.norm(x(2), "inf"), TypeError, ["norm", "p", "'inf'"]),
    ("norm, nuclear", lambda: F.norm(x(2, 2), "nuc"), ValueError, ["norm", "np.linalg.norm"]),
    ("std of one", lambda: F.std(x(2, 1), 1), ValueError, ["var", "more than 1", "(2, 1)"]),
    ("two names", lambda: F.prod(x(2, 3), dim=0, axis=0), TypeError, ["prod", "dim=", "axis="]),
    ("two names, one axis", lambda: F.topk(x(2, 3), 1, dim=0, axis=0), TypeError, ["topk", "dim=", "axis="]),
    # shift_rows
    ("shift_rows, axes", lambda: F.shift_rows(x(3), [1], 2), ValueError, ["shift_rows", "(..., T, R)", "(3,)", "(1,)"]),
    ("shift_rows, first", lambda: F.shift_rows(x(2, 3), [1] * 3, 2), ValueError, ["shift_rows", "(2, 3)", "(3,)"]),
    ("shift_rows of integers", lambda: F.shift_rows(ids([[1, 2]]), [1], 2), TypeError, ["shift_rows", "int64"]),
    ("shift_rows, floats", lambda: F.shift_rows(x(2, 3), x(2), 2), TypeError, ["shift_rows", "integers as first"]),
    ("shift_rows, keys", lambda: F.shift_rows(x(2, 3), [1, 1], -1), ValueError, ["shift_rows", "keys >= 0", "-1"]),
    (
        "shift_rows, no keys",
        lambda: apply("shift_rows", x(2, 3), np.array([1, 1]), keys=-1),
        ValueError,
        ["shift_rows", "keys >= 0", "-1"],
    ),
    # rel_shift
    ("rel_shift, axes", lambda: F.rel_shift(x(3), 1, 2), ValueError, ["rel_shift", "(..., T, R)", "(3,)"]),
    ("rel_shift of integers", lambda: F.rel_shift(ids([1, 2]), 1, 2), TypeError, ["rel_shift", "int64", "astype"]),
    ("rel_shift, keys", lambda: F.rel_shift(x(2, 3), 1, -1), ValueError, ["rel_shift", "keys >= 0", "-1"]),
    (
        "rel_shift, no integer",
        lambda: F.rel_shift(x(2, 3), 1.5, 2),
        TypeError,
        ["rel_shift", "integer as first", "1.5"],
    ),
    ("rel_shift, no keys", lambda: apply("rel_shift", x(2, 3), first=1, keys=-1), ValueError, ["keys >= 0", "-1"]),
    # gather and its kind
    ("gather, no index", lambda: F.gather(x(2, 3), 1), TypeError, ["gather", "gather(x, dim, index)", "no index"]),
    ("gather, no dim", lambda: F.gather(x(2, 3), index=[[0]]), TypeError, ["gather", "no dim"]),
    ("gather, axis", lambda: F.gather(x(2, 3), 2, [[0]]), ValueError, ["gather", "axis 2"]),
    ("gather, range", lambda: F.gather(x(2, 3), 1, [[3]]), IndexError, ["gather", "0 .. 2", "got 3"]),
    ("gather, from the end", lambda: F.gather(x(2, 3), 1, [[-1]]), IndexError, ["gather", "0 .. 2", "got -1"]),
    ("gather, axes", lambda: F.gather(x(2, 3), 1, [0, 1]), ValueError, ["gather", "axes of x", "(2, 3)", "(2,)"]),
    ("gather, too many", lambda: F.gather(x(2, 3), 1, [[0]] * 3), ValueError, ["gather", "none larger", "(3, 1)"]),
    ("gather, floats", lambda: F.gather(x(2, 3), 1, x(2, 1)), TypeError, ["gather", "integer index", "float32"]),
    ("gather of integers", lambda: F.gather(ids([1, 2]), 1, [[2]]), IndexError, ["gather", "0 .. 1", "got 2"]),
    ("sort, axis", lambda: F.sort(x(2, 3), 2), ValueError, ["sort", "axis 2"]),
    ("sort, flag", lambda: F.sort(x(2, 3), 0, "down"), TypeError, ["sort", "descending", "'down'"]),
    ("topk, k", lambda: F.topk(x(2, 3), 4), ValueError, ["topk", "k <= 3", "(2, 3)", "got 4"]),
    ("topk, negative", lambda: F.topk(x(2, 3), -1), ValueError, ["topk", "k >= 0"]),
    ("one_hot, range", lambda: F.one_hot([0, 3], 3), IndexError, ["one_hot", "0 .. 2", "got 3"]),
    ("one_hot, negative", lambda: F.one_hot([0, -1]), IndexError, ["one_hot", "got -1"]),
    ("one_hot of nothing", lambda: F.one_hot([]), ValueError, ["one_hot", "num_classes"]),
    ("repeat_interleave", lambda: F.repeat_interleave(x(2), [1, 2, 3]), ValueError, ["repeat_interleave", "[1, 2, 3]"]),
    ("repeat_interleave, negative", lambda: F.repeat_interleave(x(2), -1), ValueError, ["repeat_interleave", "-1"]),
    ("tril of a vector", lambda: F.tril(x(3)), ValueError, ["tril", "(..., N, M)", "(3,)"]),
    ("triu, diagonal", lambda: F.triu(x(3, 3), 0.5), TypeError, ["triu", "diagonal", "0.5"]),
    ("pad, odd", lambda: F.pad(x(3), (1, 2, 3)), ValueError, ["pad", "(3,)", "(1, 2, 3)"]),
    ("pad, axes", lambda: F.pad(x(3), (1, 2, 3, 4)), ValueError, ["pad", "two numbers", "(1, 2, 3, 4)"]),
    ("pad, cuts", lambda: F.pad(x(3), (-2, -2)), ValueError, ["pad", "3 elements", "(-2, -2)"]),
    ("pad, mode", lambda: F.pad(x(3), (1, 1), "reflect"), ValueError, ["pad", "constant", "'reflect'"]),
    # einsum and vectors
    ("einsum, no text", lambda: F.einsum(x(3), "i"), TypeError, ["einsum", "ij,jk->ik", "(3,)"]),
    ("einsum, no array", lambda: F.einsum("i->"), TypeError, ["einsum", "at least one"]),
    ("einsum, terms", lambda: F.einsum("i,i", x(3)), ValueError, ["einsum", "2 terms for 1 arrays"]),
    ("einsum, axes", lambda: F.einsum("i->i", x(3, 2)), ValueError, ["einsum", "'i'", "(3, 2)"]),
    ("einsum, more letters", lambda: F.einsum("ijk", x(3, 2)), ValueError, ["einsum", "'ijk'", "(3, 2)"]),
    ("einsum, sizes", lambda: F.einsum("ij,jk", x(2, 3), x(4, 5)), ValueError, ["einsum", "(2, 3), (4, 5)"]),
    ("einsum, diagonal", lambda: F.einsum("ii", x(1, 3)), ValueError, ["einsum", "differ in size", "(1, 3)"]),
    ("einsum, out", lambda: F.einsum("i->j", x(3)), ValueError, ["einsum", "'i->j'", "no array has"]),
    ("einsum, out twice", lambda: F.einsum("i->ii", x(3)), ValueError, ["einsum", "'i->ii'", "twice"]),
    ("einsum, digits", lambda: F.einsum("1->1", x(3)), ValueError, ["einsum", "'1' is not letters"]),
    ("einsum, dots", lambda: F.einsum("..i->i", x(3)), ValueError, ["einsum", "'..i' is not letters"]),
    ("einsum, dots twice", lambda: F.einsum("...i...", x(3)), ValueError, ["einsum", "at most one"]),
    ("einsum, arrows", lambda: F.einsum("i->i->i", x(3)), ValueError, ["einsum", "'i->i' is not letters"]),
    (
        "einsum, axes that don't broadcast",
        lambda: F.einsum("...,...", x(3), x(2)),
        ValueError,
        ["einsum", "(3,), (2,)"],
    ),
    ("outer", lambda: F.outer(x(3, 1), x(2)), ValueError, ["outer", "two vectors", "(3, 1)", "(2,)"]),
    ("cosine_similarity", lambda: F.cosine_similarity(x(2, 3), x(4)), ValueError, ["cosine_similarity", "broadcast"]),
    ("normalize, axis", lambda: F.normalize(x(3)), ValueError, ["axis 1", "1 dimensions"]),
    # PyTorch's attention, norm and losses
    ("rms_norm, shape", lambda: F.rms_norm(x(2, 3), (2,)), ValueError, ["rms_norm", "(2,)", "(2, 3)"]),
    ("rms_norm, weight", lambda: F.rms_norm(x(2, 3), 3, x(2)), ValueError, ["rms_norm", "weight", "(3,)", "(2,)"]),
    (
        "scaled_dot_product_attention, widths",
        lambda: F.scaled_dot_product_attention(x(2, 3, 4), x(2, 3, 5), x(2, 3, 5)),
        ValueError,
        ["scaled_dot_product_attention", "(2, 3, 4)", "(2, 3, 5)"],
    ),
    (
        "scaled_dot_product_attention, heads",
        lambda: F.scaled_dot_product_attention(x(6, 3, 4), x(2, 3, 4), x(2, 3, 4)),
        ValueError,
        ["scaled_dot_product_attention", "leading axes", "enable_gqa"],
    ),
    (
        "scaled_dot_product_attention, groups",
        lambda: F.scaled_dot_product_attention(x(6, 3, 4), x(4, 3, 4), x(4, 3, 4), enable_gqa=True),
        ValueError,
        ["scaled_dot_product_attention", "divide the 6", "got 4"],
    ),
    (
        "scaled_dot_product_attention, a mask and causal",
        lambda: F.scaled_dot_product_attention(*[x(1, 3, 4)] * 3, np.ones((3, 3), bool), is_causal=True),
        ValueError,
        ["scaled_dot_product_attention", "attn_mask or is_causal", "both"],
    ),
    ("mse_loss", lambda: F.mse_loss(x(3), x(3, 1)), ValueError, ["mse_loss", "one shape", "(3,)", "(3, 1)"]),
    ("l1_loss, reduction", lambda: F.l1_loss(x(3), x(3), reduction="avg"), ValueError, ["l1_loss", "'avg'"]),
    ("kl_div, reduction", lambda: F.kl_div(x(3), x(3), reduction=None), ValueError, ["kl_div", "batchmean", "None"]),
    ("nll_loss", lambda: F.nll_loss(x(2, 3, 4), ids(1, 2)), ValueError, ["nll_loss", "(2, 3, 4)", "reshape"]),
    ("nll_loss, range", lambda: F.nll_loss(x(2, 3), ids(1, 3)), IndexError, ["nll_loss", "0 .. 2", "got 3"]),
    ("nll_loss, all ignored", lambda: F.nll_loss(x(1, 3), ids(-100)), ValueError, ["nll_loss", "at least one", "-100"]),
    (
        "binary_cross_entropy_with_logits",
        lambda: F.binary_cross_entropy_with_logits(x(3, 1), x(3)),
        ValueError,
        ["binary_cross_entropy_with_logits", "(3, 1)", "(3,)"],
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
    "sin",
    "cos",
    "softplus",
    "prod",
    "logsumexp",
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
