"""What kernels promise besides right numbers: the same bits each time, nan stays visible, inputs may be locked."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.kernels.test_against_reference import kernel, normal
from tinygrad_gpt import functional as F
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba import _packed

ATTENTION = tuple(normal((2, 3, 70, 16), np.float32, i) for i in range(3))
CALLS = {
    "attention": ((*ATTENTION, None), {"causal": True, "dropout": 0.1, "seed": 3}),
    "attention of one head": ((*(a[:1, :1] for a in ATTENTION), None), {"causal": True}),
    "cross_entropy": ((normal((200, 70), np.float32), np.arange(200) % 70), {}),
    "dropout": ((normal((300, 70), np.float32),), {"p": 0.1, "seed": 5}),
    "embedding": ((np.arange(1000) % 7, normal((7, 130), np.float32)), {}),
    "gelu": ((normal((300, 70), np.float32),), {}),
    "layer_norm": ((normal((300, 70), np.float32), normal(70, np.float32, 1), normal(70, np.float32, 2)), {}),
    "linear": ((normal((300, 70), np.float32), normal((90, 70), np.float32, 1), normal(90, np.float32, 2)), {}),
}


def run(name: str):
    """y and gradients of one call."""
    arrays, settings = CALLS[name]
    module = kernel(name.split()[0])
    y, saved = module.forward(*arrays, **settings)
    return [y, *(g for g in module.backward(normal(y.shape, y.dtype, 9), saved) if g is not None)]


@pytest.mark.parametrize("name", CALLS)
def test_same_bits_every_time(name):
    first = [a.tobytes() for a in run(name)]
    assert all([a.tobytes() for a in run(name)] == first for _ in range(5))


@pytest.mark.parametrize("name", CALLS)
def test_same_bits_on_one_thread(name):
    import numba

    if name == "linear" and _packed.missing(np.dtype(np.float32)):
        pytest.skip("BLAS's tiles follow the number of threads")
    threads = numba.get_num_threads()
    many = [a.tobytes() for a in run(name)]
    try:
        numba.set_num_threads(1)
        assert [a.tobytes() for a in run(name)] == many
    finally:
        numba.set_num_threads(threads)


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [n for n in CALLS if n not in ("dropout", "embedding")])
def test_what_is_not_finite_stays_visible(name, bad):
    arrays, settings = CALLS[name]
    settings = {k: v for k, v in settings.items() if k not in ("dropout", "seed")}
    x = arrays[0].copy()
    x[(0,) * x.ndim] = bad
    op = name.split()[0]
    with np.errstate(all="ignore"):
        right, _ = registry.reference(op).forward(x, *arrays[1:], **settings)
    y, _ = kernel(op).forward(x, *arrays[1:], **settings)
    assert not np.isfinite(right).all() or bad == -np.inf
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(right))


def test_nan_in_keys_and_values_stays_visible():
    q, k, v = (a.copy() for a in ATTENTION)
    v[0, 0, 3, 2] = np.nan
    assert np.isnan(kernel("attention").forward(q, k, v, causal=True)[0][0, 0, 3:, 2]).all()
    k[0, 0, 3, 2] = np.nan
    y = kernel("attention").forward(q, k, ATTENTION[2], causal=True)[0]
    assert np.isnan(y[0, 0, 3:]).all() and np.isfinite(y[0, 0, :3]).all() and np.isfinite(y[1]).all()


@pytest.mark.parametrize("name", CALLS)
def test_locked_inputs_and_debug_mode(name):
    """Arrays that may not be written to (as debug mode makes them) run the same compiled code."""
    arrays, settings = CALLS[name]
    locked = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arrays)
    for a in locked:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    y, saved = kernel(name.split()[0]).forward(*locked, **settings)
    dy = normal(y.shape, y.dtype, 9)
    dy.flags.writeable = False
    got = [y, *(g for g in kernel(name.split()[0]).backward(dy, saved) if g is not None)]
    assert [a.tobytes() for a in got] == [a.tobytes() for a in run(name)]


def test_registry_chooses_the_kernels_for_a_transformer_layer():
    x = normal((4, 8), np.float32)
    assert "numba: runs" in tg.explain("gelu", x)
    assert "numba: runs" in tg.explain("layer_norm", x, x[0], x[0])
    assert "added mask" in tg.explain("attention", *(normal((1, 2, 3, 4), np.float32),) * 3, normal((3, 3), np.float32))


def test_attention_reads_the_fused_qkv_where_it_is_and_joins_heads_without_moving_them():
    qkv = tg.Tensor(normal((2, 5, 3 * 8), np.float32), requires_grad=True)
    heads = [F.transpose(F.reshape(x, (2, 5, 2, 4)), (0, 2, 1, 3)) for x in F.split(qkv, 3)]
    assert all(np.shares_memory(x.data, qkv.data) for x in heads)
    y = F.attention(*heads, causal=True)
    assert y.node.version.name == "numba"
    joined = F.reshape(F.transpose(y, (0, 2, 1, 3)), (2, 5, 8))
    assert np.shares_memory(joined.data, y.data)


def test_a_number_of_threads_that_was_set_stays_when_more_kernels_load():
    import numba

    from tinygrad_gpt.kernels.numba import _threads

    _threads.start()
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        _threads.start()  # as every file of kernels does
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(threads)
