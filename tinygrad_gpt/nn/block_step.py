"""A block's step when a model writes: one new position of each sequence, beside a cache, by one routine.

The routine (ops/block_step.py) computes what the block's own layers and ops compute, in a fraction of the time that
these take between their kernels. It is for the case that generation meets most, a GPT-2's block; all else takes the
usual way. So does a block in which somebody put a layer of their own, or whose ops they chose, or that they watch.
"""

from typing import Any

from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.modes import is_grad_enabled, watches
from tinygrad_gpt.nn.attention import MultiHeadAttention
from tinygrad_gpt.nn.dropout import Dropout
from tinygrad_gpt.nn.feed_forward import FeedForward
from tinygrad_gpt.nn.kv_cache import LayerCache
from tinygrad_gpt.nn.layer_norm import LayerNorm
from tinygrad_gpt.nn.linear import Linear


def step(block: Any, x: Tensor, mask: Array | None, cache: LayerCache) -> Tensor | None:
    """What the block makes of x (R, 1, C), whose keys and values then lie in the cache; None where the block has to
    see for itself."""
    if is_grad_enabled() or watches.get() or registry.user_chose_a_part("block_step") or not _is_usual(block):
        return None
    keys, length = cache.keys, cache.length
    if x.shape[1] != 1 or len(x.data) != len(keys) or length >= keys.shape[2]:
        return None
    shown = None
    if mask is not None:
        if mask.dtype != bool or mask.shape != (len(keys), 1, 1, length + 1):
            return None
        shown = mask[:, 0, 0]  # (R, T so far)
    arrays = x.data[:, 0], keys, cache.values, shown, *_weights(block)  # (R, 1, C) -> (R, C)
    settings = {"length": length, "scale": block.attention.scale, "eps": block.attention_norm.eps}
    version = registry.choose("block_step", arrays, settings)
    if version.name == "reference":  # no kernel: then each of the block's ops may still have one
        return None
    y = version.forward(*arrays, **settings)
    cache.length = length + 1
    return Tensor(y[:, None])  # (R, C) -> (R, 1, C)


def _is_usual(block: Any) -> bool:
    """Whether the block is made of the layers that GPT-2 gives it, none of which drops anything now."""
    attention, feed_forward = block.attention, block.feed_forward
    norms = block.attention_norm, block.feed_forward_norm
    if block.norm != "pre" or block.cross_attention is not None or block.training:
        return False
    if type(attention) is not MultiHeadAttention or type(feed_forward) is not FeedForward or attention.training:
        return False
    if type(block.dropout) is not Dropout or block.dropout.training or feed_forward.dropout is not None:
        return False
    if feed_forward.activation != "gelu_tanh" or attention.c_source is not None or attention.scale is None:
        return False
    layers = attention.qkv, attention.out, feed_forward.up, feed_forward.down
    if any([type(norm) is not LayerNorm or norm.weight is None for norm in norms]) or norms[0].eps != norms[1].eps:
        return False
    return not any([type(layer) is not Linear for layer in layers])


def _weights(block: Any) -> list[Array | None]:
    """Those of the block, in the order of Weights."""
    attention, feed_forward = block.attention, block.feed_forward
    layers = (
        *(block.attention_norm, attention.qkv, attention.out),
        *(block.feed_forward_norm, feed_forward.up, feed_forward.down),
    )
    parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
    return [None if p is None else p.data for p in parameters]
