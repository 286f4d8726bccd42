"""MemoryCache: keys and values of the last positions that a model with memory has read, for generating.

Transformer-XL's memory is what its blocks were given for the last mem_len positions, and a block makes the same keys
and values of it each time. So generation keeps these. A KVCache ends when it is full; this one forgets what the memory
would have forgotten, and goes on for ever.
"""

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.kv_cache import KVCache, LayerCache


class MemoryLayerCache(LayerCache):
    """The cache of one layer.

    first   the first position that new ones see; those before it are forgotten
    places  (H, R, D): what the layer's attention makes of R distances, the largest first; None: not yet made
    """

    __slots__ = ("first", "places")
    places: Tensor | None

    def __init__(self, keys: Array, values: Array):
        super().__init__(keys, values)
        self.first, self.places = 0, None

    def _append(self, k: Array, v: Array) -> tuple[Tensor, Tensor]:
        keys, values = super()._append(k, v)
        return keys[:, :, self.first :], values[:, :, self.first :]


class MemoryCache(KVCache):
    """One MemoryLayerCache per layer. Call `make_room` before new positions are read. `length` counts those that are
    forgotten too, as long as they lie in it."""

    _beginning: Array | None = None

    def __init__(self, n_layer: int, batch_size: int, n_head: int, capacity: int, head_size: int, *, like: Array):
        super().__init__(n_layer, batch_size, n_head, capacity, head_size, like=like)
        self.layers = [MemoryLayerCache(keys, values) for keys, values in self._everything]

    def begin_with(self, *layers: tuple[Tensor, Tensor]) -> None:
        """Forget all, and hold these positions, as after each `clear` from now on: for each layer its keys and values,
        (1, H, M, D), the same for all rows."""
        self._beginning = np.stack([np.stack([k.data, v.data]) for k, v in layers])  # as _everything
        self.clear()

    def clear(self) -> None:
        """Forget all positions but those that it began with; the memory stays."""
        super().clear()
        for layer in self.layers:
            layer.first, layer.places = 0, None
        if self._beginning is not None:
            m = self._beginning.shape[-2]
            self.make_room(m, 0)
            self._everything[..., :m, :] = self._beginning
            for layer in self.layers:
                layer.length = m

    def make_room(self, new: int, memory: int) -> int:
        """Forget all but the last `memory` positions, and make room for `new` ones: how many these will see, themselves
        included. Where there is no room left, what is remembered moves to the front: every `capacity - memory`
        positions, so that one costs little; only if even that is not enough, there is new memory."""
        kept = min(self.length, memory)
        first, before = self.length - kept, self._everything
        room = before.shape[-2]
        if self.length + new > room:
            after = before
            if kept + new > room:
                after = np.empty_like(before, shape=(*before.shape[:-2], 2 * (kept + new), before.shape[-1]))
            after[..., :kept, :] = before[..., first : first + kept, :].copy()  # old and new places may overlap
            for layer, (layer.keys, layer.values) in zip(self.layers, after, strict=True):
                layer.length = kept
            self._everything, self.capacity, first = after, after.shape[-2], 0
        for layer in self.layers:
            layer.first = first
        return kept + new
