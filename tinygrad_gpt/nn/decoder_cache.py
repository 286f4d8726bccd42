"""DecoderCache: what a decoder keeps while it writes after a source."""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.nn.attention import KeysAndValues
from tinygrad_gpt.nn.kv_cache import KVCache, LayerCache


class DecoderLayerCache(NamedTuple):
    """own     keys and values of the positions that were written, which grow
    source  keys and values of the source, which stay
    """

    own: LayerCache
    source: KeysAndValues


class DecoderCache:
    """For each block of a decoder, the keys and values of what was written so far, and those of the source.

    sources   one KeysAndValues, 2 of (B, H, Ts, D), for each block
    capacity  positions that can be written
    like      an array of the model's kind and dtype
    """

    def __init__(self, sources: list[KeysAndValues], n_head: int, capacity: int, head_size: int, *, like: Array):
        self._written = KVCache(len(sources), sources[0].keys.shape[0], n_head, capacity, head_size, like=like)
        self._sources = sources

    @property
    def layers(self) -> list[DecoderLayerCache]:
        return [DecoderLayerCache(*both) for both in zip(self._written.layers, self._sources, strict=True)]

    @property
    def length(self) -> int:
        """How many positions were written."""
        return self._written.length

    def select(self, rows: np.ndarray) -> None:
        """Keep these of the B sequences: rows (R,), in this order; one that comes twice is kept twice."""
        self._written.select(rows)
        self._sources = [KeysAndValues(source.keys[rows], source.values[rows]) for source in self._sources]
