"""Matrix products on the GPU: every layout that an operand may have, every precision, and the layers made of them."""

import importlib

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.gpu.on_gpu import emulated, to_cpu, to_gpu
from tests.kernels.test_against_reference import assert_close, normal
from tests.kernels.test_bfloat16_product import rounded as to_bfloat16
from tinygrad_gpt.kernels import registry

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ROUNDING = pytest.mark.parametrize("precision", registry.ROUNDING)
SHAPES = pytest.mark.parametrize(
    "shape, c_out", [((7, 5), 3), ((2, 3, 5), 4), ((5,), 3), ((1, 1), 1), ((3, 1), 8), ((33, 65), 17), ((300, 40), 130)]
)
EMPTY = pytest.mark.parametrize("rows, c_in, c_out", [(0, 5, 3), (3, 0, 4), (3, 5, 0), (0, 0, 0)])


def cuda(name):
    """A module of kernels/cuda, which can be imported only where there is CuPy, real or emulated."""
    return importlib.import_module(f"tinygrad_gpt.kernels.cuda.{name}")


def to_tf32(x):
    """The nearest float32 with 10 bits of mantissa, ties to even, by Python's own integers."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.int64)
    below, rest = bits >> 13, bits & 0x1FFF
    up = (rest > 0x1000) | ((rest == 0x1000) & (below % 2 == 1))
    return ((below + up) << 13).astype(np.uint32).view(np.float32)


def rounded(x, precision):
    return {"tf32": to_tf32, "bfloat16": to_bfloat16}.get(precision, np.asarray)(x)


def assert_product(got, x, y, bias=None, precision="float32"):
    """x @ y + bias of rounded operands, as near as sums of that many terms may be expected to be.

    How tensor cores round to TF32 is the GPU's affair: each operand may be off by 2⁻¹⁰ of itself, and on the emulation
    by no more than nothing.
    """
    x, y = (rounded(a, precision).astype(np.float64) for a in (x, y))
    bias = 0.0 if bias is None else bias.astype(np.float64)
    right, sizes = x @ y + bias, np.abs(x) @ np.abs(y) + np.abs(bias)
    unit = np.finfo(got.dtype).eps / 2 * (4 + 2 * np.sqrt(x.shape[-1]))
    if precision == "tf32" and not emulated:
        unit += 2 * 2**-10
    assert got.shape == right.shape
    assert (np.abs(got - right) <= unit * sizes + 1e-30).all()


# --- products ----------------------------------------------------------------------------------------------------


def twice(a, axis):
    """a with every row (axis -2) or column (axis -1) beside itself."""
    shape = (*a.shape[:-2], 2 * a.shape[-2], a.shape[-1]) if axis == -2 else (*a.shape[:-1], 2 * a.shape[-1])
    return np.stack([a, a], axis=axis).reshape(shape)


def by_columns(a):
    return a.swapaxes(-1, -2).copy().swapaxes(-1, -2)


LAYOUTS = {
    "whole": lambda a: a,
    "part of wider rows": lambda a: np.concatenate([a, a, a], axis=-1)[..., : a.shape[-1]],
    "every second row": lambda a: twice(a, -2)[..., ::2, :],
    "column by column": by_columns,
    "part of longer columns": lambda a: by_columns(np.concatenate([a, a], axis=-2))[..., : a.shape[-2], :],
    "every second column": lambda a: twice(a, -1)[..., ::2],
    "backwards": lambda a: a[..., ::-1, :].copy()[..., ::-1, :],
}


def laid_out(x, layout, transposed):
    """x, or its transpose to be read transposed, on the GPU in this layout."""
    given = x.swapaxes(-1, -2) if transposed else x
    on_gpu = LAYOUTS[layout](to_gpu(np.ascontiguousarray(given)))
    assert np.array_equal(to_cpu(on_gpu), given)
    return on_gpu


@DTYPES
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (5, 7, 3), (1, 9, 4), (6, 1, 5), (4, 8, 1), (33, 66, 17)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_operands_are_read_as_they_lie(m, k, n, layout, dtype):
    x, y, bias = normal((m, k), dtype, 1), normal((k, n), dtype, 2), normal(n, dtype, 3)
    for turn_x, turn_y in ((False, False), (False, True), (True, False), (True, True)):
        x_there, y_there = laid_out(x, layout, turn_x), laid_out(y, layout, turn_y)
        for b in (None, bias):
            z = cuda("machine.cublas").product(x_there, turn_x, y_there, turn_y, to_gpu(b))
            assert z.dtype == dtype
            assert_product(to_cpu(z), x, y, b)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches_are_read_as_they_lie(layout):
    x, y = normal((3, 5, 7), np.float32, 1), normal((3, 7, 2), np.float32, 2)
    for turn_x, turn_y in ((False, False), (False, True), (True, False), (True, True)):
        z = cuda("machine.cublas").product(laid_out(x, layout, turn_x), turn_x, laid_out(y, layout, turn_y), turn_y)
        assert_product(to_cpu(z), x, y)


def test_only_what_cannot_be_read_is_copied():
    as_it_lies, x = cuda("machine.cublas")._as_it_lies, to_gpu(normal((6, 8), np.float32))
    for view, apart, turned in ((x, 8, False), (x[:, 2:5], 8, False), (x[::2], 16, False), (x.T[2:4], 8, True)):
        same, *how = as_it_lies(view)
        assert same is view and how == [apart, turned]
    for view in (x[:, ::2], x[::-1], np.broadcast_to(x[0], (6, 8))):
        copy, apart, turned = as_it_lies(view)
        assert copy is not view and np.array_equal(to_cpu(copy), to_cpu(view))
        assert (apart, turned) == (view.shape[1], False)


# --- rounding ----------------------------------------------------------------------------------------------------


def test_rounding_to_bfloat16_is_to_the_nearest_and_at_a_tie_to_the_even():
    bits = np.arange(0x3F7F_7000, 0x3F81_9000, 0x800, dtype=np.uint32)  # around 1, ties among them
    special = np.array([0x7F80_0001, 0xFFFF_FFFF, 0xFFC0_0000, 1, 0x0000_8000, 0x0001_8000], np.uint32)
    x = np.concatenate([bits.view(np.float32), -bits.view(np.float32), special.view(np.float32)])
    x = np.concatenate([x, np.float32([0.0, -0.0, 3e38, 3.4e38, -3.4e38, np.inf, -np.inf, 2.0**-126, 1e30])])
    got = to_cpu(cuda("machine.cublas").operand(to_gpu(x[None]), "bfloat16"))[0].astype(np.uint32) << np.uint32(16)
    wanted = to_bfloat16(x)
    assert got.dtype == np.uint32 and np.array_equal(got.view(np.float32), wanted, equal_nan=True)
    assert np.array_equal(np.signbit(got.view(np.float32)), np.signbit(x))
    assert len(np.unique(got)) < len(x) / 2, "nothing was rounded"


def test_an_operand_is_rounded_as_it_lies():
    x = normal((17, 600), np.float32)
    for piece in (lambda a: a, lambda a: a.T[::2], lambda a: a[::3, 7:300], lambda a: a[::-1], lambda a: a[:1, :3]):
        rounded = cuda("machine.cublas").operand(piece(to_gpu(x)), "bfloat16")
        assert rounded.strides[0] % 16 == 0 and rounded.data.ptr % 16 == 0, "tensor cores want rows of 16 bytes"
        got = to_cpu(rounded).astype(np.uint32) << np.uint32(16)
        assert np.array_equal(got.view(np.float32), to_bfloat16(piece(x)))
    there = to_gpu(x)
    for precision in ("float32", "tf32"):
        assert cuda("machine.cublas").operand(there, precision) is there
    assert cuda("machine.cublas").operand(there.T, "tf32").data.ptr == there.data.ptr
    for odd in (there[:, :597].copy(), there[:, 2:]):
        assert cuda("machine.cublas").operand(odd, "float32") is odd
        copy = cuda("machine.cublas").operand(odd, "tf32")
        assert copy.strides[0] % 16 == 0 and copy.data.ptr % 16 == 0 and np.array_equal(to_cpu(copy), to_cpu(odd))


def test_more_rows_than_a_grid_has_blocks(monkeypatch):
    for module, most in (("machine.cublas", 3), ("machine.sum_rows", 2)):
        monkeypatch.setattr(cuda(module), "MOST_BLOCKS", most)
    x = normal((1500, 3), np.float32)
    got = to_cpu(cuda("machine.cublas").operand(to_gpu(x), "bfloat16")).astype(np.uint32) << np.uint32(16)
    assert np.array_equal(got.view(np.float32), to_bfloat16(x))
    assert_close(to_cpu(cuda("machine.sum_rows").sum_rows(to_gpu(x))), x.sum(axis=0), 1e-5)


@pytest.mark.parametrize("r, c", [(0, 5), (1, 1), (3, 0), (7, 31), (8, 33), (256, 2), (257, 65), (513, 32), (70000, 3)])
@DTYPES
def test_sum_of_rows(r, c, dtype):
    x = normal((r, c), dtype)
    got = to_cpu(cuda("machine.sum_rows").sum_rows(to_gpu(x)))
    right, sizes = x.sum(axis=0, dtype=np.float64), np.abs(x).sum(axis=0, dtype=np.float64)
    assert got.dtype == dtype and got.shape == (c,)
    assert (np.abs(got - right) <= np.finfo(dtype).eps * (8 + np.sqrt(r)) * sizes).all()
    if r:
        assert_close(to_cpu(cuda("machine.sum_rows").sum_rows(to_gpu(x)[::-1])), x[::-1].sum(axis=0), 1e-4)


# --- linear ------------------------------------------------------------------------------------------------------


def both(op, precision, arrays, dy, **settings):
    """(y, *gradients) from the version of `op` that runs on the GPU, back on the CPU; and that version's name."""
    with tg.using_matmul_precision(precision):
        version = registry.choose(op, to_gpu(arrays), settings)
        y, saved = version.forward(*to_gpu(arrays), **settings)
    return (to_cpu(y), *to_cpu(version.backward(to_gpu(dy), saved))), version.name


