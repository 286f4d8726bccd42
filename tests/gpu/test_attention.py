"""Attention on the GPU: every way of computing products against the reference on the CPU, in all shapes and layouts."""

import math
from unittest import mock

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.gpu.on_gpu import emulated, to_cpu, to_gpu
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import attention as reference

UNIT = {"BF16": 2.0**-8, "TF32": 2.0**-11}  # the largest relative error of rounding


def normal(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def qkv_and_dy(b, h, tq, tk, d, dtype=np.float32):
    return tuple(normal((b, h, t, d), dtype, seed) for seed, t in enumerate((tq, tk, tk, tq)))


def computed(way, q, k, v, dy, mask=None, **settings):
    """y, dq, dk, dv and, where a mask is added, dmask of one WAY (warp_matrix.cuh), on the CPU again."""
    from tinygrad_gpt.kernels.cuda import attention

    q, k, v, dy, mask = to_gpu((q, k, v, dy, mask))
    with mock.patch.object(attention, "way_in", lambda precision, q: way):
        y, saved = attention.forward(q, k, v, mask, **settings)
    *gradients, dmask = attention.backward(dy, saved)
    assert (dmask is None) == (mask is None or mask.dtype == bool)
    return to_cpu((y, *gradients) if dmask is None else (y, *gradients, dmask))


def right(q, k, v, dy, mask=None, **settings):
    """The same by the reference in float64."""
    q, k, v, dy = (x.astype(np.float64) for x in (q, k, v, dy))
    mask = mask if mask is None or mask.dtype == bool else mask.astype(np.float64)
    y, saved = reference.forward(q, k, v, mask, **settings)
    return (y, *[gradient for gradient in reference.backward(dy, saved) if gradient is not None])


def assert_right(way, *arrays, tolerance=None, **settings):
    tolerance = tolerance or (1e-13 if arrays[0].dtype == np.float64 else 2e-6)
    for got, wanted in zip(computed(way, *arrays, **settings), right(*arrays, **settings), strict=True):
        assert (got.dtype, got.shape) == (arrays[0].dtype, wanted.shape)
        # A sum of many numbers is as exact as its largest; where terms cancel, as in dq of a single key, those count.
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max(initial=0)))


def assert_right_within_rounding(way, q, k, v, dy, mask=None, **settings):
    """Errors of a way that rounds are within what rounding explains, element by element.

    With q, k, v and dy rounded beforehand, the scores are right. A weight is off by a UNIT u of itself when it is
    rounded, dS likewise, and dy · y by what y is off and by what rounding dy took from it:

        |Δy|  <= u Z |v|                    |Δdv| <= u Zᵀ |dy|
        |ΔdS| <= u |dS| + P · |Δ(dy · y)|,  |Δ(dy · y)| <= u |dy| · |y| + |dy| · |Δy|
    """
    u, settings = UNIT[way], {"scale": 1 / math.sqrt(q.shape[-1]), "dropout": 0.0, "seed": 0} | settings
    got = computed(way, q, k, v, dy, mask, **settings)
    q, k, v, dy = (rounded(way, x).astype(np.float64) for x in (q, k, v, dy))
    wanted = right(q, k, v, dy, mask, **settings)
    p = reference.weights(q, k, mask, settings.get("causal", False), settings["scale"])
    z, turned = reference._drop(p, settings["dropout"], settings["seed"]), (0, 1, 3, 2)
    dp = reference._drop(dy @ v.transpose(turned), settings["dropout"], settings["seed"])
    ds = p * (dp - np.sum(p * dp, axis=-1, keepdims=True))
    y_off = u * z @ np.abs(v)
    dot_off = np.sum(np.abs(dy) * (u * np.abs(wanted[0]) + y_off), axis=-1, keepdims=True)
    ds_off = (u * np.abs(ds) + p * dot_off) * settings["scale"]
    off = (y_off, ds_off @ np.abs(k), ds_off.transpose(turned) @ np.abs(q), u * z.transpose(turned) @ np.abs(dy))
    for result, should_be, allowed in zip(got, wanted, off, strict=True):
        assert (np.abs(result - should_be) <= 1.01 * allowed + 2e-6 * max(1, np.abs(should_be).max())).all()
    assert np.abs(got[0] - wanted[0]).max() > 1e-5 or z.max() in (0, 1), "nothing was rounded"


def rounded(way, x):
    bits = x.view(np.uint32).astype(np.int64)
    to_even, away = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000, (bits + 0x1000) & 0xFFFFE000
    bits = to_even if way == "BF16" else away
    return bits.astype(np.uint32).view(np.float32)


# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tq, tk", [(5, 5), (16, 31), (33, 32), (65, 64), (129, 97), (40, 130), (130, 40)])
def test_around_the_sizes_of_tiles(tq, tk, causal):
    assert_right("SPLIT_TF32", *qkv_and_dy(1, 2, tq, tk, 64), causal=causal)
    for way in UNIT:
        assert_right_within_rounding(way, *qkv_and_dy(1, 2, tq, tk, 64), causal=causal)


@pytest.mark.parametrize("d", [1, 5, 16, 32, 40, 128, 240])
def test_head_sizes(d):
    arrays = qkv_and_dy(2, 1, 20, 37, d)
    assert_right("SPLIT_TF32", *arrays, causal=True)
    if 16 <= d <= 128:
        assert_right_within_rounding("BF16", *arrays, causal=True)
    if d == 40:
        assert_right_within_rounding("TF32", *arrays, causal=True)
    if d <= 32:
        assert_right("FMA_UNITS", *(x.astype(np.float64) for x in arrays), causal=True)


def test_float64_over_several_tiles():
    assert_right("FMA_UNITS", *qkv_and_dy(1, 2, 70, 67, 20, np.float64), causal=True)
    assert_right("FMA_UNITS", *qkv_and_dy(1, 1, 40, 70, 20, np.float64), dropout=0.3, seed=5)


def masks():
    """Boolean masks for (B, H, Tq, Tk) = (2, 3, 35, 66), some of whose rows see nothing."""
    some = np.random.default_rng(1).random((2, 3, 35, 66)) > 0.6
    some[0, 1, 3] = some[1, 2] = False
    padding = np.arange(66) < np.array([66, 7])[:, None]
    return {"each pair": some, "one of each head": some[:, :, :1, :1], "padding": padding[:, None, None, :],
            "two axes": some[0, 0], "turned": some.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2)}  # fmt: skip


@pytest.mark.parametrize("name", masks())
@pytest.mark.parametrize("causal", [False, True])
def test_masks(name, causal):
    arrays, mask = qkv_and_dy(2, 3, 35, 66, 16), masks()[name]
    assert_right("SPLIT_TF32", *arrays, mask, causal=causal)
    assert_right_within_rounding("BF16", *arrays, mask, causal=causal)


ADDED = {
    "each pair": (2, 3, 35, 66), "shared by sequences": (3, 35, 66), "shared by heads": (2, 1, 35, 66),
    "one row": (66,), "one row of each sequence": (2, 1, 1, 66), "one column": (35, 1),
}  # fmt: skip


@pytest.mark.parametrize("shape", ADDED.values(), ids=ADDED)
@pytest.mark.parametrize("causal", [False, True])
def test_added_masks(shape, causal):
    arrays, mask = qkv_and_dy(2, 3, 35, 66, 16), np.asarray(normal(shape, seed=7))
    assert_right("SPLIT_TF32", *arrays, mask, causal=causal)
    mask = np.where(np.random.default_rng(1).random(shape) > 0.6, mask, -np.inf).astype(np.float32)
    if 35 in shape:
        mask[..., 3, :] = -np.inf
    assert_right("SPLIT_TF32", *arrays, mask, causal=causal, scale=0.3, dropout=0.2, seed=5)
    assert_right("FMA_UNITS", *(x.astype(np.float64) for x in (*arrays, mask)), causal=causal)


def test_added_masks_of_wide_heads_and_wherever_they_lie():
    mask = normal((1, 2, 66, 80), seed=7)
    for way in ("SPLIT_TF32", "FMA_UNITS"):
        arrays = qkv_and_dy(1, 2, 20, 37, 240)  # blocks share the columns of a result
        assert_right(way, *arrays, mask[..., :20, :37], causal=True)
        assert_right(way, *arrays, mask[..., :37, 20:40].swapaxes(2, 3)[..., ::-1, :])


def test_few_queries_with_an_added_mask():
    from tinygrad_gpt.kernels.cuda import attention

    for tq in (1, 3):
        q, k, v, _ = qkv_and_dy(2, 3, tq, 150, 32)
        mask = np.where(normal((2, 1, tq, 150), seed=1) > 1, -np.inf, normal((2, 1, tq, 150), seed=2)).astype("f4")
        y, _ = attention.forward(*to_gpu((q, k, v, mask)), causal=True)
        np.testing.assert_allclose(to_cpu(y), reference.forward(q, k, v, mask, causal=True)[0], atol=2e-6)


def test_a_row_that_sees_nothing_is_0_and_so_are_its_gradients():
    mask = np.ones((1, 1, 6, 6), bool)
    mask[0, 0, 2] = mask[0, 0, :, 4] = False
    for way in ("SPLIT_TF32", "BF16", "FMA_UNITS"):
        y, dq, dk, dv = computed(way, *qkv_and_dy(1, 1, 6, 6, 16), mask)
        assert not y[0, 0, 2].any() and not dq[0, 0, 2].any() and y[0, 0, 3].all()
        assert not dk[0, 0, 4].any() and not dv[0, 0, 4].any() and dv[0, 0, 3].all()


