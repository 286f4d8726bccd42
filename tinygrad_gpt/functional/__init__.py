"""The ops as functions of Tensors, under PyTorch's names. (The operators, `a + b` or `x.sum()`, are in operators.py.)

Each function takes Tensors or arrays and gives a Tensor; where one of them requires a gradient, so does the result.
What an op computes, why its gradient is what it is, and what it raises stands in its file, ops/NAME.py.

    creation.py     new Tensors
    elementwise.py  each element by itself, and two arrays that broadcast
    reductions.py   sums, means, maxima over axes
    sums.py         products, running sums, norms and deviations
    shapes.py       rearrange, pick, join and cut
    picking.py      gather, sort, mask, repeat and pad
    vectors.py      products of vectors, and vectors of length 1
    layers.py       what layers compute: linear, norms, softmax, dropout, attention
    small.py        what takes one line of others, and tests of numbers
    composed.py     what layers compute, composed of other functions: PyTorch's attention, the RMS norm
    losses.py       losses
    fused.py        ops that do the work of several, and the several in their place
    own_ops.py      a function of an op of one's own
    axis_names.py   what the functions call an axis

Letters in shapes: B batch, T time, C channels, H heads, D head size, V vocabulary.
"""

# fmt: off
# isort: off
from tinygrad_gpt import habits
from tinygrad_gpt.functional.composed import rms_norm, scaled_dot_product_attention
from tinygrad_gpt.functional.creation import (
    DeviceLike, DType, arange, clone, eye, from_numpy, full, full_like, linspace, multinomial, ones, ones_like, rand,
    rand_like, randint, randn, randn_like, randperm, tensor, to, zeros, zeros_like,
)
from tinygrad_gpt.functional.elementwise import (
    abs, add, clamp, cos, div, exp, gelu, log, logsigmoid, maximum, minimum, mul, neg, pow, relu, rsqrt, sigmoid, silu,
    sin, softplus, sqrt, sub, tanh, where,
)
from tinygrad_gpt.functional.layers import (
    add_layer_norm, attention, attention_weights, bmm, dropout, embedding, gelu_linear, layer_norm, linear, log_softmax,
    matmul, mm, rel_shift, shift_rows, softmax,
)
from tinygrad_gpt.functional.losses import (
    binary_cross_entropy_with_logits, cross_entropy, kl_div, l1_loss, linear_cross_entropy, mse_loss, nll_loss,
)
from tinygrad_gpt.functional.picking import (
    ValuesAndIndices, argsort, gather, masked_fill, one_hot, pad, repeat_interleave, sort, topk, tril, triu,
)
from tinygrad_gpt.functional.reductions import all, amax, amin, any, argmax, argmin, max, mean, min, sum, var
from tinygrad_gpt.functional.shapes import (
    Shape, broadcast_to, cat, chunk, concatenate, expand, flatten, getitem, permute, ravel, reshape, split, squeeze,
    stack, swapaxes, tile, transpose, unsqueeze,
)
from tinygrad_gpt.functional.small import (
    allclose, ceil, clip, concat, dot, equal, flip, floor, hstack, index_select, is_tensor, isfinite, isinf, isnan,
    masked_select, movedim, mv, numel, round, sign, square, unbind, vstack,
)
from tinygrad_gpt.functional.sums import cumsum, logsumexp, norm, prod, std
from tinygrad_gpt.functional.vectors import cosine_similarity, einsum, normalize, outer

__all__ = [
    "DType", "DeviceLike", "Shape", "ValuesAndIndices", "abs", "add", "add_layer_norm", "all", "allclose", "amax",
    "amin", "any", "arange", "argmax", "argmin", "argsort", "attention", "attention_weights",
    "binary_cross_entropy_with_logits", "bmm", "broadcast_to", "cat", "ceil", "chunk", "clamp", "clip", "clone",
    "concat", "concatenate", "cos", "cosine_similarity", "cross_entropy", "cumsum", "div", "dot", "dropout", "einsum",
    "embedding", "equal", "exp", "expand", "eye", "flatten", "flip", "floor", "from_numpy", "full", "full_like",
    "gather", "gelu", "gelu_linear", "getitem", "hstack", "index_select", "is_tensor", "isfinite", "isinf", "isnan",
    "kl_div", "l1_loss", "layer_norm", "linear", "linear_cross_entropy", "linspace", "log", "log_softmax", "logsigmoid",
    "logsumexp", "masked_fill", "masked_select", "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "movedim",
    "mse_loss", "mul", "multinomial", "mv", "neg", "nll_loss", "norm", "normalize", "numel", "one_hot", "ones",
    "ones_like", "outer", "pad", "permute", "pow", "prod", "rand", "rand_like", "randint", "randn", "randn_like",
    "randperm", "ravel", "rel_shift", "relu", "repeat_interleave", "reshape", "rms_norm", "round", "rsqrt",
    "scaled_dot_product_attention", "shift_rows", "sigmoid", "sign", "silu", "sin", "softmax", "softplus", "sort",
    "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "swapaxes", "tanh", "tensor", "tile", "to",
    "topk", "transpose", "tril", "triu", "unbind", "unsqueeze", "var", "vstack", "where", "zeros", "zeros_like",
]
# isort: on
# fmt: on


def __getattr__(name: str):
    raise habits.missing("functional", name, habits.FUNCTIONS, __all__)
