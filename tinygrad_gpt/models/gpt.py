"""GPT: a causal Transformer that predicts the next token at every position.

Radford et al., "Improving language understanding by generative pre-training" (2018: GPT-1, norm="post") and "Language
models are unsupervised multitask learners" (2019: GPT-2, norm="pre"). gpt1.py and gpt2.py read their real weights.
"""

import dataclasses
import functools
import inspect
import math
from dataclasses import dataclass
from functools import partial

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.models.inputs import as_ids, padding_mask
from tinygrad_gpt.nn import Block, CacheDeclinedError, Dropout, Embedding, KVCache, LayerNorm, Linear, Module
from tinygrad_gpt.nn.block import NORMS
from tinygrad_gpt.nn.feed_forward import ACTIVATIONS
from tinygrad_gpt.nn.head_loss import head_loss
from tinygrad_gpt.nn.watching import show
from tinygrad_gpt.recompute import recompute
from tinygrad_gpt.settings import SettingError, check_settings, setting

STD = 0.02  # standard deviation of a GPT's initial matrices

_rare = partial(setting, group="Model", advanced=True)


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT. Raises UserError for a value that cannot be."""

    vocab_size: int = setting(dataclasses.MISSING, "Model", "how many different tokens there are", low=1)
    block_size: int = setting(64, "Model", "the longest text the model can look at, in tokens", low=1)
    n_layer: int = setting(4, "Model", "blocks of attention and feed-forward, one after the other", low=1)
    n_head: int = _rare(4, help="attention heads in each block", low=1)
    n_embd: int = setting(128, "Model", "channels of each position; n_head divides it", low=1)
    positions: str = _rare(
        "learned",
        help="a learned vector for each position; none: for blocks that bring their own, such as rotary ones",
        choices=("learned", "none"),
    )
    n_inner: int | None = _rare(None, help="channels inside the feed-forward; by default 4 n_embd", low=1)
    dropout: float = _rare(0.0, help="part of the activations that training drops at random", low=0, below=1)
    bias: bool = _rare(True, help="whether linear layers and layer norms have biases")
    norm: str = _rare("pre", help="layer norms before each half of a block (GPT-2) or after it (GPT-1)", choices=NORMS)
    layer_norm_epsilon: float = _rare(1e-5, help="added to the variance in layer norms", above=0)
    tied: bool = _rare(True, help="whether the output layer shares its weights with the token embedding")
    activation: str = _rare(
        "gelu_tanh", help="between the linear layers of the feed-forward", choices=tuple(ACTIVATIONS)
    )
    # What only transformers' files set:
    embd_pdrop: float | None = _rare(None, help="dropout of the embeddings; by default dropout", low=0, below=1)
    attn_pdrop: float | None = _rare(None, help="dropout of the attention weights; by default dropout", low=0, below=1)
    scale_attn_weights: bool = _rare(True, help="whether attention divides its scores by the root of D")
    scale_attn_by_inverse_layer_idx: bool = _rare(
        False, help="whether block 1, 2, ... divides its attention scores by 1, 2, ..."
    )

    def __post_init__(self):
        check_settings(self)
        if self.n_embd % self.n_head:
            raise SettingError("n_embd", f"should be a multiple of n_head ({self.n_head}), not {self.n_embd}")

    def attention_scale(self, layer: int) -> float:
        """What block number `layer` (0, 1, ...) multiplies its attention scores by."""
        scale = (self.n_embd // self.n_head) ** -0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale


def check_config(config) -> GPTConfig:
    """`config` itself. Raises TypeError if it is not a GPTConfig."""
    if not isinstance(config, GPTConfig):
        hint = ": write GPTConfig(**settings)" if isinstance(config, dict) else ""
        raise TypeError(f"GPT: expected a GPTConfig, got {shown(config)}{hint}")
    return config


def count_parameters(config: GPTConfig) -> int:
    """The number of parameters of a GPT, without making it."""
    c = config.n_embd
    norm = c * (1 + config.bias)
    attention = 4 * c * c + 4 * c * config.bias  # q, k, v, out
    inner = 4 * c if config.n_inner is None else config.n_inner
    feed_forward = 2 * c * inner + (inner + c) * config.bias  # up, and down
    blocks = config.n_layer * (attention + feed_forward + 2 * norm)
    final_norm = norm if config.norm == "pre" else 0
    positions = config.block_size * c if config.positions == "learned" else 0
    head = 0 if config.tied else config.vocab_size * c
    return config.vocab_size * c + positions + blocks + final_norm + head


class GPT(Module):
    """ids (B, T) of integers -> logits (B, T, V): at each position, scores for the token that comes next.

    Matrices start as normal with standard deviation 0.02 (2018, section 4.1), biases as 0 and norms as 1. Each block
    adds to the residual stream twice. With norm="pre" nothing brings its variance down again, so the two matrices that
    write to it start smaller by 1/√(2 n_layer) (2019, section 2.3). With norm="post" each sum is normalised at once,
    and GPT-1 has no such factor.

    A subclass may put other blocks into `blocks`: Modules that are called as block(x) in training, with cache=... when
    `generate` writes, and with mask=... for padded batches. A block without `cache` is right too: then every new token
    costs a reading of the whole window.

    recompute  whether training keeps only each block's input, and runs the block again in backward
    """

    recompute = False

    def __init__(self, config: GPTConfig):
        self.config = check_config(config)
        eps, embd_pdrop = config.layer_norm_epsilon, config.embd_pdrop
        residual_std = STD / math.sqrt(2 * config.n_layer) if config.norm == "pre" else STD
        self.token_embedding = Embedding(config.vocab_size, config.n_embd, std=STD)
        learned = config.positions == "learned"
        self.position_embedding = Embedding(config.block_size, config.n_embd, std=STD) if learned else None
        self.dropout = Dropout(config.dropout if embd_pdrop is None else embd_pdrop)
        self.blocks = [
            Block(
                config.n_embd,
                config.n_head,
                norm=config.norm,
                causal=True,
                hidden=config.n_inner,
                activation=config.activation,
                bias=config.bias,
                dropout=config.dropout,
                attn_dropout=config.attn_pdrop,
                scale=config.attention_scale(layer),
                eps=eps,
                std=STD,
                residual_std=residual_std,
            )
            for layer in range(config.n_layer)
        ]
        self.final_norm = LayerNorm(config.n_embd, eps, bias=config.bias) if config.norm == "pre" else None
        shared = self.token_embedding.weight if config.tied else None
        self.head = Linear(config.n_embd, config.vocab_size, bias=False, weight=shared, std=STD)

    def forward(self, ids, cache: KVCache | None = None) -> Tensor:
        """ids (B, T) -> logits (B, T, V).

        With a cache, `ids` are the positions after those that it holds; then it holds these too.

        Raises ValueError for more positions than block_size, IndexError for an id that is not in 0 .. vocab_size-1.
        """
        return self.head(self.features(ids, cache))

    def features(self, ids, cache: KVCache | None = None, *, attention_mask=None, position_ids=None) -> Tensor:
        """ids (B, T) -> (B, T, C), from which the head makes its logits.

        attention_mask  (B, T), positions in the cache included: 1 for a token to look at, 0 for padding
        position_ids    (B, T) or (1, T) integers: the position of each token; None: consecutive, after the cache's.
                        Without learned positions nothing asks for them

        Raises ValueError for ids or a mask of another shape, for other values in the mask, and for more positions than
        block_size; TypeError for ids that are not integers, and for a mask that a block does not take; IndexError for
        an id or position that is out of range; CacheDeclinedError for a cache that a block does not fill.
        """
        ids = as_ids(ids, "GPT")
        if not isinstance(cache, KVCache | None):
            raise TypeError(f"GPT: expected a KVCache or None as cache, got {shown(cache)}: see new_cache()")
        start = 0 if cache is None else cache.length
        stop = start + ids.shape[1]
        like = self.token_embedding.weight.data
        mask = padding_mask(attention_mask, (ids.shape[0], stop), like, "GPT", ", those in the cache included")
        positions = self._positions(start, stop, position_ids)
        x = self.token_embedding(ids)  # (B, T, C)
        x = self.dropout(x if positions is None else x + positions)
        given = {} if mask is None else {"mask": mask}  # to each block, and its part of the cache
        for i, block in enumerate(self.blocks):
            if cache is not None:
                x = block(x, **_taken(i, block, given | {"cache": cache.layers[i]}))
            elif self.recompute:
                x = recompute(partial(block, **_taken(i, block, given)), x)
            else:
                x = block(x, **_taken(i, block, given))
        if cache is not None:
            _check_filled(cache, stop)
        return x if self.final_norm is None else self.final_norm(x)

    def _positions(self, start: int, stop: int, position_ids) -> Tensor | None:
        """The learned vectors of positions start .. stop - 1, (T, C), or of those in position_ids, (B, T, C)."""
        embedding = self.position_embedding
        if embedding is not None and position_ids is not None:
            return embedding(position_ids)  # (B, T) -> (B, T, C)
        if stop > self.config.block_size:
            raise ValueError(
                f"GPT: expected at most {self.config.block_size} positions (block_size), got {stop}: "
                "use shorter sequences, or a model with a larger block_size"
            )
        if embedding is None:
            return None
        positions = embedding.weight[start:stop]  # (T, C)
        show(embedding, output=positions)
        return positions

    def loss(self, ids, targets) -> Tensor:
        """Mean cross-entropy in nats per token; `targets` (B, T) holds the token that follows each of `ids` (B, T)."""
        return head_loss(self.head, self.features(ids), as_ids(targets, "GPT", "targets"))

    def next_logits(self, ids, cache: KVCache | None = None, *, attention_mask=None, position_ids=None) -> Tensor:
        """ids (B, T) -> logits (B, V) of the token after the last position, which is all that generation needs."""
        x = self.features(ids, cache, attention_mask=attention_mask, position_ids=position_ids)
        return self.head(x[:, -1])  # (B, T, C) -> (B, C) -> (B, V)

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> KVCache:
        """An empty KVCache for `batch_size` sequences of up to `capacity` positions; None: block_size."""
        c = self.config
        capacity = c.block_size if capacity is None else capacity
        like = self.token_embedding.weight.data
        return KVCache(c.n_layer, batch_size, c.n_head, capacity, c.n_embd // c.n_head, like=like)


def _taken(i: int, block: Module, given: dict) -> dict:
    """`given`, what block number i gets beside x. Raises CacheDeclinedError or TypeError if it does not take it."""
    if given and not given.keys() <= (takes := _settings_of(type(block).forward)) and None not in takes:
        who = f"GPT: block {i} ({type(block).__name__})"
        if "mask" in given and "mask" not in takes:
            raise TypeError(f"{who} takes no mask, which padding needs: give its forward a `mask`, or do not pad")
        raise CacheDeclinedError(f"{who} takes no cache: call the model without one, with the whole sequence")
    return given


@functools.cache
def _settings_of(forward) -> frozenset[str | None]:
    """The names of a forward's arguments; with None among them if it takes any."""
    parameters = inspect.signature(forward).parameters.values()
    return frozenset([None if p.kind is p.VAR_KEYWORD else p.name for p in parameters])


def _check_filled(cache: KVCache, stop: int) -> None:
    """Raise CacheDeclinedError unless each layer of the cache now holds `stop` positions."""
    for i, layer in enumerate(cache.layers):
        if layer.length != stop:
            raise CacheDeclinedError(
                f"GPT: block {i} left its cache with {layer.length} positions in place of {stop}: "
                "call the model without one, with the whole sequence"
            )
