"""Layers: Modules made of Parameters and of other Modules.

One file per layer. A layer's settings are its constructor's arguments, its shapes stand in its docstring, and what it
computes is in `forward`, which calls the ops through functional/.

    module.py        Module and Parameter: what every layer is
    saving.py        what of a Module is saved, and under which names
    summary.py       the table that print(model) shows
    containers.py    Sequential, ModuleList, ModuleDict
    linear.py        x W^T + b
    embedding.py     a table of vectors, one per id
    adaptive.py      the same for very many ids, with a softmax: rare ones have shorter vectors
    layer_norm.py    mean 0 and variance 1 over the channels, then scaled and shifted
    rms_norm.py      mean square 1 over the channels, then scaled
    positions.py     a table of sinusoids, where learned positions may start
    dropout.py       some activations set to 0 at random, in training
    activations.py   ReLU, GELU and other functions as Modules
    losses.py        losses as Modules
    attention.py     multi-head attention
    relative_attention.py  the same by distance, for Transformer-XL and XLNet
    feed_forward.py  linear, activation, linear
    block.py         one block of a Transformer: attention and feed-forward, each with a layer norm and a residual
    block_step.py    the same for one new position beside a cache, by one routine
    functional.py    tinygrad_gpt.functional at PyTorch's place
    init.py          initial values, written in place: PyTorch's nn.init
    utils.py         gradients clipped in place: PyTorch's nn.utils
    watching.py      a look inside a model: outputs, attention weights and their gradients, by module path
    head_loss.py     a loss of the last layer's output, which need not exist whole for that
    kv_cache.py      keys and values of positions that were read before, for generating
    decoder_cache.py  the same for a decoder, with those of its source
    memory_cache.py  the same for a model with memory, which forgets
    language_model.py  what makes a Module a language model: logits, loss, and the next token of any

Names, arguments and defaults are PyTorch's where PyTorch has the layer.

Letters in shapes: B batch, T time, C channels, H heads, D head size, V vocabulary.
"""

from tinygrad_gpt.habits import LAYERS, missing
from tinygrad_gpt.nn import functional, init, utils
from tinygrad_gpt.nn.activations import GELU, Flatten, Identity, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from tinygrad_gpt.nn.attention import MultiHeadAttention
from tinygrad_gpt.nn.block import Block
from tinygrad_gpt.nn.containers import ModuleDict, ModuleList, Sequential
from tinygrad_gpt.nn.dropout import Dropout
from tinygrad_gpt.nn.embedding import Embedding
from tinygrad_gpt.nn.feed_forward import FeedForward
from tinygrad_gpt.nn.kv_cache import CacheDeclinedError, KVCache
from tinygrad_gpt.nn.layer_norm import LayerNorm
from tinygrad_gpt.nn.linear import Linear
from tinygrad_gpt.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.nn.relative_attention import RelativeAttention
from tinygrad_gpt.nn.rms_norm import RMSNorm

__all__ = [
    "GELU",
    "BCEWithLogitsLoss",
    "Block",
    "CacheDeclinedError",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "FeedForward",
    "Flatten",
    "Identity",
    "KVCache",
    "L1Loss",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiHeadAttention",
    "NLLLoss",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "RelativeAttention",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
    "utils",
]


def __getattr__(name: str):
    raise missing("nn", name, LAYERS, __all__)
