"""Kernels that work on rows, on the GPU: widths at which their layout changes, rows that begin at odd addresses,
numbers that are not finite, ids that are none; the same bits each time, whatever the threads do."""

import numpy as np
import pytest

from tests.gpu.on_gpu import emulated, to_cpu, to_gpu
from tinygrad_gpt import random_stream
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.sparse_rows import dense

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def normal(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def some_ids(v: int, shape, seed=0):
    return np.random.default_rng(seed).integers(0, v, shape)


def run(op: str, arrays: tuple, settings: dict, dy) -> tuple:
    """(y, gradients) of the version for the GPU, as arrays on the CPU."""
    version = registry.choose(op, arrays, settings)
    assert version.name == "cuda", version
    y, saved = version.forward(*arrays, **settings)
    y = to_cpu(y)
    return y, to_cpu(tuple(map(dense, version.backward(to_gpu(dy), saved))))


def assert_like_reference(op: str, arrays: tuple, settings: dict | None = None, on_gpu=to_gpu) -> None:
    settings, reference = settings or {}, registry.reference(op)
    right, saved = reference.forward(*arrays, **settings)
    dy = normal(np.shape(right), right.dtype, seed=99)
    y, grads = run(op, on_gpu(arrays), settings, dy)
    assert_close(y, np.asarray(right))
    for got, wanted in zip(grads, reference.backward(dy, saved), strict=True):
        if wanted is None:
            assert got is None
        else:
            assert_close(got, wanted)


def assert_close(got, wanted):
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    tolerance = 1e-11 if got.dtype == np.float64 else 3e-5
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1e-3, np.abs(wanted).max(initial=0)))


def at_odd_addresses(arrays: tuple) -> tuple:
    """On the GPU, each array of floats one element behind an address that packs could be loaded from."""

    def moved(x):
        if x is None or x.dtype.kind != "f":
            return to_gpu(x)
        place = to_gpu(np.zeros(x.size + 1, x.dtype))[1:].reshape(x.shape)
        place[...] = to_gpu(x)
        return place

    return tuple(map(moved, arrays))


PLACES = pytest.mark.parametrize("on_gpu", [to_gpu, at_odd_addresses])


@PLACES
@DTYPES
@pytest.mark.parametrize("r, c", [(5, 1), (3, 7), (2, 128), (1100, 6), (9, 768), (3, 769), (2, 2064), (2, 3072)])
def test_layer_norm(r, c, dtype, on_gpu):
    for bias in (normal(c, dtype, 2), None):
        # With few channels x̂ hardly moves, and dx is all rounding: only a large eps leaves something to compare.
        arrays = normal((r, c), dtype), normal(c, dtype, 1), bias
        assert_like_reference("layer_norm", arrays, {"eps": 0.3 if c < 4 else 1e-5}, on_gpu)


@PLACES
@DTYPES
@pytest.mark.parametrize("r, c", [(5, 1), (70, 33), (1100, 8), (3, 1028)])
def test_add_layer_norm_has_the_bits_of_its_two_ops(r, c, dtype, on_gpu):
    x, residual, weight, bias = on_gpu(tuple(normal(s, dtype, i) for i, s in enumerate(((r, c), (r, c), c, c))))
    ds, dy = on_gpu((normal((r, c), dtype, 8), normal((r, c), dtype, 9)))
    (one,) = (v for v in registry.versions("layer_norm", "cuda") if v.name == "cuda")
    (both,) = (v for v in registry.versions("add_layer_norm", "cuda") if v.name == "cuda")
    for shift in (bias, None):
        norm, saved = one.forward(x + residual, weight, shift)
        dx, *parameters = one.backward(dy, saved)
        (s, y), saved = both.forward(x, residual, weight, shift)
        got = s, y, *both.backward((ds, dy), saved)
        for a, b in zip(to_cpu(got), to_cpu((x + residual, norm, ds + dx, ds + dx, *parameters)), strict=True):
            assert a is b is None or np.allclose(a, b, rtol=1e-6 if dtype == np.float32 else 1e-14, atol=1e-6)


def test_layer_norm_of_wide_rows():
    assert_like_reference("layer_norm", (normal((2, 6144)), normal(6144, seed=1), normal(6144, seed=2)))
    version = registry.choose("layer_norm", to_gpu((normal((2, 6145)), normal(6145), None)), {})
    assert version.name == "reference"


