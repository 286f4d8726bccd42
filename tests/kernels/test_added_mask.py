"""Attention's kernel with a float mask that is added to the scores, and the mask's gradient, beside the reference."""

import numpy as np
import pytest

from tests.kernels.test_against_reference import DTYPES, assert_close, kernel, normal
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.flash import added_mask

# What the sizes of a mask (B, H, Tq, Tk) can be: its own, 1, or not there.
BROADCAST = {
    "one for each pair": lambda b, h, tq, tk: (b, h, tq, tk),
    "shared by sequences": lambda b, h, tq, tk: (1, h, tq, tk),
    "shared by heads": lambda b, h, tq, tk: (b, 1, tq, tk),
    "shared by all": lambda b, h, tq, tk: (tq, tk),
    "one row of each head": lambda b, h, tq, tk: (b, h, 1, tk),
    "one row of each sequence": lambda b, h, tq, tk: (b, 1, 1, tk),
    "one row": lambda b, h, tq, tk: (tk,),
    "one column of each head": lambda b, h, tq, tk: (b, h, tq, 1),
    "one column of each place in a head": lambda b, h, tq, tk: (h, tq, 1),
    "one column": lambda b, h, tq, tk: (tq, 1),
    "a number for each sequence": lambda b, h, tq, tk: (b, 1, 1, 1),
    "a number": lambda b, h, tq, tk: (),
}
SIZES = [(5, 7), (1, 130), (65, 65), (70, 131), (131, 70), (16, 64)]
MASKS = pytest.mark.parametrize("of", BROADCAST.values(), ids=BROADCAST)


