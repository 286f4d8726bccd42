"""A GPT you can read. Autograd, ops, kernels, models and training from scratch on NumPy.

    import tinygrad_gpt as tg

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                            # [2. 4.]

An op of your own is a pair of functions on arrays: `tg.op(name, forward, backward)` makes it a function of Tensors, and
`tg.register(name, forward, backward)` runs it in the place of one that is there.

Names are PyTorch's: a name of `torch` that is here has PyTorch's meaning and defaults, but for what `tinygrad-gpt
pytorch` lists, and many of those that are not here say what takes their place. The functions of Tensors are in
tg.functional too, as PyTorch has them in torch.nn.functional.

The other modules load when first used, so that this import stays quick: tg.nn, tg.optim, tg.models, tg.generate,
tg.check, tg.data, tg.train. So do tg.load and tg.save.
"""

# fmt: off
# isort: off
import importlib
from math import e, inf, nan, pi
from typing import TYPE_CHECKING

from tinygrad_gpt import functional, habits, operators  # noqa: F401 - operators gives them to Tensors
from tinygrad_gpt.array import boolean as bool
from tinygrad_gpt.array import float32, float64, int32, int64, uint8
from tinygrad_gpt.array import int64 as long
from tinygrad_gpt.autograd import Tensor, debug, no_grad
from tinygrad_gpt.devices import device
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.functional import (
    abs, add, all, amax, amin, any, arange, argmax, argmin, argsort, binary_cross_entropy_with_logits, bmm,
    broadcast_to, cat, chunk, clamp, clone, concatenate, cos, cosine_similarity, cumsum, div, dropout, einsum,
    embedding, exp, eye, flatten, from_numpy, full, full_like, gather, kl_div, layer_norm, linspace, log, log_softmax,
    logsumexp, masked_fill, matmul, max, maximum, mean, min, minimum, mm, mul, multinomial, neg, norm, ones, ones_like,
    outer, permute, pow, prod, rand, rand_like, randint, randn, randn_like, randperm, ravel, relu, repeat_interleave,
    reshape, rms_norm, rsqrt, sigmoid, sin, softmax, sort, split, sqrt, squeeze, stack, std, sub, sum, swapaxes, tanh,
    tensor, tile, topk, transpose, tril, triu, unsqueeze, var, where, zeros, zeros_like,
)
from tinygrad_gpt.functional.own_ops import op
from tinygrad_gpt.functional.small import (
    allclose, ceil, clip, concat, dot, equal, flip, floor, hstack, index_select, is_tensor, isfinite, isinf, isnan,
    masked_select, movedim, mv, numel, round, sign, square, unbind, vstack,
)
from tinygrad_gpt.kernels.registry import explain, register, unregister, using
from tinygrad_gpt.modes import enable_grad, inference_mode, is_grad_enabled, set_grad_enabled
from tinygrad_gpt.precision import set_matmul_precision, using_matmul_precision
from tinygrad_gpt.random_stream import manual_seed

if TYPE_CHECKING:
    # __getattr__ loads them
    from tinygrad_gpt import check, data, generate, models, nn, optim, train
    from tinygrad_gpt.train.loading import load, save

__version__ = "0.1.0"

_IN_LOADING = ("load", "save")  # functions of train/loading.py
_LOADED_WHEN_USED = ("check", "data", "generate", "models", "nn", "optim", "train")

__all__ = [
    "Tensor", "UserError", "abs", "add", "all", "allclose", "amax", "amin", "any", "arange", "argmax", "argmin",
    "argsort", "binary_cross_entropy_with_logits", "bmm", "bool", "broadcast_to", "cat", "ceil", "check", "chunk",
    "clamp", "clip", "clone", "concat", "concatenate", "cos", "cosine_similarity", "cumsum", "data", "debug", "device",
    "div", "dot", "dropout", "e", "einsum", "embedding", "enable_grad", "equal", "exp", "explain", "eye", "flatten",
    "flip", "float32", "float64", "floor", "from_numpy", "full", "full_like", "functional", "gather", "generate",
    "hstack", "index_select", "inf", "inference_mode", "int32", "int64", "is_grad_enabled", "is_tensor", "isfinite",
    "isinf", "isnan", "kl_div", "layer_norm", "linspace", "load", "log", "log_softmax", "logsumexp", "long",
    "manual_seed", "masked_fill", "masked_select", "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "models",
    "movedim", "mul", "multinomial", "mv", "nan", "neg", "nn", "no_grad", "norm", "numel", "ones", "ones_like", "op",
    "optim", "outer", "permute", "pi", "pow", "prod", "rand", "rand_like", "randint", "randn", "randn_like", "randperm",
    "ravel", "register", "relu", "repeat_interleave", "reshape", "rms_norm", "round", "rsqrt", "save",
    "set_grad_enabled", "set_matmul_precision", "sigmoid", "sign", "sin", "softmax", "sort", "split", "sqrt", "square",
    "squeeze", "stack", "std", "sub", "sum", "swapaxes", "tanh", "tensor", "tile", "topk", "train", "transpose", "tril",
    "triu", "uint8", "unbind", "unregister", "unsqueeze", "using", "using_matmul_precision", "var", "vstack", "where",
    "zeros", "zeros_like",
]
# isort: on
# fmt: on


def __getattr__(name: str):
    if name in _LOADED_WHEN_USED:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _IN_LOADING:
        return getattr(importlib.import_module(f"{__name__}.train.loading"), name)
    raise habits.missing(f"module {__name__!r}", name, habits.PACKAGE, __all__)


def __dir__() -> list[str]:
    return sorted([*globals(), *_IN_LOADING, *_LOADED_WHEN_USED])
