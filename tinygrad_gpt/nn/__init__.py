"""Layers: Modules made of Parameters and of other Modules.

One file per layer. A layer's settings are its constructor's arguments, its shapes stand in its docstring, and what it
computes is in `forward`, which calls the ops through functional.py.

Letters in shapes: B batch, T time, C channels, H heads, D head size, V vocabulary.
"""

from tinygrad_gpt.habits import LAYERS, missing
from tinygrad_gpt.nn.attention import MultiHeadAttention
from tinygrad_gpt.nn.block import Block
from tinygrad_gpt.nn.dropout import Dropout
from tinygrad_gpt.nn.embedding import Embedding
from tinygrad_gpt.nn.feed_forward import FeedForward
from tinygrad_gpt.nn.kv_cache import KVCache
from tinygrad_gpt.nn.layer_norm import LayerNorm
from tinygrad_gpt.nn.linear import Linear
from tinygrad_gpt.nn.module import Module, Parameter

__all__ = [
    "Block",
    "Dropout",
    "Embedding",
    "FeedForward",
    "KVCache",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiHeadAttention",
    "Parameter",
]


def __getattr__(name: str):
    raise missing("nn", name, LAYERS)