def layer(precision, x, weight, bias=None):
    """The same for linear, and the dy that went in."""
    dy = normal((*x.shape[:-1], len(weight)), x.dtype, 9)
    results, name = both("linear", precision, (x, weight, bias), dy)
    assert name == ("cuda" if precision == "float32" else precision)
    return results, dy


@DTYPES
@SHAPES
def test_linear_like_the_reference(shape, c_out, dtype):
    x, weight, bias = normal(shape, dtype), normal((c_out, shape[-1]), dtype, 1), normal(c_out, dtype, 2)
    for b in (bias, None):
        results, dy = layer("float32", x, weight, b)
        y, saved = registry.reference("linear").forward(x, weight, b)
        for got, wanted in zip(results, (y, *registry.reference("linear").backward(dy, saved)), strict=True):
            if wanted is None:
                assert got is None
            else:
                assert_close(got, wanted, 1e-13 if dtype == np.float64 else 3e-6)


@ROUNDING
@SHAPES
def test_linear_multiplies_rounded_numbers(shape, c_out, precision):
    c = shape[-1]
    x, weight, bias = normal(shape, np.float32), normal((c_out, c), np.float32, 1), normal(c_out, np.float32, 2)
    (y, dx, dweight, dbias), dy = layer(precision, x, weight, bias)
    x_rows, dy_rows = x.reshape(-1, c), dy.reshape(-1, c_out)
    assert_product(y.reshape(-1, c_out), x_rows, weight.T, bias, precision)
    assert_product(dx.reshape(-1, c), dy_rows, weight, None, precision)
    assert_product(dweight, dy_rows.T, x_rows, None, precision)
    np.testing.assert_allclose(dbias, dy_rows.sum(axis=0), rtol=1e-5, atol=1e-5)  # never rounded
    assert (y.shape, dx.shape, dbias.shape) == ((*shape[:-1], c_out), shape, (c_out,))
    assert layer(precision, x, weight)[0][3] is None


