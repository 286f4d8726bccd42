"""Each kernel gives what its reference gives: on the op's own cases, and on shapes where its blocks begin and end."""

import importlib
import pathlib

import numpy as np
import pytest

from tinygrad_gpt.check import check_op
from tinygrad_gpt.kernels import numba as folder
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.product import blas, blas_tiles
from tinygrad_gpt.sparse_rows import dense

FILES = [f.stem for f in sorted(pathlib.Path(folder.__file__).parent.glob("*.py")) if not f.stem.startswith("_")]
PAIRS = [name for name in FILES if name not in registry.ROUTINES]


def kernel(op: str):
    return importlib.import_module(f"tinygrad_gpt.kernels.numba.{op}")


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_like_reference(op: str, arrays: tuple, settings: dict | None = None) -> None:
    """Forward and backward of kernel and reference agree, for arrays of one float dtype."""
    settings = settings or {}
    version = next(v for v in registry.versions(op) if v.name == "numba")
    assert version.why_not(*arrays, **settings) is None
    reference = registry.reference(op)
    y, saved = version.forward(*arrays, **settings)
    right, right_saved = reference.forward(*arrays, **settings)
    tolerance = 1e-11 if y.dtype == np.float64 else 3e-5
    assert_close(y, right, tolerance)
    dy = normal(y.shape, y.dtype, seed=99)
    grads = map(dense, version.backward(dy, saved))
    for got, wanted in zip(grads, reference.backward(dy, right_saved), strict=True):
        if wanted is None:
            assert got is None
        else:
            assert_close(got, wanted, tolerance)


def assert_close(got, wanted, tolerance):
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    if wanted.size:
        scale = max(np.abs(wanted).max(), 1e-3)
        assert np.abs(got - wanted).max() <= tolerance * scale


def test_every_kernel_is_tested_here():
    assert PAIRS, "no kernels found"
    assert set(FILES) <= {*registry.op_names(), *registry.ROUTINES}, "a kernel file that is named like no op"


@pytest.mark.parametrize("op", PAIRS)
def test_right_on_the_cases_of_the_op(op, measured_along_directions_only):
    report = check_op(op, kernel(op))
    assert report.findings, "nothing was checked"
    report.raise_if_failed()


DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@DTYPES
@pytest.mark.parametrize("tq, tk", [(31, 31), (32, 32), (33, 33), (63, 64), (65, 65), (1, 130), (100, 129), (129, 100)])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_around_block_sizes(dtype, tq, tk, causal):
    for h, d in ((3, 16), (2, 20)):
        q, k, v = (normal((2, h, t, d), dtype, t + i) for i, t in enumerate((tq, tk, tk)))
        assert_like_reference("attention", (q, k, v, None), {"causal": causal})


@DTYPES
def test_attention_of_few_heads_is_dealt_out(dtype):
    q, k, v = (normal((1, 1, 300, 12), dtype, i) for i in range(3))
    assert_like_reference("attention", (q, k, v, None), {"causal": True, "dropout": 0.3, "seed": 7})
    mask = np.random.default_rng(5).random((300, 300)) < 0.5
    assert_like_reference("attention", (q, k, v, mask), {"causal": True})


def padding() -> tuple[np.ndarray, np.ndarray]:
    """Which of 70 keys of four texts are real, (B, T): all, whole tiles, a part of one, none; and as a mask."""
    real = np.arange(70) < np.array([70, 64, 33, 0])[:, np.newaxis]
    return real, real[:, np.newaxis, np.newaxis]


@DTYPES
def test_attention_with_padding_at_the_end(dtype):
    q, k, v = (normal((4, 2, 70, 20), dtype, i) for i in range(3))
    _, mask = padding()
    holes = np.random.default_rng(5).random((4, 1, 1, 70)) < 0.7
    for causal in (False, True):
        for shown in (mask, mask & holes, np.broadcast_to(mask, (4, 1, 70, 70)).copy()):
            assert_like_reference("attention", (q, k, v, shown), {"causal": causal})


@DTYPES
def test_nan_in_padding_reaches_nothing(dtype):
    """Keys at the end that one row hides from all queries are not read."""
    q, k, v, dy = (normal((4, 2, 70, 20), dtype, i) for i in range(4))
    real, mask = padding()
    attention = kernel("attention")
    y, saved = attention.forward(q, k, v, mask)
    gradients = attention.backward(dy, saved)
    for x in (k, v):
        x.swapaxes(1, 2)[~real] = np.nan
    again, saved = attention.forward(q, k, v, mask)
    np.testing.assert_array_equal(again, y)
    for got, right in zip(attention.backward(dy, saved)[:3], gradients[:3], strict=True):
        np.testing.assert_array_equal(got, right)


