"""The Transformer: an encoder reads a sentence, a decoder writes another. The model that all others here come from.

Vaswani et al., "Attention is all you need" (2017). Both stacks are made of the same blocks as GPT and BERT:

    source (B, Ts)   "ein hund schläft . </s>"
      s = dropout(√C · token + position)                              sinusoids                              (B, Ts, C)
      s = norm(s + dropout(attention(s)))                             } encoder_layers blocks                (B, Ts, C)
      s = norm(s + dropout(feed_forward(s)))                          }
    target (B, T)    "<pad> a dog is sleeping ."                      what is written so far
      x = dropout(√C · token + position)                                                                     (B, T, C)
      x = norm(x + dropout(attention(x)))                             }
      x = norm(x + dropout(cross_attention(x, s)))                    } decoder_layers blocks                (B, T, C)
      x = norm(x + dropout(feed_forward(x)))                          }
    logits = x · tokenᵀ                                               one table of vectors for all three     (B, T, V)
                     "a dog is sleeping . </s>"                       what should come next

What a position (a row) may look at (■) is all that tells the three attentions apart, and the models of this package:

      encoder           decoder            decoder to source
      ■ ■ ■ ·           ■ · · ·            ■ ■ ■ ·         the last column is padding, of the source
      ■ ■ ■ ·           ■ ■ · ·            ■ ■ ■ ·
      ■ ■ ■ ·           ■ ■ ■ ·            ■ ■ ■ ·
      BERT: this alone  GPT: this alone

A padded target needs no mask: no position before padding looks at it, and the loss leaves out what comes from it.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.generate.seq2seq import generate_target
from tinygrad_gpt.models.inputs import as_ids, padding_mask, vectors_of
from tinygrad_gpt.nn import Block, Dropout, Embedding, LayerNorm, Linear, Module
from tinygrad_gpt.nn.block import NORMS
from tinygrad_gpt.nn.decoder_cache import DecoderCache
from tinygrad_gpt.nn.feed_forward import ACTIVATIONS
from tinygrad_gpt.nn.positions import ORDERS, sinusoids
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.recompute import recompute
from tinygrad_gpt.settings import SettingError, check_settings, setting

_model = partial(setting, group="Model")


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of a Transformer, by transformers' names; the defaults are the paper's base model (table 3).

    Raises UserError for a value that cannot be.
    """

    vocab_size: int = _model(dataclasses.MISSING, help="how many different tokens there are, in both languages", low=1)
    d_model: int = _model(512, help="channels C of each position; the numbers of heads divide it", low=1)
    encoder_layers: int = _model(6, help="blocks of the encoder", low=1)
    decoder_layers: int = _model(6, help="blocks of the decoder", low=1)
    encoder_attention_heads: int = _model(8, help="attention heads in each block of the encoder", low=1)
    decoder_attention_heads: int = _model(8, help="attention heads in each block of the decoder", low=1)
    encoder_ffn_dim: int = _model(2048, help="channels inside the encoder's feed-forward", low=1)
    decoder_ffn_dim: int = _model(2048, help="channels inside the decoder's feed-forward", low=1)
    activation_function: str = _model("relu", help="in the feed-forward", choices=tuple(ACTIVATIONS))
    norm: str = _model("post", help="layer norms after each part of a block (the paper) or before it", choices=NORMS)
    positions: str = _model("interleaved", help="order of sines and cosines (Marian: halves)", choices=ORDERS)
    scale_embedding: bool = _model(True, help="whether token vectors are multiplied by the root of C")
    max_position_embeddings: int = _model(1024, help="the longest sentence, in tokens", low=1)
    dropout: float = _model(0.1, help="part of the activations that training drops", low=0, below=1)
    attention_dropout: float = _model(0.0, help="the same of the attention weights", low=0, below=1)
    activation_dropout: float = _model(0.0, help="the same inside the feed-forward", low=0, below=1)
    init_std: float | None = _model(
        None, help="standard deviation of the initial matrices; by default that of Linear", low=0
    )
    pad_token_id: int = _model(0, help="the id of padding", low=0)
    eos_token_id: int = _model(1, help="the id that ends a sentence", low=0)
    decoder_start_token_id: int | None = _model(
        None, help="the id that the decoder reads first; by default that of padding", low=0
    )
    forced_eos_token_id: int | None = _model(
        -1,
        help="the id that stands in the last place of a text that gets too long; -1: eos_token_id; None: any",
        low=-1,
    )

    def __post_init__(self):
        check_settings(self)
        if self.decoder_start_token_id is None:
            object.__setattr__(self, "decoder_start_token_id", self.pad_token_id)
        for heads in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, heads):
                raise SettingError("d_model", f"should be a multiple of {heads} ({getattr(self, heads)})")
        for token in ("pad_token_id", "eos_token_id", "decoder_start_token_id", "forced_eos_token_id"):
            if (getattr(self, token) or 0) >= self.vocab_size:
                raise SettingError(token, f"should be below vocab_size ({self.vocab_size})")

    def to_dict(self) -> dict[str, Any]:
        """The settings by name: TransformerConfig(**config.to_dict()) == config."""
        return dataclasses.asdict(self)