@ROUNDING
def test_rounding_makes_a_difference(precision):
    x, weight = normal((40, 50), np.float32), normal((30, 50), np.float32, 1)
    for exact, near in zip(layer("float32", x, weight)[0][:3], layer(precision, x, weight)[0][:3], strict=True):
        off = np.linalg.norm(near - exact) / np.linalg.norm(exact)
        least, most = {"tf32": (2**-14, 2**-9), "bfloat16": (2**-11, 2**-7)}[precision]
        assert least < off < most


LINEAR_OPS = {"linear": {}, "gelu_linear": {"approximate": "tanh"}}


@pytest.mark.parametrize("precision", ["float32", *registry.ROUNDING])
@EMPTY
def test_empty(rows, c_in, c_out, precision):
    bias = normal(c_out, np.float32, 2)
    arrays = (normal((rows, c_in), np.float32), normal((c_out, c_in), np.float32), bias)
    for op, settings in LINEAR_OPS.items():
        (y, dx, dweight, dbias), _ = both(op, precision, arrays, np.ones((rows, c_out), np.float32), **settings)
        assert np.array_equal(y, np.broadcast_to(bias, (rows, c_out)) if c_in == 0 else np.empty((rows, c_out)))
        assert dx.shape == (rows, c_in) and not dx.any()
        assert dweight.shape == (c_out, c_in) and not dweight.any()
        assert np.array_equal(dbias, np.full(c_out, rows))


