"""The cache of keys and values: what it gives back, and what it refuses."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.nn import KVCache

L, B, H, CAPACITY, D = 2, 3, 4, 6, 5


def new_cache() -> KVCache:
    return KVCache(L, B, H, CAPACITY, D, like=np.zeros(1, np.float32))


def rows(t: int, seed: int = 0, b: int = B) -> tg.Tensor:
    return tg.Tensor(np.random.default_rng(seed).standard_normal((b, H, t, D)).astype(np.float32))


def test_it_gives_back_all_that_it_was_given_in_views_of_one_array():
    cache = new_cache()
    first = cache.layers[1].extend(rows(2, 1), rows(2, 2))
    keys, values = cache.layers[1].extend(rows(3, 3), rows(3, 4))
    assert (keys.data == np.concatenate([rows(2, 1).data, rows(3, 3).data], axis=2)).all()
    assert (values.data == np.concatenate([rows(2, 2).data, rows(3, 4).data], axis=2)).all()
    assert keys.dtype == np.float32 and np.shares_memory(first[0].data, keys.data)
    assert cache.layers[1].length == 5 and cache.length == 0, "each layer counts its own"


def test_clearing_forgets_without_making_a_new_array():
    cache = new_cache()
    before, _ = cache.layers[0].extend(rows(6), rows(6))
    cache.clear()
    assert cache.length == 0
    after, _ = cache.layers[0].extend(rows(1, 5), rows(1, 6))
    assert after.shape == (B, H, 1, D) and np.shares_memory(before.data, after.data)


def test_a_full_cache_refuses_more_and_keeps_what_it_has():
    cache = new_cache()
    cache.layers[0].extend(rows(5), rows(5))
    with pytest.raises(ValueError, match="5 of 6 positions"):
        cache.layers[0].extend(rows(2), rows(2))
    assert cache.length == 5


def test_another_batch_size_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4, any, 5\)"):
        new_cache().layers[0].extend(rows(1, b=1), rows(1, b=1))


def test_gradients_are_refused_since_none_could_flow():
    k = rows(1)
    k.requires_grad = True
    with pytest.raises(RuntimeError, match="no_grad"):
        new_cache().layers[0].extend(k, rows(1))


def test_it_lives_where_the_model_lives():
    cache = KVCache(L, 1, H, CAPACITY, D, like=StrictArray(np.zeros(1, np.float32)))
    k = tg.Tensor(StrictArray(rows(2, b=1).data))
    keys, _ = cache.layers[0].extend(k, k)
    assert isinstance(keys.data, StrictArray) and (keys.numpy() == k.numpy()).all()
    cache.select(np.array([0, 0]))
    assert isinstance(cache.layers[0].keys, StrictArray) and cache.layers[0].keys.shape[0] == 2


@pytest.mark.parametrize("chosen", [[0, 1, 2], [2, 0, 0], [1, 1, 2], [2], [0, 2], [0, 0, 1, 1, 2, 2], [2, 1, 2, 0]])
def test_rows_are_held_as_they_are_chosen(chosen):
    cache = new_cache()
    for layer in cache.layers:
        layer.extend(rows(4, 1), rows(4, 2))
    cache.select(np.array(chosen))
    assert cache.length == 4
    new = rows(1, 3, b=len(chosen))
    for layer in cache.layers:
        keys, values = layer.extend(new, new)
        assert (keys.data == np.concatenate([rows(4, 1).data[chosen], new.data], axis=2)).all()
        assert (values.data == np.concatenate([rows(4, 2).data[chosen], new.data], axis=2)).all()


def test_rows_that_stay_are_not_copied_to_new_memory():
    cache = new_cache()
    keys, _ = cache.layers[0].extend(rows(2), rows(2))
    cache.select(np.array([0, 0, 2]))
    after, _ = cache.layers[0].extend(rows(1), rows(1))
    assert np.shares_memory(keys.data, after.data)
