"""Attention by distance (Dai, Yang et al., "Transformer-XL: attentive language models beyond a fixed-length context",
2019, section 3.3), which Transformer-XL and XLNet share.

A GPT adds a vector to each token that says where it stands, once, before the first block. Text that is read in pieces,
with a memory of the earlier ones, has no such number: position 3 of this piece and position 3 of the last one would
look the same. So here a token's vector says nothing of its place, and each attention asks how far apart two tokens are:

    score[i, j] = ((q_i + u) · k_j  +  (q_i + w) · p_{i-j}) / √D       p_d = W_r r_d, r_d the sinusoids of distance d

                   q_i · k_j      what the query looks for, and what the key offers: plain attention
                   q_i · p_{i-j}  how far away this query looks
                   u · k_j        which keys all queries of the head like
                   w · p_{i-j}    how far away all queries of the head look

(The paper's four terms, a to d.) The distances of one query are those of the query before it, moved by one place: so
(q + w) pᵀ is one product for all queries, and `rel_shift` moves its rows. XLNet adds a third term, which asks not where
but of what kind a key is: whether it belongs to the segment of the query.

                   (q_i + s) · e_{0 or 1}   e_0 for a key of the same segment, e_1 for one of another

Softmax does not see what it adds to all scores of a query. So the code takes (q_i + s) · e_0 off all of them: a key of
the same segment gets nothing, and one of another (q_i + s) · (e_1 - e_0).
"""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number, shown
from tinygrad_gpt.array import Array, default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.linear import Linear
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.nn.watching import is_watched, show
from tinygrad_gpt.random_stream import normal


class RelativeKeys(NamedTuple):
    """What attention makes of a source and of the distances in it, once for all that looks at them.

    keys, values  (B, H, K, D)
    places        (H, R, D): p / √D of R distances, the largest first
    """

    keys: Tensor
    values: Tensor
    places: Tensor