@pytest.mark.parametrize("precision", ["float32", *registry.ROUNDING])
def test_linear_of_arrays_that_are_not_contiguous(precision):
    def pieces(x, weight, dy):
        return x.swapaxes(0, 1)[..., ::2], weight.T[:, ::2], np.broadcast_to(dy, (2, 20, 17))

    arrays = normal((20, 2, 66), np.float32), normal((66, 17), np.float32, 1), normal(17, np.float32, 3)
    with tg.using_matmul_precision(precision):
        for op, settings in LINEAR_OPS.items():
            plain, odd = to_gpu(tuple(a.copy() for a in pieces(*arrays))), pieces(*to_gpu(arrays))
            version = registry.choose(op, odd[:2], settings)
            y, saved = version.forward(*odd[:2], **settings)
            right, right_saved = version.forward(*plain[:2], **settings)
            got, wanted = (y, *version.backward(odd[2], saved)), (right, *version.backward(plain[2], right_saved))
            for a, b in zip(to_cpu(got)[:3], to_cpu(wanted)[:3], strict=True):
                assert_close(a, b, 1e-6)


@ROUNDING
def test_backward_goes_the_way_the_forward_came(precision):
    x, weight = normal((9, 6), np.float32), normal((4, 6), np.float32, 1)
    x_there, weight_there = (tg.Tensor(to_gpu(a), requires_grad=True) for a in (x, weight))
    with tg.using_matmul_precision(precision):
        y = tg.functional.linear(x_there, weight_there)
    assert y.node.version.name == precision
    dy = normal((9, 4), np.float32, 9)
    y.backward(to_gpu(dy))
    assert_product(to_cpu(weight_there.grad), dy.T, x, None, precision)


def test_what_is_kept_for_backward_is_rounded_already():
    x, weight = to_gpu((normal((9, 8), np.float32), normal((4, 8), np.float32)))
    _, saved = cuda("linear").forward(x, weight, precision="bfloat16")
    assert saved[0].dtype == np.uint16 and saved[0].nbytes == x.nbytes // 2
    _, saved = cuda("linear").forward(x, weight, precision="tf32")
    assert saved[0].data.ptr == x.data.ptr


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@ROUNDING
def test_what_is_not_finite_stays_visible(bad, precision):
    x, weight = np.abs(normal((20, 33), np.float32)) + 1, np.abs(normal((18, 33), np.float32, 1)) + 1
    x[3, 16] = bad
    (y, dx, dweight, _), _ = layer(precision, x, weight)
    assert (np.isnan(y[3]) if np.isnan(bad) else y[3] == bad).all()
    assert np.isfinite(np.delete(y, 3, axis=0)).all() and np.isfinite(dx).all()
    assert not np.isfinite(dweight[:, 16]).any()


# --- gelu_linear -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("approximate", ["tanh", "none"])
@DTYPES
def test_gelu_linear_like_the_reference(dtype, approximate):
    for shape, c_out in (((33, 65), 17), ((2, 3, 5), 4), ((5,), 3)):
        arrays = normal(shape, dtype), normal((c_out, shape[-1]), dtype, 1), normal(c_out, dtype, 2)
        dy = normal((*shape[:-1], c_out), dtype, 9)
        got, name = both("gelu_linear", "float32", arrays, dy, approximate=approximate)
        assert name == "cuda"
        y, saved = registry.reference("gelu_linear").forward(*arrays, approximate=approximate)
        wanted = (y, *registry.reference("gelu_linear").backward(dy, saved))
        for a, b in zip(got, wanted, strict=True):
            assert_close(a, b, 1e-12 if dtype == np.float64 else 5e-6)


