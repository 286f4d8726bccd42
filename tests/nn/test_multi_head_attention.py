"""Multi-head attention against one head at a time in NumPy; cross-attention, masks, cache."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.nn import KVCache, MultiHeadAttention
from tinygrad_gpt.nn.attention import _join_heads, _split_heads


def layer(**settings) -> MultiHeadAttention:
    made = MultiHeadAttention(6, 3, **settings).to(np.float64)
    rng = np.random.default_rng(0)
    for p in made.parameters():
        p.data[...] = rng.normal(0, 0.7, p.shape)
    return made


def array(*shape, seed=1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def by_hand(attention, x, source, may_attend) -> np.ndarray:
    """One sequence and one head at a time, from the definition."""
    if hasattr(attention, "qkv"):
        w, b = attention.qkv.weight.data, attention.qkv.bias.data
        wq, wk, wv, bq, bk, bv = *np.split(w, 3), *np.split(b, 3)
    else:
        wq, bq = attention.q.weight.data, attention.q.bias.data
        (wk, wv), (bk, bv) = np.split(attention.kv.weight.data, 2), np.split(attention.kv.bias.data, 2)
    d = x.shape[-1] // attention.n_head
    y = np.zeros_like(x)
    for b in range(len(x)):
        for h in range(attention.n_head):
            rows = slice(h * d, (h + 1) * d)
            q = x[b] @ wq[rows].T + bq[rows]
            k = source[b] @ wk[rows].T + bk[rows]
            v = source[b] @ wv[rows].T + bv[rows]
            for i in range(len(q)):
                weights = np.exp(k @ q[i] / np.sqrt(d)) * may_attend[b, i]
                y[b, i, rows] = weights / weights.sum() @ v
    return y @ attention.out.weight.data.T + attention.out.bias.data


def test_self_attention_full_and_causal():
    x = array(2, 5, 6)
    everything = np.ones((2, 5, 5), bool)
    attention = layer()
    np.testing.assert_allclose(attention(tg.Tensor(x)).data, by_hand(attention, x, x, everything), rtol=1e-10)
    attention = layer(causal=True)
    np.testing.assert_allclose(attention(tg.Tensor(x)).data, by_hand(attention, x, x, np.tril(everything)), rtol=1e-10)


def test_cross_attention_looks_at_another_sequence_with_other_channels():
    x, source = array(2, 5, 6), array(2, 7, 4, seed=2)
    attention = layer(c_source=4)
    expected = by_hand(attention, x, source, np.ones((2, 5, 7), bool))
    np.testing.assert_allclose(attention(tg.Tensor(x), tg.Tensor(source)).data, expected, rtol=1e-10)
    assert [name for name, _ in attention.named_parameters()][:4] == ["q.weight", "q.bias", "kv.weight", "kv.bias"]


def test_a_padding_mask_hides_positions_of_each_sequence():
    x = array(2, 5, 6)
    real = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    attention = layer()
    y = attention(tg.Tensor(x), mask=real[:, None, None, :]).data  # (B, 1, 1, Tk)
    expected = by_hand(attention, x, x, np.broadcast_to(real[:, None, :], (2, 5, 5)))
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    short = attention(tg.Tensor(x[:1, :3])).data
    np.testing.assert_allclose(y[:1, :3], short, rtol=1e-10)


def test_dropout_on_the_weights_in_training_only():
    x = tg.Tensor(array(2, 5, 6))
    attention = layer(dropout=0.5)
    assert (attention(x).data != attention(x).data).any()
    attention.eval()
    assert (attention(x).data == attention(x).data).all()


@pytest.mark.parametrize("pieces", [(5,), (1, 1, 1, 1, 1), (2, 3), (3, 1, 1)])
def test_a_cache_gives_what_the_whole_sequence_gives(pieces):
    attention = layer(causal=True)
    x = array(2, 5, 6)
    whole = attention(tg.Tensor(x)).data
    cache = KVCache(1, 2, 3, 8, 2, like=x)
    start = 0
    with tg.no_grad():
        for size in pieces:
            part = attention(tg.Tensor(x[:, start : start + size]), cache=cache.layers[0]).data
            np.testing.assert_allclose(part, whole[:, start : start + size], rtol=1e-10)
            start += size
            assert cache.length == start


def test_heads_are_views_so_that_nothing_is_copied_on_the_way_to_the_kernel():
    """T-6: and each holds its own channels of all positions, not all channels of some."""
    x = tg.Tensor(array(2, 5, 6))
    heads = _split_heads(x, 3)
    assert heads.shape == (2, 3, 5, 2)
    assert (heads.data[:, 1] == x.data[:, :, 2:4]).all()
    joined = _join_heads(heads)  # whose memory is laid out as a kernel lays out its result
    assert (joined.data == x.data).all()
    assert np.shares_memory(heads.data, x.data) and np.shares_memory(joined.data, x.data)


def test_a_source_goes_with_cross_attention_only():
    x = tg.Tensor(array(2, 5, 6))
    with pytest.raises(ValueError, match=r"made for self-attention .* got one as source"):
        layer()(x, x)
    with pytest.raises(ValueError, match=r"made for cross-attention .* got none as source"):
        layer(c_source=4)(x)


def test_each_row_of_a_source_is_that_of_as_many_rows():
    """x (6, 2, 6) has as many numbers as 4 rows of 3 positions, and none of them is a sequence of x."""
    attention = layer(c_source=4)
    x, source = tg.Tensor(array(6, 2, 6)), tg.Tensor(array(4, 5, 4))
    with pytest.raises(ValueError, match="as many rows of x for each row of the source, got 6 rows of x and 4 of the"):
        attention(x, source)
    assert attention(x, tg.Tensor(array(3, 5, 4))).shape == (6, 2, 6)


def test_what_was_read_of_a_source_takes_its_place_and_passes_gradients_on():
    x, source = array(2, 5, 6), array(2, 7, 4, seed=2)
    attention, dy = layer(c_source=4), array(2, 5, 6, seed=3)
    gradients = []
    for read in (False, True):
        attention.zero_grad()
        leaf = tg.Tensor(source, requires_grad=True)
        given = attention.read(leaf) if read else leaf
        y = attention(tg.Tensor(x), given)
        y.backward(dy)
        gradients.append([y.data, leaf.grad, *[p.grad for p in attention.parameters()]])
    for direct, by_reading in zip(*gradients, strict=True):
        np.testing.assert_array_equal(by_reading, direct)
    keys, values = attention.read(tg.Tensor(source))
    assert keys.shape == values.shape == (2, 3, 7, 2)
    both = np.concatenate([y.data.swapaxes(1, 2).reshape(2, 7, 6) for y in (keys, values)], axis=-1)
    np.testing.assert_allclose(both, source @ attention.kv.weight.data.T + attention.kv.bias.data, rtol=1e-10)


def test_a_cache_is_for_self_attention_only():
    cache = KVCache(1, 2, 3, 8, 2, like=array(1))
    with tg.no_grad(), pytest.raises(ValueError, match="a cache is for self-attention: give what `read` makes"):
        layer(c_source=4)(tg.Tensor(array(2, 5, 6)), tg.Tensor(array(2, 7, 4)), cache=cache.layers[0])