@DTYPES
@pytest.mark.parametrize("rows, c_in, c_out", [(1, 65, 130), (300, 17, 33), (5, 64, 5003), (2, 1, 1), (257, 3, 64)])
def test_linear_tall_wide_and_narrow(dtype, rows, c_in, c_out):
    x, weight, bias = normal((rows, c_in), dtype), normal((c_out, c_in), dtype, 1), normal(c_out, dtype, 2)
    assert_like_reference("linear", (x, weight, bias))
    assert_like_reference("linear", (x, weight, None))


@pytest.mark.skipif(not blas.AVAILABLE, reason="this NumPy has no OpenBLAS that kernels can call")
@pytest.mark.parametrize("rows, c_in, c_out", [(65, 33, 17), (300, 17, 33), (5, 64, 5003), (7, 0, 3)])
def test_linear_in_tiles_of_blas(rows, c_in, c_out, monkeypatch):
    monkeypatch.setattr(kernel("linear"), "product", blas_tiles.product)
    x, weight, bias = (normal(shape, np.float32, 1) for shape in ((rows, c_in), (c_out, c_in), c_out))
    assert_like_reference("linear", (x, weight, bias))
    assert_like_reference("linear", (x, weight, None))


@DTYPES
def test_gelu_linear_by_numpy(dtype, monkeypatch):
    """Where no kernel can multiply, the GELU's kernel runs nevertheless."""
    monkeypatch.setattr(kernel("linear"), "product", blas.numpy_product)
    x, weight, bias = (normal(shape, dtype, 1) for shape in ((2, 33, 65), (17, 65), 17))
    for approximate in ("tanh", "none"):
        assert_like_reference("gelu_linear", (x, weight, bias), {"approximate": approximate})
        assert_like_reference("gelu_linear", (x, weight, None), {"approximate": approximate})


@DTYPES
@pytest.mark.parametrize("rows, v", [(1, 50257), (3, 1), (1000, 65)])
def test_cross_entropy_of_large_and_small_vocabularies(dtype, rows, v):
    targets = np.random.default_rng(1).integers(0, v, rows)
    targets[rows // 2] = -100 if rows > 1 else targets[0]
    for label_smoothing in (0.0, 0.1):
        settings = {"label_smoothing": label_smoothing}
        assert_like_reference("cross_entropy", (normal((rows, v), dtype), targets), settings)


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1), (999, 130), (8191,), (3, 8193)])
def test_rows_and_elements(dtype, shape):
    c = shape[-1]
    for approximate in ("tanh", "none"):
        assert_like_reference("gelu", (normal(shape, dtype, 1),), {"approximate": approximate})
    for op in ("relu", "exp", "tanh", "sigmoid", "silu", "neg", "softmax", "log_softmax"):
        assert_like_reference(op, (normal(shape, dtype, 1),))
    for op in ("add", "sub", "mul", "maximum"):
        assert_like_reference(op, (normal(shape, dtype, 1), normal(shape, dtype, 2)))
    for axis in (-1, None):
        assert_like_reference("sum", (normal(shape, dtype, 1),), {"axis": axis})
    assert_like_reference("where", (normal(shape, dtype) > 0, normal(shape, dtype, 1), normal((1,), dtype, 2)))
    assert_like_reference("dropout", (normal(shape, dtype, 1),), {"p": 0.3, "seed": 2**63 - 1})
    if c > 1:
        assert_like_reference("layer_norm", (normal(shape, dtype), normal(c, dtype, 1), normal(c, dtype, 2)))
    ids = np.random.default_rng(0).integers(0, 7, 1000)
    assert_like_reference("embedding", (ids, normal((7, min(c, 200)), dtype)))


@DTYPES
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_a_second_array_of_the_last_axes(op, dtype):
    for shape, other in (((3, 8193), (8193,)), ((2, 3, 7, 30), (7, 30)), ((0, 100), (100,))):
        a, b = normal(shape, dtype), normal(other, dtype, 1)
        assert_like_reference(op, (a, b + np.copysign(0.5, b).astype(dtype)))


