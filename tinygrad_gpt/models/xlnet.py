"""XLNet: a Transformer that tells the tokens of a text in any order, each from those before it in the order.

Yang et al., "XLNet: generalized autoregressive pretraining for language understanding" (2019). A GPT knows one order,
from left to right, and so never looks ahead. BERT looks both ways, and tells all gaps at once, none from another.
XLNet draws an order for each text, and is a GPT in that order. On average over orders each token is told from all
others, on both sides. The places stay what they were: only what may be seen is permuted.

To tell the token at place 3, a vector is needed that knows the place, and not the token. To tell the token at place 1
from that at place 3, one is needed that knows the token. No vector is both; so there are two streams (section 2.3):

    content  h   knows the tokens: begins as the token's vector, and sees itself. What GPT has
    query    g   asks for a token: begins as one vector, the same for all (mask_embedding), and knows its place by the
                 distances to what it sees (nn/relative_attention.py). It looks at the content stream, and never at
                 itself; so nothing looks at it, and it is computed at the targets alone

    ids (B, T), targets (B, N)
      h = dropout(token),  g = dropout(mask)                          x = [h; g]: T + N rows             (B, T + N, C)
      k, v = [memory; h] W_kv                                         once for both streams         2 of (B, H, K, D)
      x = norm(x + dropout(attention(x, k, v)))                       } n_layer layers; norms after,
      x = norm(x + dropout(feed_forward(x)))                          } a gelu that is exact             (B, T + N, C)
    logits = g · tokenᵀ + bias                                        see XLNetLMHeadModel               (B, N, V)

The streams share all weights. So one layer is one attention, of T + N queries to K keys, and the mask tells them apart.
What a query (a row) may see (■), for the order 3, 2, 4, 1:

    place      1 2 3 4
    h_1        ■ ■ ■ ■       last in the order: it sees all
    h_2        · ■ ■ ·       sees 3, which comes before it, and itself
    h_3        · · ■ ·       first in the order: it sees itself alone
    h_4        · ■ ■ ■
    g_1        · ■ ■ ■       the same rows without itself
    g_2        · · ■ ·
    g_4        · ■ ■ ·       (g_3 would see nothing: its attention is 0, and a memory or a context tells it more)

"Only the masks change" from model to model: it is true of GPT, BERT and the decoder of a Transformer, and of XLNet's
orders. It is not true of its places, which are distances in place of vectors added to tokens, of its memory, and of
the second stream, of which no mask makes the first: that begins with the tokens.

The memory is Transformer-XL's: the last mem_len inputs of each layer for earlier tokens, of the content stream, without
gradients. With attn_type "uni" every token sees only those before it, so reading a text in parts, with memory, is
reading it at once. With "bi" it is not: what is in memory has not seen what came after its part.
"""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.models.hf.layout import ACTIVATIONS
from tinygrad_gpt.models.inputs import as_ids
from tinygrad_gpt.models.memory import as_memory, remembered
from tinygrad_gpt.models.xlnet_queries import Queries, queries_of
from tinygrad_gpt.nn import Dropout, Embedding, FeedForward, LayerNorm, Module, Parameter, RelativeAttention
from tinygrad_gpt.nn.positions import sinusoids_at
from tinygrad_gpt.random_stream import normal
from tinygrad_gpt.recompute import recompute
from tinygrad_gpt.settings import SettingError, check_settings, setting
from tinygrad_gpt.tensor import plain_array

ATTENTIONS = ("bi", "uni")
SUMMARIES = ("last", "first", "mean", "cls_index")

_model = partial(setting, group="Model")
_rare = partial(setting, group="Model", advanced=True)