def some_infinite(mask: np.ndarray, seed: int = 5) -> np.ndarray:
    """The mask with -inf in a fifth of it, and, where it has rows and columns, in the whole of one row and column."""
    hidden = np.random.default_rng(seed).random(mask.shape) < 0.2
    if mask.ndim >= 2:
        hidden[..., mask.shape[-2] // 2, :] |= mask.shape[-2] > 1
        hidden[..., mask.shape[-1] // 2] |= mask.shape[-1] > 1
    return np.where(hidden, -np.inf, mask).astype(mask.dtype)


def assert_right(arrays: tuple, settings: dict) -> None:
    """Kernel and reference agree. A mask that is one number for all keys moves no weight: its gradient is a sum of
    terms that cancel, and so it is compared by their size."""
    version, reference = registry.choose("attention", arrays, settings), registry.reference("attention")
    assert version.name == "numba"
    (y, saved), (right, right_saved) = (pair.forward(*arrays, **settings) for pair in (version, reference))
    dy = normal(y.shape, y.dtype, seed=99)
    tolerance = 1e-11 if y.dtype == np.float64 else 3e-5
    *gradients, dmask = version.backward(dy, saved)
    *wanted, right_dmask = reference.backward(dy, right_saved)
    for got, one in zip([y, *gradients], [right, *wanted], strict=True):
        assert_close(got, one, tolerance)
    assert dmask.shape == right_dmask.shape == arrays[3].shape and dmask.dtype == y.dtype
    assert np.abs(dmask - right_dmask).max() <= tolerance * max(1, np.abs(right_dmask).max())


@DTYPES
@MASKS
@pytest.mark.parametrize("tq, tk", SIZES)
def test_of_every_shape(dtype, of, tq, tk):
    b, h, d = 2, 3, 20
    q, k, v = (normal((b, h, t, d), dtype, i) for i, t in enumerate((tq, tk, tk)))
    mask = np.asarray(normal(of(b, h, tq, tk), dtype, 3))
    for causal in (False, True):
        assert_right((q, k, v, mask), {"causal": causal})
    assert_right((q, k, v, some_infinite(mask)), {})
    assert_right((q, k, v, some_infinite(mask)), {"causal": True, "dropout": 0.3, "seed": 7})


@DTYPES
@MASKS
@pytest.mark.parametrize("b, h", [(1, 1), (5, 1), (1, 5), (7, 11)])
def test_shared_by_few_heads_and_many(dtype, of, b, h):
    """With few heads the queries are dealt out in chunks; with many, heads that share a mask are dealt in groups."""
    q, k, v = (normal((b, h, t, 4), dtype, i) for i, t in enumerate((150, 70, 70)))
    mask = some_infinite(np.asarray(normal(of(b, h, 150, 70), dtype, 3)))
    for settings in ({}, {"causal": True, "dropout": 0.3, "seed": 7}):
        assert_right((q, k, v, mask), settings)


@DTYPES
@pytest.mark.parametrize("t", [2, 7, 700])
def test_one_query(dtype, t, monkeypatch):
    monkeypatch.setattr(kernel("attention"), "_forward", None)  # not the kernel for many queries
    q, k, v = normal((3, 2, 1, 20), dtype), normal((3, 2, t, 20), dtype, 1), normal((3, 2, t, 20), dtype, 2)
    mask = normal((3, 2, 1, t), dtype, 3)
    mask[1, 0, 0, t // 2 :] = mask[2, 1] = -np.inf
    for one in (mask, mask[:, :1], mask[0], mask[..., ::-1], mask[..., :1], mask[0, 0, 0]):
        assert_right((q, k, v, one), {"causal": True})


@DTYPES
def test_wherever_it_lies(dtype):
    q, k, v = (normal((2, 3, t, 9), dtype, i) for i, t in enumerate((35, 70, 70)))
    wide = normal((2, 3, 35, 170), dtype, 3)
    for mask in (
        wide[..., 3:73],  # rows that are far apart
        wide[..., 30:170:2],  # and columns
        wide[:, ::-1, ::-1, 70:0:-1],
        wide.reshape(2, 3, 170, 35)[:, :, :70].swapaxes(2, 3),
        np.broadcast_to(wide[:1, :, :1, :70], (2, 3, 35, 70)),  # views that say each number often
        np.broadcast_to(wide[..., :1], (2, 3, 35, 70)),
        F.rel_shift(wide[..., :105], 35, 70).data,
    ):
        for causal in (False, True):
            assert_right((q, k, v, mask), {"causal": causal})


def test_padding_of_minus_infinity_is_not_read():
    """As with a boolean mask, keys at the end that one row hides from all queries reach nothing."""
    q, k, v, dy = (normal((4, 2, 70, 20), np.float32, i) for i in range(4))
    real = np.arange(70) < np.array([70, 64, 33, 0])[:, np.newaxis]
    mask = np.where(real, 0.5, -np.inf).astype(np.float32)[:, np.newaxis, np.newaxis]
    attention = kernel("attention")
    y, saved = attention.forward(q, k, v, mask)
    right = [y, *attention.backward(dy, saved)]
    for x in (k, v):
        x.swapaxes(1, 2)[~real] = np.nan
    y, saved = attention.forward(q, k, v, mask)
    for got, wanted in zip([y, *attention.backward(dy, saved)], right, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert not right[4][~real[:, np.newaxis, np.newaxis]].any() and right[4].any()


@pytest.mark.parametrize("t", [5, 70])
def test_what_no_query_sees_has_no_gradient(t):
    q, k, v, dy = (normal((1, 2, t, 8), np.float32, i) for i in range(4))
    mask = normal((1, 2, t, t), np.float32, 4)
    mask[0, 1, 3] = -np.inf
    y, saved = kernel("attention").forward(q, k, v, mask, causal=True)
    _, _, _, dmask = kernel("attention").backward(dy, saved)
    assert not dmask[:, :, *np.triu_indices(t, 1)].any() and not dmask[0, 1, 3].any() and not y[0, 1, 3].any()
    assert dmask[0, :, 4, :4].all()


def test_what_hides_more_than_a_mask_adds():
    """An infinite or undefined number in the mask does not reach a query that a causal mask hides it from."""
    q, k, v = (normal((1, 1, 70, 8), np.float32, i) for i in range(3))
    mask = normal((70, 70), np.float32, 4)
    mask[np.triu_indices(70, 1)] = np.tile([np.nan, np.inf, -np.inf], 805)
    assert_right((q, k, v, mask), {"causal": True})


def test_a_mask_that_stands_for_many_adds_up_as_exactly_as_the_reference():
    q, k, v = (normal((64, 8, 9, 4), np.float32, i) for i in range(3))
    mask, dy = normal((9, 9), np.float32, 3), normal((64, 8, 9, 4), np.float32, 4)
    _, saved = kernel("attention").forward(q, k, v, mask)
    got = kernel("attention").backward(dy, saved)[3]
    _, saved = kernel("attention").forward(*(x.astype(np.float64) for x in (q, k, v, mask)))
    assert_close(got.astype(np.float64), kernel("attention").backward(dy.astype(np.float64), saved)[3], 2e-6)


def test_parts_do_not_depend_on_more_than_shapes():
    q = np.empty((6, 8, 100, 4), np.float32)

    def shape(*sizes, chunks=1):
        return added_mask.new_parts(np.empty(sizes, np.float32), q, 70, chunks).shape

    assert shape(6, 8, 100, 70) == (1, 6, 8, 100, 70), "no two heads share it"
    assert shape(100, 70) == (32, 1, 1, 100, 70)
    assert shape(8, 100, 70) == (4, 1, 8, 100, 70)
    assert shape(6, 1, 1, 70) == (6, 6, 1, 1, 70)
    assert shape(6, 1, 1, 70, chunks=2) == (12, 6, 1, 1, 70)
    assert shape(6, 1, 100, 1, chunks=2) == (6, 6, 1, 100, 1), "chunks have queries of their own"


def test_a_mask_is_read_where_it_is_and_has_its_gradient_on_the_tape():
    q, mask = Tensor(normal((2, 3, 5, 4), np.float32), requires_grad=True), Tensor(normal((3, 5, 5), np.float32))
    y = F.attention(q, q, q, mask)
    assert y.node.version.name == "numba" and y.node.saved[3] is mask.data
    mask.requires_grad = True
    F.attention(q, q, q, mask * 2.0).sum().backward()
    assert mask.grad.shape == (3, 5, 5) and mask.grad.any()


def test_a_mask_that_no_longer_fits_is_an_error():
    q, mask = (Tensor(np.ones(shape, np.float32), requires_grad=True) for shape in ((1, 1, 3, 4), (3, 3)))
    y = F.attention(q, q, q, mask).sum()
    mask.data.resize((3000, 3), refcheck=False)
    with pytest.raises(
        ValueError, match=r"attention: expected a mask that broadcasts to \(1, 1, 3, 3\), got \(3000, 3\)"
    ):
        y.backward()