@DTYPES
@pytest.mark.parametrize(
    "batch, other", [((), ()), ((1,), ()), ((3,), (3,)), ((9,), (9,)), ((5, 3), (3,)), ((5, 3), (5, 1)), ((0,), ())]
)
@pytest.mark.parametrize("m, k, n", [(17, 33, 5), (1, 20, 30), (4, 0, 3), (130, 70, 1)])
def test_matmul_of_batches(dtype, batch, other, m, k, n):
    a, b = normal((*batch, m, k), dtype), normal((*other, k, n), dtype, 1)
    turned = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
    wide = normal((*other, k, 2 * n), dtype, 1)[..., ::2]  # neither rows nor columns are contiguous
    for left, right in ((a, b), (turned, b), (a, wide)):
        assert_like_reference("matmul", (left, right))


@DTYPES
@pytest.mark.parametrize("shape", [(7,), (3, 1), (1000, 33), (2, 5, 8193)])
def test_add_layer_norm_has_the_bits_of_its_two_ops(dtype, shape):
    x, residual, weight, bias = (normal(s, dtype, i) for i, s in enumerate((shape, shape, shape[-1:], shape[-1:])))
    ds, dy = normal(shape, dtype, 8), normal(shape, dtype, 9)
    for shift in (bias, None):
        norm, saved = kernel("layer_norm").forward(x + residual, weight, shift)
        dx, *parameters = kernel("layer_norm").backward(dy, saved)
        (s, y), saved = kernel("add_layer_norm").forward(x, residual, weight, shift)
        got = s, y, *kernel("add_layer_norm").backward((ds, dy), saved)
        for a, b in zip(got, (x + residual, norm, ds + dx, ds + dx, *parameters), strict=True):
            assert a is b is None or (a.shape == b.shape and a.tobytes() == b.tobytes())


ADAMW = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8}


@DTYPES
def test_routines(dtype):
    shapes = [(), (0,), (1,), (3, 5), (8191,), (8192,), (2, 8193), (7,)]
    settings = ADAMW | {"weight_decays": [0.1, 0.0] * 4, "steps": [3, 1, 4, 1, 5, 9, 2, 6], "grad_scale": 0.7}
    arrays = [[np.asarray(normal(shape, dtype, i)) for shape in shapes] for i in range(4)]
    arrays[3] = [np.asarray(v**2) for v in arrays[3]]
    arrays[1][3] = np.asfortranarray(arrays[1][3])  # a gradient may lie in any way
    expected = [[a.copy() for a in some] for some in arrays]
    registry.reference("adamw").run(*expected, **settings)
    assert kernel("adamw").why_not(*arrays, **settings) is None
    kernel("adamw").run(*arrays, **settings)
    for some, right in zip(arrays, expected, strict=True):
        for got, wanted in zip(some, right, strict=True):
            assert_close(got, wanted, 1e-12 if dtype == np.float64 else 1e-5)
    norm = kernel("sum_squares").run(*arrays[0])
    assert isinstance(norm, float)
    assert norm == pytest.approx(registry.reference("sum_squares").run(*arrays[0]), rel=1e-12)


@DTYPES
@pytest.mark.parametrize("rows, v, k", [(1, 1, 1), (3, 7, 7), (50, 300, 299), (4, 257, 3), (9, 10_007, 10), (0, 5, 2)])
@pytest.mark.parametrize("are_equal", [False, True], ids=["distinct", "with equal ones"])
def test_likeliest(dtype, rows, v, k, are_equal):
    logits = normal((rows, v), dtype)
    if are_equal:  # also at the k-th place
        logits = np.round(logits)
        logits[:, v // 2 + 1 :] = -np.inf
    classes, log_p = kernel("likeliest").run(logits, k=k)
    right_classes, right_log_p = registry.reference("likeliest").run(logits, k=k)
    np.testing.assert_array_equal(classes, right_classes)
    assert classes.dtype == np.int64 and log_p.dtype == right_log_p.dtype == np.float64
    np.testing.assert_allclose(log_p, right_log_p, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-13)


def test_adamw_leaves_to_the_reference_what_is_not_contiguous_or_of_several_dtypes():
    arrays = [[normal((6, 4), np.float32, i)[::2]] for i in range(4)]
    settings = ADAMW | {"weight_decays": [0.1], "steps": [1]}
    assert "contiguous" in kernel("adamw").why_not(*arrays, **settings)
    arrays = [[normal(3, np.float32, i), normal(3, np.float64, i)] for i in range(4)]
    assert "dtypes" in kernel("adamw").why_not(*arrays, **ADAMW, weight_decays=[0.1, 0.1], steps=[1, 1])
    assert "dtypes" in kernel("sum_squares").why_not(*arrays[0])


def test_sum_squares_of_large_numbers_is_finite():
    assert kernel("sum_squares").run(np.full(10, 1e30, np.float32)) == pytest.approx(1e61)
