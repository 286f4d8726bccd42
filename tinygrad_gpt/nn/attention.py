"""Multi-head attention (Vaswani et al., "Attention is all you need", 2017, section 3.2.2)."""

from typing import NamedTuple

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.kv_cache import LayerCache
from tinygrad_gpt.nn.linear import Linear
from tinygrad_gpt.nn.module import Module
from tinygrad_gpt.nn.watching import is_watched, show


class KeysAndValues(NamedTuple):
    """What cross-attention makes of a source, once for all the positions that will look at it: 2 of (B, H, Ts, D)."""

    keys: Tensor
    values: Tensor


class MultiHeadAttention(Module):
    """Every position of x gathers what it looks for from the positions of a source: H heads, D = C/H channels each.

    Self-attention, the default, in which x is its own source:  attention(x)          x (B, T, C) -> (B, T, C)
    Cross-attention, with c_source given:                       attention(x, source)  source (B, Ts, c_source)

    c         channels C of x and of the result
    n_head    heads H, a divisor of C
    c_source  channels of the source; None for self-attention
    bias      whether the projections have one
    causal    whether a position sees only those up to itself
    dropout   on the attention weights
    scale     what the scores are multiplied by; None: 1/√D
    std, residual_std  standard deviations of the initial weights of q, k, v and of out; None: that of Linear
    """

    def __init__(
        self,
        c: int,
        n_head: int,
        *,
        c_source: int | None = None,
        bias: bool = True,
        causal: bool = False,
        dropout: float = 0.0,
        scale: float | None = None,
        std: float | None = None,
        residual_std: float | None = None,
    ):
        me = "MultiHeadAttention"
        c, n_head = integer(me, "c", c, low=1), integer(me, "n_head", n_head, low=1)
        if c % n_head:
            raise ValueError(f"MultiHeadAttention: expected channels that divide by {n_head} heads, got {c}")
        self.n_head, self.c_source = n_head, integer(me, "c_source", c_source, low=1, or_none=True)
        self.causal, self.dropout = flag(me, "causal", causal), number(me, "dropout", dropout, low=0, below=1)
        self.scale = number(me, "scale", scale, or_none=True)
        if c_source is None:
            self.qkv = Linear(c, 3 * c, bias, std=std)  # one product for all three: the same numbers, one larger matmul
        else:
            self.q = Linear(c, c, bias, std=std)
            self.kv = Linear(c_source, 2 * c, bias, std=std)
        self.out = Linear(c, c, bias, std=residual_std)

    def extra_repr(self) -> str:
        rest = f", causal={self.causal}" + (f", dropout={self.dropout}" if self.dropout else "")
        return f"{self.out.out_features}, n_head={self.n_head}{rest}"

    def read(self, source: Tensor) -> KeysAndValues:
        """source (B, Ts, c_source) -> its keys and values, which `forward` takes in the place of the source."""
        k, v = F.chunk(_split_heads(self.kv(source), 2 * self.n_head), 2, dim=1)  # -> 2 of (B, H, Ts, D)
        return KeysAndValues(k, v)

    def forward(
        self, x: Tensor, source: Tensor | KeysAndValues | None = None, *, mask=None, cache: LayerCache | None = None
    ) -> Tensor:
        """source  what cross-attention looks at, or the keys and values that `read` made of it; of B rows, or of a part
                of them: then each row of the source is that of several rows of x, which follow each other
        mask    boolean (True may attend) or float (added to the scores), broadcastable to (B, H, T, Ts)
        cache   of self-attention, the keys and values of earlier calls: x then holds only the new positions, which see
                the old ones too
        """
        h, shape = self.n_head, None
        if (source is None) != (self.c_source is None):
            made, got = ("cross", "none") if source is None else ("self", "one")
            raise ValueError(f"MultiHeadAttention: made for {made}-attention (see c_source), got {got} as source")
        if source is None and cache is not None:
            q, k, v = cache.extend_by_qkv(self.qkv(x))  # (B, T, 3C) -> (B, H, T, D), 2 of (B, H, T so far, D)
        elif source is None:
            qkv = _split_heads(self.qkv(x), 3 * h)  # (B, T, 3C) -> (B, 3H, T, D)
            q, k, v = F.chunk(qkv, 3, dim=1)  # -> 3 of (B, H, T, D)
        elif cache is not None:
            raise ValueError("MultiHeadAttention: a cache is for self-attention: give what `read` makes of the source")
        else:
            k, v = source if isinstance(source, KeysAndValues) else self.read(source)
            q = self.q(x)  # (B, T, C)
            if q.ndim == 3 and k.shape[0] < q.shape[0] and not self.causal:  # n sequences for each of S sources
                shape = q.shape
                if shape[0] % k.shape[0]:
                    raise ValueError(
                        "MultiHeadAttention: expected as many rows of x for each row of the source, got "
                        f"{shape[0]} rows of x and {k.shape[0]} of the source"
                    )
                q = F.reshape(q, (k.shape[0], -1, shape[-1]))  # (S n, T, C) -> (S, n T, C): no query knows another
            q = _split_heads(q, h)  # (B, T, C) -> (B, H, T, D)
        if is_watched(self):
            show(self, weights=F.attention_weights(q, k, mask, causal=self.causal, scale=self.scale))
        y = F.attention(
            q, k, v, mask, causal=self.causal, scale=self.scale, dropout=self.dropout, training=self.training
        )
        y = self.out(_join_heads(y))  # (B, H, T, D) -> (B, T, C)
        return y if shape is None else F.reshape(y, shape)


def _split_heads(x: Tensor, n_head: int) -> Tensor:
    """(B, T, H D) -> (B, H, T, D), as a view: nothing is copied."""
    if x.ndim != 3:
        raise ValueError(f"MultiHeadAttention: expected x, and a source, of shape (B, T, C), got {x.ndim} axes")
    b, t, c = x.shape
    return F.transpose(F.reshape(x, (b, t, n_head, c // n_head)), 1, 2)


def _join_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, H D); a view if the memory is laid out as (B, T, H, D), as kernels make it."""
    b, h, t, d = x.shape
    return F.reshape(F.transpose(x, 1, 2), (b, t, h * d))
