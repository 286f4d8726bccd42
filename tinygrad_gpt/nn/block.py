"""Block: one layer of a Transformer, attention across positions, then a feed-forward net at each of them.

A decoder's block has one more part between the two: attention from its positions to those of a source.
"""

from functools import partial
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.attention import KeysAndValues, MultiHeadAttention
from tinygrad_gpt.nn.block_step import step
from tinygrad_gpt.nn.dropout import Dropout
from tinygrad_gpt.nn.feed_forward import FeedForward
from tinygrad_gpt.nn.kv_cache import LayerCache
from tinygrad_gpt.nn.layer_norm import LayerNorm
from tinygrad_gpt.nn.module import Module

NORMS = ("pre", "post")


class Block(Module):
    """x (B, T, C) -> (B, T, C); with c_source, x (B, T, C), source (B, Ts, c_source) -> (B, T, C).

    c_source channels of the source that each position looks at, after it has looked at its own kind; None: none
    norm     where the layer norms stand. "post": after each residual sum, as in the first Transformer, GPT-1 and BERT.
             "pre": before attention and feed-forward, as in GPT-2 and since. The residual stream then runs from input
             to output untouched by any norm. Deep models train more easily so (Xiong et al., "On layer normalization
             in the Transformer architecture", 2020), and need one norm after the last block.
    dropout       on what each half adds to the residual stream
    attn_dropout  on the attention weights; None: as `dropout`
    activation_dropout  inside the feed-forward
    residual_std  standard deviation for the two matrices that write to the residual stream; None: that of Linear

    The other settings are those of MultiHeadAttention, FeedForward and LayerNorm.
    """

    def __init__(
        self,
        c: int,
        n_head: int,
        *,
        norm: str = "pre",
        c_source: int | None = None,
        causal: bool = False,
        hidden: int | None = None,
        activation: str = "gelu_tanh",
        bias: bool = True,
        dropout: float = 0.0,
        attn_dropout: float | None = None,
        activation_dropout: float = 0.0,
        scale: float | None = None,
        eps: float = 1e-5,
        std: float | None = None,
        residual_std: float | None = None,
    ):
        if norm not in NORMS:
            raise ValueError(f"Block: expected norm {' or '.join(NORMS)}, got {shown(norm)}")
        self.norm = norm
        self.attention_norm = LayerNorm(c, eps, bias=bias)
        attn_dropout = dropout if attn_dropout is None else attn_dropout
        matrices: dict[str, Any] = dict(bias=bias, std=std, residual_std=residual_std)
        attention = partial(MultiHeadAttention, c, n_head, dropout=attn_dropout, scale=scale, **matrices)
        self.attention = attention(causal=causal)
        # (`| Any` lets type checkers believe that the caller knows whether there is one.)
        self.cross_attention_norm: LayerNorm | Any = None if c_source is None else LayerNorm(c, eps, bias=bias)
        self.cross_attention: MultiHeadAttention | Any = None if c_source is None else attention(c_source=c_source)
        self.feed_forward_norm = LayerNorm(c, eps, bias=bias)
        self.feed_forward = FeedForward(c, hidden, activation=activation, dropout=activation_dropout, **matrices)
        self.dropout = Dropout(dropout)

    def extra_repr(self) -> str:
        return f"norm={self.norm!r}"

    def forward(
        self,
        x: Tensor,
        source: Tensor | KeysAndValues | None = None,
        *,
        mask=None,
        source_mask=None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """mask, cache: those of the attention to x; source, source_mask: those of the attention to the source.

        Raises ValueError for a source without c_source, and the other way round.
        """
        if source is not None and self.cross_attention is None:
            raise ValueError("Block: made without a source (see c_source), got one")
        if cache is not None and (y := step(self, x, mask, cache)) is not None:
            return y
        if self.norm == "pre":
            added = self.dropout(self.attention(self.attention_norm(x), mask=mask, cache=cache))
            if self.cross_attention is not None:
                x, normed = self.cross_attention_norm.of_sum(x, added)
                added = self.dropout(self.cross_attention(normed, source, mask=source_mask))
            x, normed = self.feed_forward_norm.of_sum(x, added)
            return x + self.dropout(self.feed_forward(normed))
        x = self.attention_norm(x + self.dropout(self.attention(x, mask=mask, cache=cache)))
        if self.cross_attention is not None:
            x = self.cross_attention_norm(x + self.dropout(self.cross_attention(x, source, mask=source_mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


def is_plain(module: Module) -> bool:
    """Whether a module and all inside it are layers of this package, so that one knows what they compute."""
    return all(type(inside).__module__.startswith("tinygrad_gpt.nn.") for inside in module.modules())
