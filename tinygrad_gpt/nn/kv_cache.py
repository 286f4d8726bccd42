"""KVCache: the keys and values of the positions that a causal model has already seen.

They do not change when positions follow, since a causal model's past never looks at its future. So generation keeps
them: a new position computes its own query, key and value, and attends to the cache.
"""

import numpy as np

from tinygrad_gpt.arguments import integer
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor


class CacheDeclinedError(RuntimeError):
    """A model was given a cache, and a part of it did not use it: what it computes next would be wrong."""


class LayerCache:
    """The cache of one attention layer: keys and values (B, H, capacity, D), filled up to `length`."""

    __slots__ = ("keys", "length", "values")

    def __init__(self, keys: Array, values: Array):
        self.keys, self.values, self.length = keys, values, 0

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new positions, (B, H, T, D); returns those of all positions so far, as views.

        Raises RuntimeError while gradients are recorded (none can flow through a cache), ValueError for another batch
        or head shape, and when there are more positions than the cache has room for.
        """
        _refuse_gradients(k, v)
        return self._append(k.data, v.data)

    def extend_by_qkv(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Append new positions, given as one linear layer makes queries, keys and values: qkv (B, T, 3 H D). Returns
        the new queries (B, H, T, D), and all keys and values so far. (Plain arrays: three ops less for each token.)
        """
        _refuse_gradients(qkv)
        b, t, c = qkv.shape
        h = self.keys.shape[1]
        q, k, v = qkv.data.reshape(b, t, 3, h, c // (3 * h)).transpose(2, 0, 3, 1, 4)  # -> 3 of (B, H, T, D)
        return Tensor(q), *self._append(k, v)

    def _append(self, k: Array, v: Array) -> tuple[Tensor, Tensor]:
        b, h, capacity, d = self.keys.shape
        start, stop = self.length, self.length + k.shape[2]
        if k.shape != (b, h, stop - start, d):
            raise ValueError(f"KVCache: made for (B, H, T, D) = ({b}, {h}, any, {d}), got {k.shape}")
        if stop > capacity:
            raise ValueError(f"KVCache: it holds {start} of {capacity} positions, no room for {stop - start} more")
        self.keys[:, :, start:stop] = k
        self.values[:, :, start:stop] = v
        self.length = stop
        return Tensor(self.keys[:, :, :stop]), Tensor(self.values[:, :, :stop])


def _refuse_gradients(*new: Tensor) -> None:
    if any([x.requires_grad for x in new]):
        raise RuntimeError("KVCache: no gradient can flow through a cache: call the model inside no_grad()")


class KVCache:
    """One LayerCache per layer, all in one array that is made once: a new token writes its row, and nothing moves.

    like  an array of the model's kind and dtype
    """

    def __init__(self, n_layer: int, batch_size: int, n_head: int, capacity: int, head_size: int, *, like: Array):
        shape = dict(n_layer=n_layer, batch_size=batch_size, n_head=n_head, capacity=capacity, head_size=head_size)
        n_layer, batch_size, n_head, capacity, head_size = [integer("KVCache", *n, low=0) for n in shape.items()]
        # layers, keys and values, B, H, capacity, D
        self._everything = np.empty_like(like, shape=(n_layer, 2, batch_size, n_head, capacity, head_size))
        self.layers = [LayerCache(keys, values) for keys, values in self._everything]
        self.capacity = capacity

    @property
    def length(self) -> int:
        """How many positions lie in it."""
        return self.layers[0].length

    def clear(self) -> None:
        """Forget all positions; the memory stays."""
        for layer in self.layers:
            layer.length = 0

    def select(self, rows: np.ndarray) -> None:
        """Keep these of the B sequences: rows (R,), in this order; one that comes twice is kept twice.

        Sequences that keep their place are not copied, and only more than B need new memory.
        """
        before, places = self._everything, np.arange(len(rows))
        layers, two, b, h, capacity, d = before.shape
        if len(rows) > b:
            after, moved = np.empty_like(before, shape=(layers, two, len(rows), h, capacity, d)), places
        else:
            after, moved = before[:, :, : len(rows)], np.flatnonzero(rows != places)
        to, source = (np.asarray(x, like=before) for x in (moved, rows[moved]))
        for layer, old, new in zip(self.layers, before, after, strict=True):
            new[:, to, :, : layer.length] = old[:, source, :, : layer.length]  # (2, R, H, T so far, D)
            layer.keys, layer.values = new
        self._everything = after