@pytest.mark.parametrize("way", ["SPLIT_TF32", "FMA_UNITS"])
def test_dropout_drops_what_the_reference_drops(way):
    settings = {"dropout": 0.4, "seed": 2**62 + 5, "causal": True}
    assert_right(way, *qkv_and_dy(2, 3, 35, 35, 16), **settings)
    assert_right(way, *qkv_and_dy(2, 3, 1, 35, 16), **settings)  # also a single query
    assert_right_within_rounding("BF16", *qkv_and_dy(2, 3, 35, 50, 16), **settings)


def test_scale_and_large_scores():
    assert_right("SPLIT_TF32", *qkv_and_dy(1, 2, 9, 40, 16), scale=0.03)
    assert_right("SPLIT_TF32", *qkv_and_dy(1, 2, 9, 40, 16), scale=30.0, tolerance=1e-4)  # of scores up to 500
    assert_right("FMA_UNITS", *qkv_and_dy(1, 2, 9, 40, 16, np.float64), scale=200.0, tolerance=1e-11)


@pytest.mark.parametrize("tq, tk", [(0, 3), (3, 0), (7, 0), (0, 0)])
def test_no_queries_or_no_keys(tq, tk):
    for b in (0, 2):
        y, dq, dk, dv = computed("SPLIT_TF32", *qkv_and_dy(b, 1, tq, tk, 16))
        assert (y.shape, dq.shape, dk.shape, dv.shape) == ((b, 1, tq, 16), (b, 1, tq, 16), *[(b, 1, tk, 16)] * 2)
        assert not y.any() and not dq.any() and not dk.any() and not dv.any()


def test_nan_stays_visible():
    q, k, v, dy = qkv_and_dy(2, 2, 40, 40, 16)
    k[0, 0, 3, 2] = np.nan
    y = computed("SPLIT_TF32", q, k, v, dy, causal=True)[0]
    assert np.isnan(y[0, 0, 3:]).all() and np.isfinite(y[0, 0, :3]).all()
    assert np.isfinite(y[0, 1]).all() and np.isfinite(y[1]).all()


# --- few queries -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tq", [1, 3])
@pytest.mark.parametrize("tk", [1, 15, 64, 150])
def test_few_queries_look_at_a_cache(tq, tk, monkeypatch):
    from tinygrad_gpt.kernels.cuda import attention
    from tinygrad_gpt.kernels.cuda.flash import one_query

    cache = normal((2, 2, 3, 160, 32), seed=9)  # keys and values, B, H, capacity, D
    q, dy = normal((2, 3, tq, 32)), normal((2, 3, tq, 32), seed=3)
    k, v = cache[:, :, :, :tk]
    assert_right("SPLIT_TF32", q, k, v, dy, causal=True)
    mask = np.random.default_rng(1).random((2, 1, tq, tk)) > 0.3
    for keys in (64, 20):  # for each block: of one, and of several
        monkeypatch.setattr(one_query, "KEYS_OF_A_BLOCK", keys)
        y, _ = attention.forward(*to_gpu((q, k, v, mask)), causal=True)
        np.testing.assert_allclose(to_cpu(y), reference.forward(q, k, v, mask, causal=True)[0], atol=2e-6)


@pytest.mark.parametrize("d, dtype", [(5, "f8"), (8, "f8"), (5, "f4"), (64, "f4"), (240, "f4")])
def test_few_queries_of_all_head_sizes(d, dtype):
    from tinygrad_gpt.kernels.cuda import attention

    q, k, v, _ = qkv_and_dy(1, 2, 2, 37, d, dtype)
    y, _ = attention.forward(*to_gpu((q, k, v)))
    tolerance = 1e-13 if dtype == "f8" else 2e-6
    np.testing.assert_allclose(to_cpu(y), reference.forward(q, k, v)[0], atol=tolerance)


# --- layout ------------------------------------------------------------------------------------------------------


def test_the_fused_qkv_is_read_where_it_is_and_heads_are_joined_without_moving_them():
    qkv = Tensor(to_gpu(normal((2, 9, 3 * 4 * 16))), requires_grad=True)
    heads = F.chunk(F.transpose(F.reshape(qkv, (2, 9, 12, 16)), 1, 2), 3, dim=1)
    y = F.attention(*heads, causal=True)
    assert y.data.transpose(0, 2, 1, 3).flags.c_contiguous
    y.sum().backward()
    q, k, v = (to_cpu(x.data) for x in heads)
    _, *wanted = right(q, k, v, np.ones_like(q), causal=True)
    fused = np.stack(wanted).transpose(1, 3, 0, 2, 4).reshape(2, 9, -1)
    np.testing.assert_allclose(to_cpu(qkv.grad), fused, atol=2e-6)


