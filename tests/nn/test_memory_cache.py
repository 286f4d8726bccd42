"""MemoryCache: what is kept, what is forgotten, where it lies."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.nn.memory_cache import MemoryCache

B, H, D = 2, 3, 4


def numbered(start: int, stop: int) -> tg.Tensor:
    """Keys (B, H, T, D) that say which position they are of."""
    return tg.Tensor(
        np.broadcast_to(np.arange(start, stop, dtype=float)[:, np.newaxis], (B, H, stop - start, D)).copy()
    )


def positions(x: tg.Tensor) -> list[int]:
    assert (x.data == x.data[:1, :1, :, :1]).all()
    return x.data[0, 0, :, 0].astype(int).tolist()


@pytest.mark.parametrize("capacity", [0, 1, 3, 5, 8, 100])
@pytest.mark.parametrize("memory", [0, 1, 3, 5])
def test_new_positions_see_the_last_ones_and_themselves(memory, capacity):
    cache, stop = MemoryCache(2, B, H, capacity, D, like=np.zeros(1)), 0
    for new in (2, 1, 1, 4, 1, 7, 1, 1, 1, 1):
        start, stop = stop, stop + new
        seen = list(range(max(0, start - memory), stop))
        assert cache.make_room(new, memory) == len(seen)
        for layer in cache.layers:
            for found in layer.extend(numbered(start, stop), numbered(start, stop)):
                assert positions(found) == seen


def test_rows_are_selected_and_all_is_forgotten():
    cache = MemoryCache(1, B, H, 4, D, like=np.zeros(1))
    cache.make_room(2, 3)
    (layer,) = cache.layers
    layer.extend(tg.Tensor(np.arange(B * H * 2 * D, dtype=float).reshape(B, H, 2, D)), numbered(0, 2))
    before = layer.keys[:, :, :2].copy()
    cache.select(np.array([1, 0, 1]))
    assert cache.layers[0] is layer and cache.make_room(1, 3) == 3
    new = tg.Tensor(np.zeros((3, H, 1, D)))
    np.testing.assert_array_equal(layer.extend(new, new)[0].data[:, :, :2], before[[1, 0, 1]])
    cache.clear()
    assert cache.make_room(2, 3) == 2 and cache.length == 0


def test_what_it_began_with_is_there_again_after_clear():
    """After it has grown, moved, forgotten it and taken more rows."""
    cache = MemoryCache(2, B, H, 4, D, like=np.zeros(1))
    one_row = tg.Tensor(numbered(-3, 0).data[:1])
    cache.begin_with((one_row, one_row), (one_row, one_row))
    for _ in range(2):
        rows = cache.layers[0].keys.shape[0]
        assert cache.length == 3 and cache.make_room(2, 3) == 5
        new = tg.Tensor(np.broadcast_to(numbered(0, 2).data[:1], (rows, H, 2, D)))
        for layer in cache.layers:
            for found in layer.extend(new, new):
                assert found.shape[0] == rows and positions(found) == [-3, -2, -1, 0, 1]
            layer.places = one_row
        cache.make_room(20, 0)
        assert cache.capacity == cache.layers[0].keys.shape[2] >= 20
        cache.select(np.array([0, 1, 1]))
        cache.clear()
        assert all(layer.places is None and layer.first == 0 for layer in cache.layers)
