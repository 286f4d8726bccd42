"""GPT: a causal Transformer that predicts the next token at every position.

Radford et al., "Improving language understanding by generative pre-training" (2018: GPT-1, norm="post") and "Language
models are unsupervised multitask learners" (2019: GPT-2, norm="pre").
"""

import dataclasses
import math
from dataclasses import dataclass

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import Array, as_array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.nn import Block, Dropout, Embedding, KVCache, LayerNorm, Linear, Module
from tinygrad_gpt.nn.block import NORMS
from tinygrad_gpt.nn.feed_forward import ACTIVATIONS
from tinygrad_gpt.settings import check_settings, setting


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT. Raises UserError for a value that cannot be."""

    vocab_size: int = setting(dataclasses.MISSING, "Model", "how many different tokens there are", low=1)
    block_size: int = setting(64, "Model", "the longest text the model can look at, in tokens", low=1)
    n_layer: int = setting(4, "Model", "blocks of attention and feed-forward, one after the other", low=1)
    n_head: int = setting(4, "Model", "attention heads in each block", low=1)
    n_embd: int = setting(128, "Model", "channels of each position; n_head divides it", low=1)
    dropout: float = setting(0.0, "Model", "part of the activations that training drops at random", low=0, below=1)
    bias: bool = setting(True, "Model", "whether linear layers and layer norms have biases")
    norm: str = setting(
        "pre", "Model", "layer norms before each half of a block (GPT-2) or after it (GPT-1)", choices=NORMS
    )
    tied: bool = setting(True, "Model", "whether the output layer shares its weights with the token embedding")
    activation: str = setting(
        "gelu_tanh", "Model", "between the linear layers of the feed-forward", choices=tuple(ACTIVATIONS)
    )

    def __post_init__(self):
        check_settings(self)
        if self.n_embd % self.n_head:
            raise UserError(f"n_embd should be a multiple of n_head ({self.n_head}), not {self.n_embd}")


class GPT(Module):
    """ids (B, T) of integers -> logits (B, T, V): at each position, scores for the token that comes next."""

    def __init__(self, config: GPTConfig):
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.n_embd)
        self.position_embedding = Embedding(config.block_size, config.n_embd)
        self.dropout = Dropout(config.dropout)
        self.blocks = [
            Block(
                config.n_embd,
                config.n_head,
                norm=config.norm,
                causal=True,
                activation=config.activation,
                bias=config.bias,
                dropout=config.dropout,
            )
            for _ in range(config.n_layer)
        ]
        self.final_norm = LayerNorm(config.n_embd, config.bias) if config.norm == "pre" else None
        shared = self.token_embedding.weight if config.tied else None
        self.head = Linear(config.n_embd, config.vocab_size, bias=False, weight=shared)
        self._initialise()

    def _initialise(self) -> None:
        """Matrices normal with standard deviation 0.02 (2018, section 4.1); biases 0 and norms 1, as their layers made
        them.

        Each block adds to the residual stream twice. With norm="pre" nothing brings its variance down again, so the two
        matrices that write to it start smaller by 1/√(2 n_layer) (2019, section 2.3). With norm="post" each sum is
        normalised at once, and GPT-1 has no such factor.
        """
        residual_std = 0.02 / math.sqrt(2 * self.config.n_layer) if self.config.norm == "pre" else 0.02
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                drawn_with = 1 if "embedding" in name else parameter.shape[1] ** -0.5  # by Embedding and by Linear
                writes_to_residual = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
                std = residual_std if writes_to_residual else 0.02
                parameter.data *= std / drawn_with

    def forward(self, ids, cache: KVCache | None = None) -> Tensor:
        """ids (B, T) -> logits (B, T, V).

        With a cache, `ids` are the positions that follow those it holds, and it holds them too afterwards.

        Raises ValueError for more positions than block_size, IndexError for an id that is not in 0 .. vocab_size-1.
        """
        return self.head(self.features(ids, cache))

    def features(self, ids, cache: KVCache | None = None) -> Tensor:
        """ids (B, T) -> (B, T, C), what the head makes its logits from."""
        ids = _as_ids(ids)
        start = 0 if cache is None else cache.length
        stop = start + ids.shape[1]
        if stop > self.config.block_size:
            raise ValueError(
                f"GPT: expected at most {self.config.block_size} positions (block_size), got {stop}: "
                "use shorter sequences, or a model with a larger block_size"
            )
        x = self.token_embedding(ids) + self.position_embedding.weight[start:stop]  # (B, T, C) + (T, C)
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            x = block(x, cache=None if cache is None else cache.layers[i])
        return x if self.final_norm is None else self.final_norm(x)

    def loss(self, ids, targets) -> Tensor:
        """Mean cross-entropy in nats per token: ids (B, T), and at each position the token that follows it."""
        return F.cross_entropy(self(ids), _as_ids(targets))

    def next_logits(self, ids, cache: KVCache | None = None) -> Tensor:
        """ids (B, T) -> logits (B, V) of the token that follows the last position: all that generation asks for."""
        return self.head(self.features(ids, cache)[:, -1])  # (B, T, C) -> (B, C) -> (B, V)

    def new_cache(self, batch_size: int = 1) -> KVCache:
        """An empty KVCache for `batch_size` sequences of up to block_size positions."""
        c = self.config
        like = self.token_embedding.weight.data
        return KVCache(c.n_layer, batch_size, c.n_head, c.block_size, c.n_embd // c.n_head, like=like)


def _as_ids(ids) -> Array:
    """(B, T) integers as a plain array, whatever they came in."""
    ids = as_array(ids.data if isinstance(ids, Tensor) else ids)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"GPT: expected integer ids, got {ids.dtype}")
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise ValueError(f"GPT: expected ids of shape (B, T) with T >= 1, got {ids.shape}")
    return ids
