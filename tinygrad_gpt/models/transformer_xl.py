"""Transformer-XL: a GPT that reads a text of any length in segments, and remembers the earlier ones.

Dai, Yang et al., "Transformer-XL: attentive language models beyond a fixed-length context" (2019):

    ids (B, T)      "...a dog is | sleeping in the sun"                  the next segment of each of B texts
      x = dropout(√C · token)                                            nothing says where a token stands   (B, T, C)
      r = dropout(sinusoids of the distances M+T-1, ..., 1, 0)                                               (M+T, C)
      h = [memory ; x]                       what this block was given   } n_layer blocks                    (B, M+T, C)
      x = norm(x + dropout(attention(x, h, r)))                          }                                   (B, T, C)
      x = norm(x + dropout(feed_forward(x)))                             }
    logits = dropout(x) · tokenᵀ + bias                                  which token comes next              (B, T, V)
    memory = the last mem_len of h, for each block                       no gradient goes back into it       (B, M, C)

What a position (a row) may look at (■) is still a mask, that of a GPT with more columns. With a memory of M = 3:

      memory    segment          same_length, mem_len = 3
      ■ ■ ■   ■ · · · ·          · ■ ■   ■ · · · ·         without same_length the last position of a segment sees
      ■ ■ ■   ■ ■ · · ·          · · ■   ■ ■ · · ·         more than the first; with it, all see mem_len positions
      ■ ■ ■   ■ ■ ■ · ·          · · ·   ■ ■ ■ · ·
      ■ ■ ■   ■ ■ ■ ■ ·          · · ·   · ■ ■ ■ ·
      ■ ■ ■   ■ ■ ■ ■ ■          · · ·   · · ■ ■ ■

But a mask is not all that changes. A GPT adds position 0, 1, 2, ... to its tokens. Here the first token of the memory
and the first of the segment would both be number 0, and attention could not tell one from the other. So the tokens get
no positions, and each attention asks for the distance of query and key, by a second product (nn/relative_attention.py):

      GPT              score[i, j] = (x_i + position_i) Wq · (x_j + position_j) Wk
      Transformer-XL   score[i, j] = (q_i + u) · k_j + (q_i + w) · (Wr r_{i-j})

The distance is the same wherever a segment begins, so that two segments with memory compute what one long one does. And
what a block remembers was itself made with a memory: with n blocks, the last one knows of n · mem_len tokens.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.models.inputs import as_ids
from tinygrad_gpt.models.memory import as_memory, remembered
from tinygrad_gpt.nn import (
    Dropout,
    Embedding,
    FeedForward,
    LayerNorm,
    Linear,
    Module,
    Parameter,
    RelativeAttention,
    adaptive,
)
from tinygrad_gpt.nn.adaptive import AdaptiveEmbedding, AdaptiveSoftmax
from tinygrad_gpt.nn.head_loss import head_loss
from tinygrad_gpt.nn.memory_cache import MemoryCache, MemoryLayerCache
from tinygrad_gpt.nn.positions import sinusoids
from tinygrad_gpt.nn.relative_attention import RelativeKeys
from tinygrad_gpt.random_stream import normal
from tinygrad_gpt.recompute import recompute
from tinygrad_gpt.settings import SettingError, check_settings, setting

_LEAST_ROOM = 128  # positions of a cache beside the memory: so often it moves

_model = partial(setting, group="Model")


@dataclass(frozen=True)
class TransformerXLConfig:
    """The shape of a Transformer-XL, by transformers' names. The defaults are a small model's, and as in the paper; its
    large model, which is transformers' default, has n_layer=18, d_model=1024, n_head=16, mem_len=1600, clamp_len=1000,
    same_length=True, cutoffs=(20000, 40000, 200000), div_val=4, and vocab_size=267735.

    Raises UserError for a value that cannot be.
    """

    vocab_size: int = _model(dataclasses.MISSING, help="how many different tokens there are", low=1)
    d_model: int = _model(128, help="channels C of each position", low=1)
    n_layer: int = _model(4, help="blocks of attention and feed-forward, one after the other", low=1)
    n_head: int = _model(4, help="attention heads in each block", low=1)
    d_head: int | None = _model(None, help="channels of each head; by default d_model / n_head", low=1)
    d_inner: int | None = _model(None, help="channels inside the feed-forward; by default 4 d_model", low=1)
    mem_len: int = _model(64, help="positions before the segment that a block remembers", low=0)
    clamp_len: int = _model(-1, help="distances beyond this one count as this one; below 1: each as itself", low=-1)
    same_length: bool = _model(False, help="whether every position sees mem_len positions, itself among them")
    pre_lnorm: bool = _model(False, help="layer norms before each half of a block, not after it")
    dropout: float = _model(0.1, help="part of the activations that training drops at random", low=0, below=1)
    dropatt: float = _model(0.0, help="the same of the attention weights", low=0, below=1)
    untie_r: bool = _model(True, help="whether each block has biases u and w of its own")
    cutoffs: tuple = _model((), help="where the clusters of an adaptive embedding and softmax begin; none: plain ones")
    d_embed: int | None = _model(None, help="channels of the tokens' vectors; by default d_model", low=1)
    div_val: int = _model(1, help="by how much vectors of a further cluster are narrower", low=1)
    proj_share_all_but_first: bool = _model(
        True, help="whether the softmax has the embedding's projections, but for the first cluster's"
    )
    layer_norm_epsilon: float = _model(1e-5, help="added to the variance in layer norms", above=0)
    init_std: float = _model(0.02, help="standard deviation of the initial matrices", low=0)
    proj_init_std: float = _model(0.01, help="the same of the projections of the tokens' vectors", low=0)

    block_size: ClassVar[None] = None  # a text may have any length

    def __post_init__(self):
        if isinstance(self.cutoffs, list):  # of JSON
            object.__setattr__(self, "cutoffs", tuple(self.cutoffs))
        check_settings(self)
        if not all(type(n) is int for n in self.cutoffs):
            raise SettingError("cutoffs", f"should be integers, not {shown(self.cutoffs)}")
        try:
            adaptive.tables_of(*self.clusters())
        except ValueError as error:
            raise SettingError("cutoffs", f"should suit the vocabulary and the channels: {error}") from None
        if self.d_head is None and self.d_model % self.n_head:
            problem = f"should be a multiple of n_head ({self.n_head}), not {self.d_model}, where d_head is not given"
            raise SettingError("d_model", problem)
        if self.d_model % 2:
            raise SettingError("d_model", f"should be even, not {self.d_model}: a sine and a cosine of each distance")
        if self.same_length and not self.mem_len:
            raise SettingError("mem_len", "should be at least 1 with same_length: every position sees mem_len of them")

    @property
    def head_size(self) -> int:
        """D"""
        return self.d_model // self.n_head if self.d_head is None else self.d_head

    @property
    def is_adaptive(self) -> bool:
        """Whether the embedding and the softmax are anything but plain ones."""
        return bool(self.cutoffs) or self.div_val > 1 or self.d_embed not in (None, self.d_model)

    def clusters(self) -> tuple[int, int, tuple[int, ...], int, int]:
        """What nn/adaptive.py asks of the vocabulary: V, C, cutoffs, d_embed, div_val."""
        embed = self.d_model if self.d_embed is None else self.d_embed
        return self.vocab_size, self.d_model, self.cutoffs, embed, self.div_val

    def to_dict(self) -> dict[str, Any]:
        """The settings by name: TransformerXLConfig(**config.to_dict()) == config."""
        return dataclasses.asdict(self)


def check_config(config) -> TransformerXLConfig:
    """`config` itself. Raises TypeError if it is not a TransformerXLConfig."""
    if not isinstance(config, TransformerXLConfig):
        hint = ": write TransformerXLConfig(**settings)" if isinstance(config, dict) else ""
        raise TypeError(f"TransformerXL: expected a TransformerXLConfig, got {shown(config)}{hint}")
    return config


def count_parameters(config: TransformerXLConfig) -> int:
    """The number of parameters of a TransformerXL, without making it."""
    c, hd = config.d_model, config.n_head * config.head_size
    inner = 4 * c if config.d_inner is None else config.d_inner
    attention, biases, norm = 5 * c * hd, 2 * hd, 2 * c  # q, k, v, r, out
    feed_forward = 2 * c * inner + inner + c
    blocks = config.n_layer * (attention + feed_forward + 2 * norm)
    biases *= config.n_layer if config.untie_r else 1
    return blocks + biases + adaptive.count_parameters(*config.clusters(), config.proj_share_all_but_first)


class Segment(NamedTuple):
    """What `read` makes of a segment.

    features  (B, T, C), from which the head makes its logits
    memory    for the next segment: n_layer plain arrays (B, M, C), M <= mem_len
    """

    features: Tensor
    memory: tuple[Array, ...]


class TransformerXLBlock(Module):
    """x (B, T, C), and what it was given before -> (B, T, C): attention by distance, then a feed-forward net."""

    def __init__(self, config: TransformerXLConfig, content_bias: Parameter | None, position_bias: Parameter | None):
        c, eps, std = config.d_model, config.layer_norm_epsilon, config.init_std
        self.pre_lnorm = config.pre_lnorm
        self.attention_norm = LayerNorm(c, eps)
        self.attention = RelativeAttention(
            c,
            config.n_head,
            d_head=config.d_head,
            dropout=config.dropatt,
            std=std,
            content_bias=content_bias,
            position_bias=position_bias,
        )
        self.feed_forward_norm = LayerNorm(c, eps)
        self.feed_forward = FeedForward(
            c, config.d_inner, activation="relu", dropout=config.dropout, std=std, residual_std=std
        )
        self.dropout = Dropout(config.dropout)

    def extra_repr(self) -> str:
        return f"pre_lnorm={self.pre_lnorm}"

    def forward(
        self, x: Tensor, memory: Array | None, r: Tensor, mask=None, *, cache: MemoryLayerCache | None = None
    ) -> Tensor:
        """memory  (B, M, C): x of earlier segments; None: there is none, or it is in the cache
        r       (M + T, C): the sinusoids of all distances, or what the attention's `places` made of them
        mask    (T, M + T) booleans: which keys a query may see of those up to its own place; None: all
        """
        t = x.shape[1]
        source = x if memory is None else F.concatenate([Tensor(memory), x], dim=1)  # (B, M + T, C)
        source = self.source(source)
        query = x if not self.pre_lnorm else source if memory is None else source[:, -t:]
        keys = self.attention.read(source, r)
        if cache is not None:
            keys = RelativeKeys(*cache.extend(keys.keys, keys.values), keys.places)
        added = self.dropout(self.attention(query, keys, t - 1, mask=mask, causal=True))
        if self.pre_lnorm:
            x, normed = self.feed_forward_norm.of_sum(x, added)
            return x + self.dropout(self.feed_forward(normed))
        x = self.attention_norm(x + added)
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))

    def source(self, x: Tensor) -> Tensor:
        """What attention reads of a block's input."""
        return self.attention_norm(x) if self.pre_lnorm else x