@PLACES
@DTYPES
@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("r, c", [(5, 1), (11, 7), (3, 768), (2, 1028), (2, 5000), (1, 50257)])
def test_softmax(op, r, c, dtype, on_gpu):
    assert_like_reference(op, (normal((r, c), dtype),), {"axis": 1}, on_gpu)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_softmax_of_numbers_that_are_not_finite(op):
    x = normal((7, 70))
    x[0, 3], x[1], x[2, :40], x[3, 69], x[4, 0] = np.nan, -np.inf, -np.inf, np.inf, -np.inf
    x[5], x[6] = np.finfo(np.float32).min, np.finfo(np.float32).max
    with np.errstate(invalid="ignore"):
        right, _ = registry.reference(op).forward(x)
        y, _ = run(op, to_gpu((x,)), {}, x)
    np.testing.assert_allclose(y, right, rtol=1e-5)
    assert np.isnan(y[[0, 1, 3]]).all() and not np.isnan(y[[2, 4, 5, 6]]).any()


@PLACES
@DTYPES
@pytest.mark.parametrize("r, v", [(1, 50257), (3, 1), (70, 65), (3, 1028), (2, 5001), (2, 8200)])
def test_cross_entropy(r, v, dtype, on_gpu):
    targets = some_ids(v, r)
    targets[r // 2] = -100 if r > 1 else targets[0]
    for reduction in ("mean", "sum", "none"):
        for label_smoothing in (0.0, 0.1):
            settings = {"label_smoothing": label_smoothing, "reduction": reduction}
            assert_like_reference("cross_entropy", (normal((r, v), dtype), targets), settings, on_gpu)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_cross_entropy_of_logits_that_are_not_finite(label_smoothing):
    z, targets = normal((6, 9)), some_ids(9, 6)
    z[0], z[1, 0], z[2, 3], z[3, 8], targets[[0, 1]] = np.nan, np.inf, np.nan, -np.inf, -100
    z[4] += 1e4
    settings = {"label_smoothing": label_smoothing, "reduction": "none"}
    with np.errstate(invalid="ignore"):
        right, saved = registry.reference("cross_entropy").forward(z, targets, **settings)
        right_dz, _ = registry.reference("cross_entropy").backward(right, saved)
        loss, (dz, _) = run("cross_entropy", to_gpu((z, targets)), settings, right)
    np.testing.assert_allclose(loss, right, rtol=2e-3)  # of the reference, which subtracts 1e4 from 1e4
    np.testing.assert_allclose(dz, right_dz, rtol=2e-3, atol=1e-3)
    assert (
        loss[0] == loss[1] == 0
        and (dz[:2] == 0).all()
        and np.isnan(loss[2])
        and np.isinf(loss[3]) == (label_smoothing > 0 or targets[3] == 8)
    )


def test_a_target_that_is_no_class_makes_its_row_nan():
    z, targets = normal((5, 9)), np.array([3, 9, -1, 4, -100])
    loss, (dz, _) = run("cross_entropy", to_gpu((z, targets)), {"reduction": "none"}, normal(5))
    assert np.isnan(loss).tolist() == [False, True, True, False, False]
    assert np.isnan(dz).all(axis=1).tolist() == np.isnan(dz).any(axis=1).tolist() == np.isnan(loss).tolist()
    loss, _ = run("cross_entropy", to_gpu((z, targets)), {}, np.ones((), np.float32))
    assert np.isnan(loss)


def test_cross_entropy_writes_over_logits_that_nobody_else_holds():
    version = registry.choose("cross_entropy", to_gpu((normal((7, 9)), some_ids(9, 7))), {})
    _, (right, _) = run("cross_entropy", to_gpu((normal((7, 9)), some_ids(9, 7))), {}, np.ones((), np.float32))
    for kept in (True, False):
        z = to_gpu(normal((7, 9)))
        where, keep = z.data.ptr, [z] if kept else []
        y, saved = version.forward(z, to_gpu(some_ids(9, 7)))
        del z
        dz, _ = version.backward(np.ones_like(y), saved)
        assert (dz.data.ptr == where) != kept
        assert to_cpu(dz).tobytes() == right.tobytes()
        assert all(np.array_equal(to_cpu(z), normal((7, 9))) for z in keep)


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.int64, np.uint8])
@pytest.mark.parametrize("place", [to_gpu, lambda x: x])
def test_integers_of_any_dtype_from_either_side(dtype, place):
    i = some_ids(200, 6).astype(dtype)
    logits, table = normal((6, 200)), normal((200, 5))
    z, _ = run("cross_entropy", (to_gpu(logits), place(i)), {}, np.ones((), np.float32))
    assert_close(z, np.asarray(registry.reference("cross_entropy").forward(logits, i)[0]))
    y, (_, dtable) = run("embedding", (place(i), to_gpu(table)), {}, normal((6, 5)))
    assert np.array_equal(y, table[i])
    assert_close(dtable, registry.reference("embedding").backward(normal((6, 5)), (i, table.shape))[1])


@PLACES
@DTYPES
@pytest.mark.parametrize("r, v, c", [(1, 1, 1), (7, 3, 5), (70, 90, 8), (600, 2, 36), (40, 11, 129), (9, 50257, 3)])
def test_embedding(r, v, c, dtype, on_gpu):
    assert_like_reference("embedding", (some_ids(v, r), normal((v, c), dtype)), {}, on_gpu)