def check_config(config) -> TransformerConfig:
    """`config` itself. Raises TypeError if it is not a TransformerConfig."""
    if not isinstance(config, TransformerConfig):
        hint = ": write TransformerConfig(**settings)" if isinstance(config, dict) else ""
        raise TypeError(f"Transformer: expected a TransformerConfig, got {shown(config)}{hint}")
    return config


def count_parameters(config: TransformerConfig) -> int:
    """The number of parameters of a Transformer, without making it."""
    c = config.d_model
    attention, norm = 4 * (c * c + c), 2 * c

    def feed_forward(inner: int) -> int:
        return 2 * c * inner + inner + c

    encoder = config.encoder_layers * (attention + feed_forward(config.encoder_ffn_dim) + 2 * norm)
    decoder = config.decoder_layers * (2 * attention + feed_forward(config.decoder_ffn_dim) + 3 * norm)
    final_norms = 2 * norm if config.norm == "pre" else 0
    return config.vocab_size * c + encoder + decoder + final_norms


class TranslationLoss(NamedTuple):
    """What a batch costs.

    total     the mean loss per target token, in nats; with label smoothing, of the smoothed targets
    accuracy  the share of the target tokens that had the highest score, as an array ()
    """

    total: Tensor
    accuracy: Array


class Transformer(Module):
    """source (B, Ts), target (B, T) of integers -> logits (B, T, V): at each position, scores for the next token.

    The embedding starts as normal with standard deviation 1/√C, which scale_embedding makes 1; padding's vector as 0.

    recompute  whether training keeps only each block's input, and runs the block again in backward
    """

    recompute = False
    generate = generate_target  # model.generate(source_ids, ...): greedy, sampling, beam search

    def __init__(self, config: TransformerConfig):
        self.config = c = check_config(config)
        width, std = c.d_model, c.init_std
        self.token_embedding = Embedding(c.vocab_size, width, std=width**-0.5 if std is None else std)
        self.token_embedding.weight.data[c.pad_token_id] = 0
        positions = sinusoids(c.max_position_embeddings, width, order=c.positions)
        self.register_buffer("position_table", Tensor(positions), persistent=False)
        self.dropout = Dropout(c.dropout)
        block = partial(
            Block,
            width,
            norm=c.norm,
            activation=c.activation_function,
            dropout=c.dropout,
            attn_dropout=c.attention_dropout,
            activation_dropout=c.activation_dropout,
            std=std,
            residual_std=std,
        )
        self.encoder = [
            block(c.encoder_attention_heads, hidden=c.encoder_ffn_dim) for _ in range(c.encoder_layers)
        ]  # fmt: skip
        self.decoder = [
            block(c.decoder_attention_heads, hidden=c.decoder_ffn_dim, causal=True, c_source=width)
            for _ in range(c.decoder_layers)
        ]
        self.encoder_norm = LayerNorm(width) if c.norm == "pre" else None
        self.decoder_norm = LayerNorm(width) if c.norm == "pre" else None
        self.head = Linear(width, c.vocab_size, bias=False, weight=self.token_embedding.weight)

    def forward(self, source_ids, target_ids, source_mask=None) -> Tensor:
        """source_ids (B, Ts), target_ids (B, T) -> logits (B, T, V).

        target_ids   begin with decoder_start_token_id
        source_mask  (B, Ts): 1 for a token to look at, 0 for padding

        Raises ValueError for another shape, for other values in the mask, and for more positions than
        max_position_embeddings; TypeError for ids that are not integers; IndexError for an id out of range.
        """
        return self.logits(self.features(source_ids, target_ids, source_mask))

    def features(self, source_ids, target_ids, source_mask=None) -> Tensor:
        """source_ids (B, Ts), target_ids (B, T) -> (B, T, C), from which `logits` are made. See `forward`."""
        return self.decode(target_ids, self.encode(source_ids, source_mask), source_mask)

    def encode(self, source_ids, source_mask=None) -> Tensor:
        """source_ids (B, Ts) -> (B, Ts, C): a vector for each token, which knows all others. See `forward`."""
        ids = as_ids(source_ids, "Transformer", "source_ids")
        mask = self._mask(source_mask, ids.shape)
        x = self._embedded(ids, 0)
        for block in self.encoder:
            x = recompute(partial(block, mask=mask), x) if self.recompute else block(x, mask=mask)
        return x if self.encoder_norm is None else self.encoder_norm(x)

    def decode(self, target_ids, encoded: Tensor, source_mask=None, target_mask=None) -> Tensor:
        """target_ids (B, T), and what `encode` returned, (B, Ts, C) -> (B, T, C), from which `logits` are made.

        target_mask  (B, T): 1 for a token to look at, 0 for padding; padding on the right needs none
        """
        ids = as_ids(target_ids, "Transformer", "target_ids")
        if len(ids) != encoded.shape[0]:
            raise ValueError(f"Transformer: expected a target for each of {encoded.shape[0]} sources, got {len(ids)}")
        mask = self._mask(target_mask, ids.shape, "target")
        source_mask = self._mask(source_mask, encoded.shape[:2])
        x = self._embedded(ids, 0)
        for block in self.decoder:
            if self.recompute:
                x = recompute(partial(block, mask=mask, source_mask=source_mask), x, encoded)
            else:
                x = block(x, encoded, mask=mask, source_mask=source_mask)
        return x if self.decoder_norm is None else self.decoder_norm(x)

    def logits(self, x: Tensor) -> Tensor:
        """x (..., C) -> (..., V): the score of each token."""
        return self.head(x)

    def next_logits(self, target_ids, cache: DecoderCache) -> Tensor:
        """target_ids (R, T), the positions after those in the cache -> (R, V): scores for the token after the last one.

        The cache, of `new_cache`, then holds these positions too; R is B, or what its `select` made of it.
        """
        x = self._embedded(as_ids(target_ids, "Transformer", "target_ids"), cache.length)
        for block, (own, source) in zip(self.decoder, cache.layers, strict=True):
            x = block(x, source, source_mask=cache.source_mask, cache=own)
        x = x[:, -1]  # (R, T, C) -> (R, C)
        return self.logits(x if self.decoder_norm is None else self.decoder_norm(x))

    def loss(self, source_ids, source_mask, decoder_input_ids, labels, label_smoothing: float = 0.0) -> TranslationLoss:
        """The loss of a batch.

        decoder_input_ids  (B, T): the target, shifted right by one: it begins with decoder_start_token_id
        labels             (B, T): the target, with -100 at padding
        label_smoothing    ε: the target is to have 1-ε of the probability, and all V tokens ε/V each (section 5.4)

        Raises what `forward` raises, and ValueError for labels of another shape or if all are -100.
        """
        labels = as_ids(labels, "Transformer", "labels")
        logits = self.logits(self.features(source_ids, decoder_input_ids, source_mask))
        total = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        labels = np.asarray(labels, like=logits.data)
        counts = labels != IGNORE_INDEX
        right = (np.argmax(logits.data, axis=-1) == labels) & counts
        return TranslationLoss(total, np.sum(right) / np.sum(counts))

    def new_cache(self, encoded: Tensor, source_mask=None, capacity: int | None = None) -> DecoderCache:
        """A cache for writing after these sources (B, Ts, C), up to `capacity` positions; None: all there are."""
        c = self.config
        return DecoderCache(
            [block.cross_attention.read(encoded) for block in self.decoder],
            self._mask(source_mask, encoded.shape[:2]),
            c.decoder_attention_heads,
            c.max_position_embeddings if capacity is None else capacity,
            c.d_model // c.decoder_attention_heads,
            like=self.token_embedding.weight.data,
        )

    def _embedded(self, ids: Array, start: int) -> Tensor:
        """The vectors of tokens (B, T) at the positions start, start + 1, ...: (B, T, C)."""
        stop, most = start + ids.shape[1], self.config.max_position_embeddings
        if stop > most:
            raise ValueError(
                f"Transformer: expected at most {most} positions (max_position_embeddings), got {stop}: "
                "use shorter sentences, or a model with more positions"
            )
        x = vectors_of(ids, self.token_embedding, self.config.pad_token_id)  # (B, T, C)
        if self.config.scale_embedding:
            x = x * math.sqrt(self.config.d_model)
        return self.dropout(x + self.position_table[start:stop])

    def _mask(self, mask, shape: tuple[int, ...], which: str = "source") -> Array | None:
        """(B, Ts) -> (B, 1, 1, Ts) of booleans; None if nothing is masked."""
        return padding_mask(mask, shape, self.token_embedding.weight.data, "Transformer", f" of the {which}")
