"""The ops as functions of Tensors, under PyTorch's names. (The operators, `a + b` or `x.sum()`, are in operators.py.)

Each function takes Tensors or arrays and gives a Tensor; where one of them requires a gradient, so does the result.
What an op computes, why its gradient is what it is, and what it raises stands in its file, ops/NAME.py.

    creation.py     new Tensors
    elementwise.py  each element by itself, and two arrays that broadcast
    reductions.py   sums, means, maxima over axes
    shapes.py       rearrange, pick, join and cut
    layers.py       what layers compute: linear, norms, softmax, dropout, attention
    losses.py       losses
    fused.py        ops that do the work of several, and the several in their place
    own_ops.py      a function of an op of one's own
    axis_names.py   what the functions call an axis

Letters in shapes: B batch, T time, C channels, H heads, D head size, V vocabulary.
"""

from tinygrad_gpt import habits
from tinygrad_gpt.functional.creation import (
    tensor,
    to,
)
from tinygrad_gpt.functional.elementwise import (
    abs,
    add,
    div,
    exp,
    gelu,
    log,
    maximum,
    mul,
    neg,
    pow,
    relu,
    sigmoid,
    silu,
    sqrt,
    sub,
    tanh,
    where,
)
from tinygrad_gpt.functional.layers import (
    add_layer_norm,
    attention,
    attention_weights,
    dropout,
    embedding,
    gelu_linear,
    layer_norm,
    linear,
    log_softmax,
    matmul,
    softmax,
)
from tinygrad_gpt.functional.losses import (
    cross_entropy,
)
from tinygrad_gpt.functional.reductions import (
    max,
    mean,
    sum,
    var,
)
from tinygrad_gpt.functional.shapes import (
    broadcast_to,
    concatenate,
    getitem,
    reshape,
    split,
    swapaxes,
    transpose,
)

__all__ = [
    "abs",
    "add",
    "add_layer_norm",
    "attention",
    "attention_weights",
    "broadcast_to",
    "concatenate",
    "cross_entropy",
    "div",
    "dropout",
    "embedding",
    "exp",
    "gelu",
    "gelu_linear",
    "getitem",
    "layer_norm",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "maximum",
    "mean",
    "mul",
    "neg",
    "pow",
    "relu",
    "reshape",
    "sigmoid",
    "silu",
    "softmax",
    "split",
    "sqrt",
    "sub",
    "sum",
    "swapaxes",
    "tanh",
    "tensor",
    "to",
    "transpose",
    "var",
    "where",
]


def __getattr__(name: str):
    raise habits.missing("functional", name, habits.FUNCTIONS)
