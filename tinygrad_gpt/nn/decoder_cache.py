"""DecoderCache: what a decoder keeps while it writes after a source.

Several texts may follow one source: the beams of a sentence. Its keys and values are not copied for each of them: with
S sources and n texts for each, the n queries of a source stand side by side (see MultiHeadAttention.forward).
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.attention import KeysAndValues
from tinygrad_gpt.nn.kv_cache import KVCache, LayerCache


class DecoderLayerCache(NamedTuple):
    """own     keys and values of the positions that were written, which grow: of R texts
    source  keys and values of the sources, which stay: of S sources, each of R / S texts that follow each other
    """

    own: LayerCache
    source: KeysAndValues


class DecoderCache:
    """For each block of a decoder, the keys and values of what was written so far, and those of the source.

    sources   one KeysAndValues, 2 of (B, H, Ts, D), for each block: at first one text for each of B sources
    source_mask  (B, 1, 1, Ts) booleans, False for padding of the source; None: there is none
    capacity  positions that can be written
    like      an array of the model's kind and dtype
    """

    def __init__(
        self,
        sources: list[KeysAndValues],
        source_mask: Array | None,
        n_head: int,
        capacity: int,
        head_size: int,
        *,
        like: Array,
    ):
        rows = sources[0].keys.shape[0]
        self._written = KVCache(len(sources), rows, n_head, capacity, head_size, like=like)
        self._sources = sources
        self._source_of = np.arange(rows)  # (R,): which source each text follows
        self.source_mask = source_mask

    @property
    def layers(self) -> list[DecoderLayerCache]:
        return [DecoderLayerCache(*both) for both in zip(self._written.layers, self._sources, strict=True)]

    @property
    def length(self) -> int:
        """How many positions were written."""
        return self._written.length

    def select(self, rows: np.ndarray) -> None:
        """Keep these of the R texts: rows (R',), in this order; one that comes twice is kept twice.

        Texts that follow the same source, side by side and as many for each source, share what is kept of it.
        """
        self._written.select(rows)
        of = self._source_of[rows]
        first = np.flatnonzero(np.diff(of, prepend=-1))  # where another source begins
        counts = np.diff(first, append=len(of))
        kept = of[first] if (counts == counts[:1]).all() else of  # (S',)
        self._source_of = np.repeat(np.arange(len(kept)), len(of) // max(1, len(kept)))
        if not np.array_equal(kept, np.arange(self._sources[0].keys.shape[0])):
            kept = np.asarray(kept, like=self._sources[0].keys.data)
            self._sources = [KeysAndValues(*[Tensor(x.data[kept]) for x in source]) for source in self._sources]
            self.source_mask = None if self.source_mask is None else self.source_mask[kept]