@pytest.mark.parametrize("approximate", ["tanh", "none"])
@ROUNDING
def test_gelu_linear_rounds_for_its_products_and_nowhere_else(precision, approximate):
    x, weight, bias = normal((33, 65), np.float32), normal((17, 65), np.float32, 1), normal(17, np.float32, 2)
    dy = normal((33, 17), np.float32, 9)
    got, name = both("gelu_linear", precision, (x, weight, bias), dy, approximate=approximate)
    assert name == precision
    h, saved_by_gelu = registry.reference("gelu").forward(x, approximate=approximate)
    (y, dh, dweight, dbias), _ = both("linear", precision, (h, weight, bias), dy)
    (dx,) = registry.reference("gelu").backward(dh, saved_by_gelu)
    # h may differ in its last bit, and then be rounded to the next number, 2⁻⁸ away: for few of its numbers
    for a, b in zip(got, (y, dx, dweight, dbias), strict=True):
        assert np.linalg.norm(a - b) <= 1e-4 * np.linalg.norm(b)


# --- matmul ------------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0, 2)])
def test_matmul_like_the_reference(batch, dtype):
    for m, k, n in ((5, 7, 3), (1, 4, 1), (4, 0, 3)):
        a, b, dy = (normal((*batch, *s), dtype, i) for i, s in enumerate(((m, k), (k, n), (m, n))))
        got, name = both("matmul", "float32", (a, b), dy)
        assert name == "cuda"
        y, saved = registry.reference("matmul").forward(a, b)
        for one, other in zip(got, (y, *registry.reference("matmul").backward(dy, saved)), strict=True):
            assert_close(one, other, 1e-13 if dtype == np.float64 else 3e-6)


def test_matmul_of_heads_that_lie_side_by_side():
    q, k = normal((2, 5, 3, 8), np.float32), normal((2, 5, 3, 8), np.float32, 1)  # (B, T, H, D)
    q_there, k_there = (a.transpose(0, 2, 1, 3) for a in to_gpu((q, k)))
    y, _ = cuda("matmul").forward(q_there, k_there.swapaxes(-1, -2))
    assert_product(to_cpu(y), q.transpose(0, 2, 1, 3), k.transpose(0, 2, 3, 1))


def test_matmul_leaves_broadcasting_to_cupy():
    for a, b in (((3, 4), (4,)), ((4,), (4, 2)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (2, 4, 5))):
        arrays = to_gpu((normal(a, np.float32), normal(b, np.float32)))
        assert registry.choose("matmul", arrays, {}).name == "reference"
        y, _ = registry.choose("matmul", arrays, {}).forward(*arrays)
        assert_close(to_cpu(y), normal(a, np.float32) @ normal(b, np.float32), 1e-6)


# --- choice ------------------------------------------------------------------------------------------------------


def reasons(*arrays):
    """Version -> what `explain` says about it."""
    return dict(line.strip().split(": ", 1) for line in tg.explain("linear", *arrays).splitlines()[1:])


def test_where_which_version_runs():
    x, weight = to_gpu((normal((9, 6), np.float32), normal((4, 6), np.float32, 1)))
    assert reasons(x, weight) == {
        "bfloat16": "the precision of matrix products is float32",
        "tf32": "the precision of matrix products is float32",
        "cuda": "runs",
        "reference": "not needed",
    }
    with tg.using_matmul_precision("tf32"):
        assert reasons(x, weight)["tf32"] == "runs"
        assert reasons(x, weight)["bfloat16"] == "the precision of matrix products is tf32"
        double = reasons(x.astype(np.float64), weight.astype(np.float64))
        assert (double["tf32"], double["cuda"]) == ("rounds float32, not float64", "runs")
        with tg.using("cuda"):
            assert reasons(x, weight)["tf32"] == "set aside by using(...)"
    mixed = reasons(x, weight.astype(np.float64))
    assert mixed["cuda"] == "float32 and float64 in one product" and mixed["reference"] == "runs"


def test_a_card_without_such_tensor_cores_runs_in_float32(monkeypatch):
    monkeypatch.setattr(cuda("machine.cublas"), "compute_capability", lambda: (7, 5))
    x, weight = to_gpu((normal((9, 6), np.float32), normal((4, 6), np.float32, 1)))
    why = "this GPU has no tensor cores for it: they came with compute capability 8.0, and this one has 7.5"
    for precision in registry.ROUNDING:
        with tg.using_matmul_precision(precision):
            assert (reasons(x, weight)[precision], reasons(x, weight)["cuda"]) == (why, "runs")
        assert registry.cannot_round(precision, "cuda") == why
    monkeypatch.undo()
    assert registry.cannot_round("tf32", "cuda") is None
    assert registry.cannot_round("tf32") is not None  # the CPU has no such thing
