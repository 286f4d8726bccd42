"""The ops as functions of Tensors, under PyTorch's names. (The operators, `a + b` or `x.sum()`, are in operators.py.)

Each function takes Tensors or arrays and gives a Tensor; where one of them requires a gradient, so does the result.
What an op computes, why its gradient is what it is, and what it raises stands in its file, ops/NAME.py.

    creation.py     new Tensors
    elementwise.py  each element by itself, and two arrays that broadcast
    reductions.py   sums, means, maxima over axes
    sums.py         products, running sums, norms and deviations
    shapes.py       rearrange, pick, join and cut
    picking.py      gather, sort, repeat, mask and pad
    vectors.py      products of vectors, and vectors of length 1
    layers.py       what layers compute: linear, norms, softmax, dropout, attention
    composed_layers.py  the same, composed of other functions: PyTorch's attention, by its arguments
    losses.py       losses
    fused.py        ops that do the work of several, and the several in their place
    own_ops.py      a function of an op of one's own
    axis_names.py   what the functions call an axis

Letters in shapes: B batch, T time, C channels, H heads, D head size, V vocabulary.
"""

from tinygrad_gpt import habits
from tinygrad_gpt.functional.composed_layers import (
    rms_norm,
    scaled_dot_product_attention,
)
from tinygrad_gpt.functional.creation import (
    tensor,
    to,
)
from tinygrad_gpt.functional.elementwise import (
    abs,
    add,
    clamp,
    cos,
    div,
    exp,
    gelu,
    log,
    logsigmoid,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    relu,
    rsqrt,
    sigmoid,
    silu,
    sin,
    softplus,
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
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from tinygrad_gpt.functional.picking import (
    argsort,
    gather,
    masked_fill,
    one_hot,
    pad,
    repeat_interleave,
    sort,
    topk,
    tril,
    triu,
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
from tinygrad_gpt.functional.sums import (
    cumsum,
    logsumexp,
    norm,
    prod,
    std,
)
from tinygrad_gpt.functional.vectors import (
    cosine_similarity,
    einsum,
    normalize,
    outer,
)

__all__ = [
    "abs",
    "add",
    "add_layer_norm",
    "argsort",
    "attention",
    "attention_weights",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "clamp",
    "concatenate",
    "cos",
    "cosine_similarity",
    "cross_entropy",
    "cumsum",
    "div",
    "dropout",
    "einsum",
    "embedding",
    "exp",
    "gather",
    "gelu",
    "gelu_linear",
    "getitem",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "linear",
    "log",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "masked_fill",
    "matmul",
    "max",
    "maximum",
    "mean",
    "minimum",
    "mse_loss",
    "mul",
    "neg",
    "nll_loss",
    "norm",
    "normalize",
    "one_hot",
    "outer",
    "pad",
    "pow",
    "prod",
    "relu",
    "repeat_interleave",
    "reshape",
    "rms_norm",
    "rsqrt",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "sin",
    "softmax",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "std",
    "sub",
    "sum",
    "swapaxes",
    "tanh",
    "tensor",
    "to",
    "topk",
    "transpose",
    "tril",
    "triu",
    "var",
    "where",
]


def __getattr__(name: str):
    raise habits.missing("functional", name, habits.FUNCTIONS)