def test_gradients_lie_in_one_array_as_the_fused_qkv_does():
    from tinygrad_gpt.kernels.cuda import attention

    q, k, v, dy = to_gpu(qkv_and_dy(2, 3, 9, 9, 16))
    dq, dk, dv, _ = attention.backward(dy, attention.forward(q, k, v)[1])
    row = 3 * 3 * 16 * 4  # bytes
    assert dq.strides == dk.strides == dv.strides == (9 * row, 16 * 4, row, 4)
    assert dk.data.ptr - dq.data.ptr == dv.data.ptr - dk.data.ptr == row // 3


def test_other_layouts():
    b, h, tq, tk, d = 2, 2, 19, 37, 16
    q, k, v, dy = qkv_and_dy(b, h, tq, tk, d)
    wide = normal((b, h, tk, 2 * d + 1), seed=5)
    assert_right("SPLIT_TF32", q, wide[..., 1 : d + 1], wide[..., d + 1 :], dy)  # rows not at multiples of 16 bytes
    assert_right("SPLIT_TF32", q[:, ::-1], k[:, :, ::-1], v[::-1], dy[:, :, ::-1], causal=True)  # backwards
    every_other = normal((b, h, tk, 2 * d), seed=6)[..., ::2]
    assert_right("SPLIT_TF32", q, every_other, v, dy.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2))
    assert_right("SPLIT_TF32", q, np.broadcast_to(k[:1, :1], k.shape), v, np.broadcast_to(dy[:, :, :1], dy.shape))


# --- choice ------------------------------------------------------------------------------------------------------


def chosen(*arrays, **settings):
    return registry.choose("attention", to_gpu(arrays), settings).name


def test_which_version_runs():
    q, one = normal((1, 2, 9, 16)), normal((1, 2, 1, 16))
    assert chosen(q, q, q) == chosen(q, q, q, np.ones((9, 9), bool)) == chosen(q, q, q, normal((9, 9))) == "cuda"
    assert chosen(q, q, q, scale=-1.0) == chosen(q, q, q, scale=0.0) == "reference"
    wide = normal((1, 1, 5, 257))
    assert chosen(wide, wide, wide) == "reference" and chosen(*[wide[..., :256]] * 3) == "cuda"
    for precision in ("bfloat16", "tf32"):
        with tg.using_matmul_precision(precision):
            assert chosen(q, q, q) == precision
            assert chosen(one, q, q) == chosen(*[q.astype(np.float64)] * 3) == "cuda"


def test_a_gpu_without_tf32_multiplies_by_the_common_units(monkeypatch):
    from tinygrad_gpt.kernels.cuda import attention
    from tinygrad_gpt.kernels.cuda.machine import cublas

    q, k, v, _ = to_gpu(qkv_and_dy(1, 2, 9, 9, 16))
    assert attention.forward(q, k, v)[1].way == "SPLIT_TF32"
    monkeypatch.setattr(cublas, "missing", lambda: "too old")
    y, saved = attention.forward(q, k, v)
    assert saved.way == "FMA_UNITS"
    np.testing.assert_allclose(to_cpu(y), reference.forward(*to_cpu((q, k, v)))[0], atol=2e-6)
    with tg.using_matmul_precision("bfloat16"):
        assert "too old" in tg.explain("attention", q, k, v)


def test_a_gpu_with_little_shared_memory_leaves_large_heads_to_the_reference(monkeypatch):
    """A T4 has 64 KiB for a block, an RTX 4090 has 99."""
    from tinygrad_gpt.kernels.cuda import attention
    from tinygrad_gpt.kernels.cuda.machine import cublas

    def why_not(d, dtype=np.float32):
        (q,) = to_gpu((np.zeros((1, 1, 9, d), dtype),))
        return attention.why_not(q, q, q)

    assert why_not(256) is why_not(256, np.float64) is None
    monkeypatch.setattr(attention, "most_shared_memory", lambda: 99 << 10)
    assert why_not(256) is why_not(128, np.float64) is None and "shared memory" in why_not(256, np.float64)
    monkeypatch.setattr(attention, "most_shared_memory", lambda: 64 << 10)
    monkeypatch.setattr(cublas, "missing", lambda: "too old")
    assert why_not(96) is None and "takes 65792 bytes of shared memory" in why_not(128)


# --- determinism -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["SPLIT_TF32", "TF32", "BF16"])
def test_repeats_bit_for_bit(way):
    arrays = qkv_and_dy(1, 2, 70, 70, 64)

    def run():
        return [x.tobytes() for x in computed(way, *arrays, causal=True, dropout=0.1, seed=3)]

    assert run() == run()
    if emulated:
        from tests.emulated_cuda import in_every_order

        assert len(set(map(tuple, in_every_order(run)))) == 1, "a barrier is missing"