class RelativeAttention(Module):
    """x (B, T, C), keys of a source (B, K, C) -> (B, T, C): who gathers what is decided by content and distance.

        keys = attention.read(source, r)          r (R, C): the sinusoids of R distances, which fall by one
        y = attention(x, keys, first, ...)        first: which row of r has the distance of x's first query to the
                                                  first key; so row first + j - i has that of query i to key j.
                                                  For queries that do not follow each other, (B, T) or (1, T): this row
                                                  for each; row first[b, i] + j has that of query i to key j

    c         channels C of x, of the source and of the result
    n_head    heads H
    d_head    channels D of each; None: C / H. (H D need not be C.)
    segments  whether there is the third term, for calls that say which segments differ
    dropout   on the attention weights
    std       standard deviation of the initial weights; None: that of Linear, zeros for u, w and s, and D^-½ for
              the vectors of segments
    content_bias, position_bias  u and w, (H, D) each, to share another layer's; None: its own

    The projections have no biases.
    """

    def __init__(
        self,
        c: int,
        n_head: int,
        *,
        d_head: int | None = None,
        segments: bool = False,
        dropout: float = 0.0,
        std: float | None = None,
        content_bias: Parameter | None = None,
        position_bias: Parameter | None = None,
    ):
        me = "RelativeAttention"
        c, h = integer(me, "c", c, low=1), integer(me, "n_head", n_head, low=1)
        d = integer(me, "d_head", d_head, low=1, or_none=True)
        if d is None and c % h:
            raise ValueError(f"{me}: expected channels that divide by {h} heads, got {c}: or say d_head")
        d = c // h if d is None else d
        std = number(me, "std", std, low=0, or_none=True)
        self.n_head, self.d_head, self.scale = h, d, d**-0.5
        self.dropout = number(me, "dropout", dropout, low=0, below=1)
        self.q = Linear(c, h * d, bias=False, std=std)
        self.kv = Linear(c, 2 * h * d, bias=False, std=std)
        self.r = Linear(c, h * d, bias=False, std=std)
        self.out = Linear(h * d, c, bias=False, std=std)
        self.content_bias = _bias((h, d), std, content_bias, "content_bias")
        self.position_bias = _bias((h, d), std, position_bias, "position_bias")
        # (`| Any` lets type checkers believe that the caller knows whether there are segments.)
        self.segment_bias: Parameter | Any = None
        self.segment_embedding: Parameter | Any = None
        if flag(me, "segments", segments):
            self.segment_bias = _bias((h, d), std, None, "segment_bias")
            self.segment_embedding = Parameter(normal((2, h, d), scale=d**-0.5 if std is None else std))

    def extra_repr(self) -> str:
        rest = f", dropout={self.dropout}" if self.dropout else ""
        return f"{self.out.out_features}, n_head={self.n_head}, d_head={self.d_head}{rest}"

    def read(self, source: Tensor, r: Tensor) -> RelativeKeys:
        """source (B, K, C), and r (R, C), or what `places` made of it -> what `forward` looks at."""
        return RelativeKeys(*self.keys_and_values(source), r if r.ndim == 3 else self.places(r))

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """source (B, K, C) -> its keys and values, 2 of (B, H, K, D)."""
        if source.ndim != 3:
            raise ValueError(f"RelativeAttention: expected a source of shape (B, K, C), got {tuple(source.shape)}")
        b, k = source.shape[:2]
        kv = F.reshape(self.kv(source), (b, k, 2 * self.n_head, self.d_head))  # (B, K, C) -> (B, K, 2H, D)
        keys, values = F.chunk(F.transpose(kv, 1, 2), 2, dim=1)  # -> 2 of (B, H, K, D)
        return keys, values

    def places(self, r: Tensor) -> Tensor:
        """r (R, C) -> p / √D (H, R, D)."""
        p = F.reshape(self.r(r) * self.scale, (r.shape[0], self.n_head, self.d_head))  # (R, C) -> (R, H, D)
        return F.transpose(p, 0, 1)

    def forward(
        self, x: Tensor, keys: RelativeKeys, first: int | Array, *, mask=None, different=None, causal: bool = False
    ) -> Tensor:
        """x (B, T, C) -> (B, T, C).

        mask       booleans, True where a query may attend to a key; broadcastable to (B, H, T, K)
        different  (B, T, K) or (1, T, K) booleans, True where a key belongs to another segment than the query: for
                   segments=True. None: all are of one segment, and the third term, the same for all keys, is left out
        causal     whether a query sees the keys up to its own place alone; the last query stands at the last key

        Raises ValueError for `different` without segments, and for x of another shape.
        """
        if different is not None and self.segment_embedding is None:
            raise ValueError("RelativeAttention: made without segments, got `different`")
        if x.ndim != 3:
            raise ValueError(f"RelativeAttention: expected x of shape (B, T, C), got {tuple(x.shape)}")
        (b, t), h, d = x.shape[:2], self.n_head, self.d_head
        k, v, p = keys
        q = F.reshape(self.q(x), (b, t, h, d))  # (B, T, C) -> (B, T, H, D)
        about_content = F.transpose(q + self.content_bias, 1, 2)  # -> (B, H, T, D)
        about_place = F.transpose(q + self.position_bias, 1, 2)
        bias = F.matmul(about_place, F.transpose(p, 1, 2))  # (B, H, T, D) @ (H, D, R) -> (B, H, T, R)
        if isinstance(first, int) or first.ndim == 0:
            bias = F.rel_shift(bias, int(first), k.shape[2])  # -> (B, H, T, K)
        else:
            bias = F.shift_rows(bias, first[:, np.newaxis], k.shape[2])  # first (B, T) -> (B, 1, T)
        if different is not None:
            bias = bias + self._segment_term(q, different[:, np.newaxis], mask)
        elif mask is not None:
            bias = F.where(mask, bias, -np.inf)
        if is_watched(self):
            show(self, weights=F.attention_weights(about_content, k, bias, causal=causal, scale=self.scale))
        y = F.attention(
            about_content, k, v, bias, causal=causal, scale=self.scale, dropout=self.dropout, training=self.training
        )
        y = F.reshape(F.transpose(y, 1, 2), (b, t, h * d))  # (B, H, T, D) -> (B, T, H D)
        return self.out(y)  # -> (B, T, C)

    def _segment_term(self, q: Tensor, different: Array, mask: Array | None) -> Tensor:
        """q (B, T, H, D), different (B, 1, T, K) -> (B, H, T, K), -inf where the mask is False."""
        about_kind = F.transpose(q + self.segment_bias, 1, 2)  # -> (B, H, T, D)
        same, other = self.segment_embedding  # (H, D) each
        more = F.matmul(about_kind, ((other - same) * self.scale)[:, :, np.newaxis])  # @ (H, D, 1) -> (B, H, T, 1)
        if mask is None:
            return F.where(different, more, 0.0)
        return F.where(different & mask, more, np.where(mask, 0.0, -np.inf).astype(q.dtype))


def _bias(shape: tuple[int, int], std: float | None, given: Parameter | None, name: str) -> Parameter:
    """A bias of all queries: `given`, or a new one."""
    if given is None:
        return Parameter(normal(shape, scale=std) if std else np.zeros(shape, default_dtype()))
    if not isinstance(given, Parameter):
        raise TypeError(f"RelativeAttention: expected a Parameter or None as {name}, got {shown(given)}")
    if given.shape != shape:
        raise ValueError(f"RelativeAttention: expected a {name} of shape {shape} to share, got {given.shape}")
    return given