@PLACES
def test_rows_are_added_to_the_gradient_that_a_table_has(on_gpu):
    ids, dy, before = some_ids(4, (3, 5)), normal((3, 5, 8)), normal((6, 8), seed=1)
    version = registry.choose("embedding", to_gpu((ids, before)), {})
    _, saved = version.forward(*to_gpu((ids, before)))
    _, rows = version.backward(to_gpu(dy), saved)
    (grad,) = on_gpu((before,))
    rows.add_to(grad)
    np.add.at(before, ids, dy)
    assert_close(to_cpu(grad), before)
    transposed = to_gpu(np.zeros((8, 6), np.float32)).T
    rows.add_to(transposed)
    assert_close(to_cpu(transposed), to_cpu(rows.dense()))


def test_an_id_that_is_no_row_gives_nan_and_no_gradient():
    ids, table, dy = np.array([2, -1, 5, 2, 2**40]), normal((5, 8)), normal((5, 8), seed=1)
    y, (_, dtable) = run("embedding", to_gpu((ids, table)), {}, dy)
    assert np.isnan(y).all(axis=1).tolist() == [False, True, True, False, True]
    assert np.array_equal(y[[0, 3]], table[[2, 2]])
    assert_close(dtable[2], dy[0] + dy[3])
    assert (dtable[[0, 1, 3, 4]] == 0).all()


@PLACES
@DTYPES
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (257,), (4, 5, 64)])
@pytest.mark.parametrize("p, seed", [(0.3, 2**63 - 1), (0.0, 5), (0.999, 0)])
def test_dropout_drops_what_the_cpu_drops(shape, p, seed, dtype, on_gpu):
    x, dy = np.asarray(normal(shape, dtype)), np.asarray(normal(shape, dtype, 1))
    keep = random_stream.keep_mask(seed, shape, p, like=x)
    y, (dx,) = run("dropout", on_gpu((x,)), {"p": p, "seed": seed}, dy)
    for got, given in ((y, x), (dx, dy)):
        assert (got.shape, got.dtype) == (shape, dtype)
        assert np.array_equal(got, np.where(keep, given * dtype(1 / (1 - p)), dtype(0)))


ALL = {
    "layer_norm": ((normal((1100, 40)), normal(40, seed=1), normal(40, seed=2)), {}),
    "layer_norm, wide": ((normal((3, 1600)), normal(1600, seed=1), None), {}),
    "softmax": ((normal((9, 70)),), {}),
    "log_softmax": ((normal((3, 1100)),), {}),
    "cross_entropy": ((normal((70, 1030)), some_ids(1030, 70)), {"label_smoothing": 0.1}),
    "embedding": ((some_ids(9, 400), normal((9, 33))), {}),
    "dropout": ((normal((7, 33)),), {"p": 0.4, "seed": 3}),
}


@pytest.mark.skipif(not emulated, reason="a GPU chooses the order of its threads by itself")
@pytest.mark.parametrize("name", ALL)
def test_the_order_of_threads_changes_nothing(name):
    from tests import emulated_cuda

    op, (arrays, settings) = name.partition(",")[0], ALL[name]
    version = registry.choose(op, to_gpu(arrays), settings)
    dy = normal(version.forward(*to_gpu(arrays), **settings)[0].shape, seed=7)

    def bits():
        y, grads = run(op, to_gpu(arrays), settings, dy)
        return [x.tobytes() for x in (y, *grads) if x is not None]

    first, *others = emulated_cuda.in_every_order(bits)
    assert all(other == first for other in others)


@pytest.mark.parametrize("name", ALL)
def test_they_can_be_recorded_in_a_graph(name):
    """Nothing waits for the GPU: CUDA refuses to record what does."""
    import cupy

    op, (arrays, settings) = name.partition(",")[0], ALL[name]
    arrays = to_gpu(arrays)
    version = registry.choose(op, arrays, settings)
    y, _ = version.forward(*arrays, **settings)
    dy = to_gpu(normal(y.shape, seed=7))
    right = to_cpu((y, *map(dense, version.backward(dy, version.forward(*arrays, **settings)[1]))))
    with cupy.cuda.Stream() as stream:
        stream.begin_capture()
        y, saved = version.forward(*arrays, **settings)
        grads = tuple(map(dense, version.backward(dy, saved)))
        graph = stream.end_capture()
        for x in (y, *grads):
            if x is not None:
                x[...] = 0
        graph.launch()
        stream.synchronize()
        for got, wanted in zip(to_cpu((y, *grads)), right, strict=True):
            assert wanted is None or got.tobytes() == wanted.tobytes()