class TransformerXL(Module):
    """ids (B, T) of integers -> logits (B, T, V): at each position, scores for the token that comes next.

        memory = None
        for ids, targets in segments:                   # of B texts, in order
            segment = model.read(ids, memory)
            loss, memory = model.loss_of(segment.features, targets), segment.memory

    Matrices, u and w start as normal with standard deviation 0.02, as in the authors' code, which draws the norms'
    weights near 1, too; here they start as 1. (For a small model, 1/√C is larger: init_std.) With pre_lnorm there is no
    norm after the last block, as there.

    mem_len, clamp_len, same_length  begin as the config's, and may be set for evaluation: a longer memory than that of
                                     training, with clamp_len at the longest distance that was trained
    zero_memory  whether a text begins with a memory of mem_len vectors of zeros, as in transformers, in place of none.
                 They are no tokens, but attention looks at them: the first positions of a text share their attention
                 with mem_len keys of content 0, so that all logits differ until the memory has filled up. And two
                 segments then compute something else than one long one
    recompute    whether training keeps only each block's input, and runs the block again in backward
    """

    recompute = False
    zero_memory = False

    def __init__(self, config: TransformerXLConfig):
        self.config = c = check_config(config)
        self.mem_len, self.clamp_len, self.same_length = c.mem_len, c.clamp_len, c.same_length
        self.token_embedding, head = _words(c)
        self.register_buffer("position_table", Tensor(self._sinusoids(1)), persistent=False)  # grows
        self.dropout, self.place_dropout = Dropout(c.dropout), Dropout(c.dropout)
        shape = (c.n_head, c.head_size)
        self.content_bias = None if c.untie_r else Parameter(normal(shape, scale=c.init_std))
        self.position_bias = None if c.untie_r else Parameter(normal(shape, scale=c.init_std))
        self.blocks = [TransformerXLBlock(c, self.content_bias, self.position_bias) for _ in range(c.n_layer)]
        self.final_dropout = Dropout(c.dropout)
        self.head = head

    def forward(self, ids, memory=None) -> Tensor:
        """ids (B, T) -> logits (B, T, V). See `read`."""
        return self.head(self.features(ids, memory))

    def features(self, ids, memory=None) -> Tensor:
        """ids (B, T) -> (B, T, C), from which the head makes its logits. See `read`."""
        return self.read(ids, memory).features

    def read(self, ids, memory=None) -> Segment:
        """ids (B, T), the next segment of each of B texts -> its features, and the memory for the one after it.

        memory  what the last `read` returned; None: the texts begin here

        Raises ValueError for ids or a memory of another shape, TypeError for ids that are not integers and for a memory
        of another dtype, IndexError for an id out of range.
        """
        x = self._embedded(ids)  # (B, T, C)
        (rows, t), c = x.shape[:2], self.config
        if memory is None:
            memory = self.new_memory(rows)
        else:
            memory = as_memory(memory, c.n_layer, rows, c.d_model, "TransformerXL", self.position_table.data)
        m = memory[0].shape[1]
        r, mask = self.place_dropout(self._places(m + t)), self._band(t, m + t)
        after = []
        for block, before in zip(self.blocks, memory, strict=True):
            after.append(remembered(before, x.data, self.mem_len))
            run = partial(block, memory=before if m else None, r=r, mask=mask)
            x = recompute(run, x) if self.recompute else run(x)
        return Segment(self.final_dropout(x), tuple(after))

    def new_memory(self, rows: int) -> tuple[Array, ...]:
        """The memory of texts that begin: n_layer arrays (rows, 0, C), or, with zero_memory, (rows, mem_len, C)."""
        shape = (rows, self.mem_len if self.zero_memory else 0, self.config.d_model)
        return tuple([np.zeros_like(self.position_table.data, shape=shape) for _ in self.blocks])

    def loss(self, ids, targets, memory=None) -> Tensor:
        """Mean cross-entropy in nats per token; `targets` (B, T) holds the token that follows each of `ids` (B, T)."""
        return self.loss_of(self.features(ids, memory), targets)

    def loss_of(self, features: Tensor, targets, reduction: str = "mean") -> Tensor:
        """The loss of what `read` returned, features (B, T, C); -100 in the targets is left out. reduction: "mean",
        "sum", or "none": (B, T), in the order of the positions.
        """
        targets = as_ids(targets, "TransformerXL", "targets")
        if isinstance(self.head, AdaptiveSoftmax):
            return self.head.loss(features, targets, reduction)
        return head_loss(self.head, features, targets, reduction=reduction)

    # --- generation ---

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> MemoryCache:
        """An empty MemoryCache for `batch_size` texts, of any length.

        capacity  how many positions will be read in all, if that is known
        """
        c, room = self.config, self.mem_len + max(self.mem_len, _LEAST_ROOM)
        room = room if capacity is None else min(room, capacity)
        like = self.position_table.data
        cache = MemoryCache(c.n_layer, batch_size, c.n_head, room, c.head_size, like=like)
        if self.zero_memory:
            with no_grad():
                sources = [block.source(Tensor(x)) for block, x in zip(self.blocks, self.new_memory(1), strict=True)]
                kept = [block.attention.keys_and_values(x) for block, x in zip(self.blocks, sources, strict=True)]
            cache.begin_with(*kept)
        return cache

    def next_logits(self, ids, cache: MemoryCache | None = None, *, attention_mask=None, position_ids=None) -> Tensor:
        """ids (B, T) -> logits (B, V) of the token after the last position, which is all that generation needs.

        cache  holds what was read before; then it holds these positions too, and forgets what is further back than the
               memory. It gives what `read` gives for the same pieces

        Raises TypeError for an attention_mask or position_ids: no position is told apart from padding.
        """
        if attention_mask is not None or position_ids is not None:
            raise TypeError(
                "TransformerXL takes no attention_mask, which prompts of different lengths need: padding would be read "
                "as text, and remembered: give it one prompt at a time, or prompts of one length"
            )
        x = self.features(ids) if cache is None else self._continued(ids, cache)
        return self.head(x[:, -1])  # (B, T, C) -> (B, C) -> (B, V)

    def _continued(self, ids, cache: MemoryCache) -> Tensor:
        """The features (B, T, C) of the positions after those in the cache."""
        x = self._embedded(ids)
        k = cache.make_room(x.shape[1], self.mem_len)
        mask = self._band(x.shape[1], k)
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            places = layer.places
            if places is None or places.shape[1] < k:  # once, for all distances that will come
                layer.places = places = block.attention.places(self._places(max(k, self.mem_len + 1)))
            x = block(x, None, places[:, -k:], mask, cache=layer)
        return x

    # --- parts ---

    def _embedded(self, ids) -> Tensor:
        """ids (B, T) -> (B, T, C)."""
        return self.dropout(self.token_embedding(as_ids(ids, "TransformerXL")) * math.sqrt(self.config.d_model))

    def _sinusoids(self, length: int) -> np.ndarray:
        return sinusoids(length, self.config.d_model, order="halves")

    def _places(self, k: int) -> Tensor:
        """The sinusoids of the distances k-1, ..., 1, 0, as far as clamp_len: (K, C)."""
        table = self.position_table.data
        distances = np.arange(k - 1, -1, -1, like=table)
        if self.clamp_len > 0:
            distances = np.minimum(distances, self.clamp_len)
            k = min(k, self.clamp_len + 1)
        if k > len(table):  # no text is too long
            table = np.asarray(self._sinusoids(2 * k), dtype=table.dtype, like=table)
            self.position_table.data = table
        return Tensor(table[distances])

    def _band(self, t: int, k: int) -> Array | None:
        """(T, K) booleans, False where a key is further back than same_length allows; None: nowhere."""
        if not self.same_length or k <= self.mem_len:
            return None
        if self.mem_len < 1:
            raise ValueError("TransformerXL: same_length needs a memory: set mem_len to 1 or more, or same_length off")
        like = self.position_table.data
        i, j = np.arange(k - t, k, like=like).reshape(t, 1), np.arange(k, like=like)
        return i - j < self.mem_len


def _words(c: TransformerXLConfig) -> tuple[Embedding | AdaptiveEmbedding, Linear | AdaptiveSoftmax]:
    """The embedding, and the head, which shares its vectors."""
    std, proj_std = c.init_std, c.proj_init_std
    if not c.is_adaptive:
        plain = Embedding(c.vocab_size, c.d_model, std=std)
        return plain, Linear(c.d_model, c.vocab_size, weight=plain.weight)
    embedding = AdaptiveEmbedding(
        c.vocab_size, c.d_model, c.cutoffs, d_embed=c.d_embed, div_val=c.div_val, std=std, proj_std=proj_std
    )
    share = c.proj_share_all_but_first
    return embedding, AdaptiveSoftmax(embedding, std=std, proj_std=proj_std, share_projections=share)