@dataclass(frozen=True)
class XLNetConfig:
    """The shape of an XLNet, by transformers' names and with its defaults, those of xlnet-large-cased. Raises UserError
    for a value that cannot be."""

    vocab_size: int = _model(32000, help="how many different tokens there are", low=1)
    d_model: int = _model(1024, help="channels C of each position; n_head divides it", low=2)
    n_layer: int = _model(24, help="layers of attention and feed-forward, one after the other", low=1)
    n_head: int = _model(16, help="attention heads in each layer", low=1)
    d_inner: int = _model(4096, help="channels inside the feed-forward", low=1)
    ff_activation: str = _rare("gelu", help="in the feed-forward; gelu is the exact one", choices=tuple(ACTIVATIONS))
    attn_type: str = _rare("bi", help="uni: a token sees only those before it, as in a GPT", choices=ATTENTIONS)
    initializer_range: float = _rare(0.02, help="standard deviation of the initial weights", low=0)
    layer_norm_eps: float = _rare(1e-12, help="added to the variance in layer norms", above=0)
    dropout: float = _rare(
        0.1, help="part of the activations, and attention weights, that training drops", low=0, below=1
    )
    mem_len: int | None = _model(512, help="how many earlier tokens the memory holds; none: all", low=1)
    reuse_len: int | None = _rare(
        None, help="how many of the tokens read a call puts into the memory; none: all", low=1
    )
    use_mems_eval: bool = _rare(True, help="whether a call in evaluation returns a memory if it is not told")
    use_mems_train: bool = _rare(False, help="the same of a call in training")
    clamp_len: int = _rare(-1, help="distances beyond this one count as this one; -1: each counts as itself")
    same_length: bool = _rare(False, help="uni: whether each token sees as many tokens as the memory holds")
    summary_type: str = _rare("last", help="which token a classifier reads", choices=SUMMARIES)
    summary_use_proj: bool = _rare(True, help="whether a linear layer comes before the classifier's own")
    summary_activation: str | None = _rare(
        "tanh", help="after that layer; none: no function", choices=tuple(ACTIVATIONS)
    )
    summary_last_dropout: float = _rare(
        0.1, help="part that training drops of what the classifier reads", low=0, below=1
    )
    tie_word_embeddings: bool = _rare(True, help="whether the output layer shares the token embedding's weights")

    block_size: ClassVar[None] = None  # a text may have any length

    def __post_init__(self):
        check_settings(self)
        if self.d_model % self.n_head or self.d_model % 2:
            raise SettingError(
                "d_model", f"should be even and a multiple of n_head ({self.n_head}), not {self.d_model}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings by name: XLNetConfig(**config.to_dict()) == config."""
        return dataclasses.asdict(self)


def check_config(config) -> XLNetConfig:
    """`config` itself. Raises TypeError if it is not an XLNetConfig."""
    if not isinstance(config, XLNetConfig):
        hint = ": write XLNetConfig(**settings)" if isinstance(config, dict) else ""
        raise TypeError(f"XLNet: expected an XLNetConfig, got {shown(config)}{hint}")
    return config


def count_parameters(config: XLNetConfig, head: bool = False) -> int:
    """The number of parameters of an XLNet, without making it; `head`: with the one that tells tokens."""
    c, inner = config.d_model, config.d_inner
    attention = 5 * c * c + 5 * c  # q, k, v, r, out; biases of content, position and segment, two segment vectors
    feed_forward, norm = 2 * c * inner + inner + c, 2 * c
    body = (config.vocab_size + 1) * c + config.n_layer * (attention + feed_forward + 2 * norm)
    return body + head * config.vocab_size * (1 if config.tie_word_embeddings else c + 1)


Memory = tuple[Array, ...]  # n_layer of (B, M, C): what each layer read of earlier tokens; M is the same in all


class TwoStreams(NamedTuple):
    """What an XLNet makes of a text.

    content  (B, T, C): of each token; None if it was not asked for
    query    (B, N, C): of each target; None without targets
    memory   for the next part of the text; None if it was not asked for
    """

    content: Tensor | Any
    query: Tensor | Any
    memory: Memory | Any


class XLNetLayer(Module):
    """x (B, T + N, C) -> (B, T + N, C): both streams, with the same weights."""

    def __init__(self, config: XLNetConfig):
        c, std = config, config.initializer_range
        self.attention = RelativeAttention(c.d_model, c.n_head, segments=True, dropout=c.dropout, std=std)
        self.attention_norm = LayerNorm(c.d_model, c.layer_norm_eps)
        activation = ACTIVATIONS[c.ff_activation]
        self.feed_forward = FeedForward(
            c.d_model, c.d_inner, activation=activation, dropout=c.dropout, std=std, residual_std=std
        )
        self.feed_forward_norm = LayerNorm(c.d_model, c.layer_norm_eps)
        self.dropout = Dropout(c.dropout)

    def forward(self, x: Tensor, r: Tensor, queries: Queries, memory: Array | None = None, content: bool = True):
        """r        (R, C): the vectors of the distances
        memory   (B, M, C): what this layer read of earlier tokens
        content  whether the content stream is computed too; if not, the result is (B, N, C)
        """
        h = x[:, : queries.tokens]  # (B, T, C)
        source = h if memory is None else F.concatenate([Tensor(memory), h], axis=1)  # (B, K, C)
        keys = self.attention.read(source, r)
        if not content:
            x, queries = x[:, queries.tokens :], queries.of_targets()  # (B, N, C)
        asking = queries.spread(x)
        y = self.attention(asking, keys, queries.first, mask=queries.mask, different=queries.different)
        x = self.attention_norm(x + self.dropout(queries.gathered(y)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class XLNet(Module):
    """ids (B, T) of integers -> two streams: see `read`.

    mem_len, clamp_len, same_length  begin as the config's, and may be set for evaluation
    recompute  whether training keeps only each layer's input, and runs the layer again in backward
    """

    recompute = False

    def __init__(self, config: XLNetConfig):
        self.config = c = check_config(config)
        self.mem_len, self.clamp_len, self.same_length = c.mem_len, c.clamp_len, c.same_length
        self.token_embedding = Embedding(c.vocab_size, c.d_model, std=c.initializer_range)
        self.mask_embedding = Parameter(normal((c.d_model,), scale=c.initializer_range))
        self.dropout, self.distance_dropout, self.output_dropout = [Dropout(c.dropout) for _ in range(3)]
        self.layers = [XLNetLayer(c) for _ in range(c.n_layer)]

    def read(
        self,
        ids,
        *,
        memory: Memory | None = None,
        mask=None,
        padding=None,
        segments=None,
        targets=None,
        content: bool = True,
        remember: bool = True,
        reuse: int | None = None,
    ) -> TwoStreams:
        """ids (B, T) -> the content stream, and with targets the query stream.

        memory    what an earlier call returned, of the text before; None: there is none. All may see it
        mask      (B, T, T) booleans: whether the target at place i may see the token at place j. (In transformers'
                  perm_mask, 1 says that it may not.) A token always sees itself. None: all see all. A target is to be
                  hidden from itself: to tell what one sees teaches nothing
        padding   (B, T), or with the memory's tokens (B, M + T): 1 for a token, 0 for padding, which nobody else sees
        segments  (B, T) integers, which only count as equal or not; those of the memory are 0. None: all are equal
        targets   (B, N) integers: the places whose tokens are asked for, each by itself; -1 for none, where the query
                  sees nothing. Without mask and segments, T may be one: the place after the text, whose token nobody
                  knows yet. Or (B, N, T) numbers, transformers' target_mapping: one row per target, 1 at its place
        content   whether the last layer computes the content stream, which the query stream does not need
        remember  whether there is a new memory: the last mem_len of the old one and of what the layers read
        reuse     how many of the tokens go into it, the first ones; None: all

        Raises ValueError for other shapes and values; TypeError for ids, targets and segments that are not integers,
        and for a memory of another dtype; IndexError for an id or a place out of range.
        """
        ids = as_ids(ids, "XLNet", "input_ids")
        (b, t), c = ids.shape, self.config
        like = self.token_embedding.weight.data
        before = self.new_memory(b) if memory is None else as_memory(memory, c.n_layer, b, c.d_model, "XLNet", like)
        m = before[0].shape[1]
        if targets is None and not content:
            raise ValueError("XLNet: expected targets, or content=True: there is nothing to compute")
        queries = queries_of(
            (b, t),
            m,
            like,
            causal=c.attn_type == "uni",
            same_length=self.same_length,
            mask=mask,
            padding=padding,
            segments=segments,
            targets=targets,
        )
        x = self.token_embedding(ids)  # (B, T, C)
        if targets is not None:
            g = F.broadcast_to(self.mask_embedding, (b, plain_array(targets).shape[1], x.shape[2]))
            x = F.concatenate([x, g], axis=1)  # (B, T + N, C)
        x, r, after = self.dropout(x), self.distance_dropout(self._distances(t, m)), []
        for i, (layer, old) in enumerate(zip(self.layers, before, strict=True)):
            if remember:
                after.append(remembered(old, x.data[:, :t][:, :reuse], m + t if self.mem_len is None else self.mem_len))
            whole = content or i + 1 < c.n_layer
            run = partial(layer, r=r, queries=queries, memory=old if m else None, content=whole)
            x = recompute(run, x) if self.recompute else run(x)
        x = self.output_dropout(x)
        return TwoStreams(
            content=x[:, :t] if content else None,
            query=x[:, t if content else 0 :] if targets is not None else None,
            memory=tuple(after) if remember else None,
        )

    def new_memory(self, rows: int) -> Memory:
        """The memory of texts that begin: n_layer arrays (rows, 0, C)."""
        shape = (rows, 0, self.config.d_model)
        return tuple([np.zeros_like(self.token_embedding.weight.data, shape=shape) for _ in self.layers])

    def _distances(self, t: int, m: int) -> Tensor:
        """The vectors of the distances, (R, C): the first is K, that of a query behind the text to key 0; the last is
        -T + 1, that of query 0 to the last key, or with attn_type "uni", which looks behind alone, 0."""
        k, like = m + t, self.token_embedding.weight.data
        rows = k + 1 if self.config.attn_type == "uni" else k + t
        table = _sinusoids(k, rows, self.config.d_model, self.clamp_len, like.dtype)
        return Tensor(np.asarray(table, like=like))


@lru_cache(maxsize=8)
def _sinusoids(first: int, rows: int, channels: int, clamp_len: int, dtype: np.dtype) -> np.ndarray:
    """Those of the distances first, first - 1, ...: (rows, C)."""
    distances = np.arange(first, first - rows, -1)
    if clamp_len > 0:
        distances = np.clip(distances, -clamp_len, clamp_len)
    table = sinusoids_at(distances, channels, order="halves", dtype=dtype)
    table.flags.writeable = False  # all calls share it
    return table
