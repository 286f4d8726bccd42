"""The loss of a linear layer's output, block by block: the numbers of the two ops, on the memory of one block."""

import contextlib

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.kernels.calls import run
from tests.kernels.test_against_reference import assert_close, assert_like_reference, kernel, normal
from tests.kernels.test_behaviour import allocated
from tinygrad_gpt import functional as F
from tinygrad_gpt.check import check_op
from tinygrad_gpt.kernels.numba.product import blas, blas_tiles, packed
from tinygrad_gpt.ops import linear_cross_entropy as op

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
fused = kernel("linear_cross_entropy")


@pytest.fixture
def blocks_of_64_rows(monkeypatch):
    monkeypatch.setattr(op, "BLOCK", 1)


def arrays(rows, v, c, dtype=np.float32, ignored=True):
    targets = np.random.default_rng(1).integers(0, v, rows)
    if ignored:
        targets[1::3] = -100
    return normal((rows, c), dtype), normal((v, c), dtype, 1), targets, normal(v, dtype, 2)


def by_two_ops(x, weight, targets, bias=None, **settings):
    """Loss and gradients, for dy = 1."""
    logits, of_linear = kernel("linear").forward(x, weight, bias)
    y, of_loss = kernel("cross_entropy").forward(logits, targets, **settings)
    dlogits, _ = kernel("cross_entropy").backward(np.ones((), x.dtype), of_loss)
    dx, dweight, dbias = kernel("linear").backward(dlogits, of_linear)
    return y, dx, dweight, dbias


def as_one(x, *rest, dy=1, **settings):
    y, saved = fused.forward(x, *rest, **settings)
    dx, dweight, none, dbias = fused.backward(np.asarray(dy, x.dtype), saved)
    assert none is None
    return y, dx, dweight, dbias


def test_how_many_rows_are_a_block():
    assert fused.block_rows(50257, 4) == 384 and fused.block_rows(50257, 8) == 192  # of GPT-2's vocabulary
    assert fused.block_rows(10**8, 4) == 64
    for v in (1000, 30522, 32000, 267735):
        rows = fused.block_rows(v, 4)
        assert rows % 64 == 0 and (rows == 64 or rows * v * 4 <= op.BLOCK < (rows + 64) * v * 4)


@pytest.mark.usefixtures("blocks_of_64_rows")
def test_right_on_the_cases_of_the_op_in_many_blocks(measured_along_directions_only):
    check_op("linear_cross_entropy", fused).raise_if_failed()


@DTYPES
@pytest.mark.usefixtures("blocks_of_64_rows")
@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 128, 300])
def test_around_block_sizes(dtype, rows):
    for settings in ({"reduction": "sum"}, {"label_smoothing": 0.1, "reduction": "sum" if rows == 0 else "mean"}):
        x, weight, targets, bias = arrays(rows, 131, 17, dtype)
        assert_like_reference("linear_cross_entropy", (x, weight, targets, bias), settings)
        assert_like_reference("linear_cross_entropy", (x, weight, targets, None), settings)


@DTYPES
@pytest.mark.parametrize("block", [1, op.BLOCK])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_bits_of_the_two_ops(dtype, block, reduction, monkeypatch):
    """Each element of our own product is summed in one order, wherever it is cut."""
    monkeypatch.setattr(op, "BLOCK", block)
    monkeypatch.setattr(kernel("linear"), "product", packed.product)
    x, weight, targets, bias = arrays(437, 303, 70, dtype)
    for shift in (None, bias):
        for smoothing in (0.0, 0.1):
            settings = {"reduction": reduction, "label_smoothing": smoothing}
            got = as_one(x, weight, targets, shift, **settings)
            for a, b in zip(got, by_two_ops(x, weight, targets, shift, **settings), strict=True):
                assert a is b is None or (a.shape == b.shape and a.tobytes() == b.tobytes())


@DTYPES
@pytest.mark.usefixtures("blocks_of_64_rows")
@pytest.mark.parametrize("name", ["blas", "numpy"])
def test_with_the_products_of_others(dtype, name, monkeypatch):
    if name == "blas" and not blas.AVAILABLE:
        pytest.skip("this NumPy has no OpenBLAS that kernels can call")
    monkeypatch.setattr(kernel("linear"), "product", blas_tiles.product if name == "blas" else blas.numpy_product)
    x, weight, targets, bias = arrays(437, 303, 70, dtype)
    for a, b in zip(as_one(x, weight, targets, bias), by_two_ops(x, weight, targets, bias), strict=True):
        assert_close(a, b, 1e-11 if dtype == np.float64 else 3e-5)


@pytest.mark.usefixtures("blocks_of_64_rows")
@pytest.mark.parametrize("name", ["linear_cross_entropy", "linear_cross_entropy of many classes"])
def test_same_bits_every_time(name):
    first = [a.tobytes() for a in run(name)]
    assert all([a.tobytes() for a in run(name)] == first for _ in range(3))


@DTYPES
def test_backward_multiplies_by_dy(dtype):
    given = arrays(90, 50, 7, dtype)
    y, *once = as_one(*given)
    again, *five_times = as_one(*given, dy=-5)
    assert y == again
    for a, b in zip(five_times, once, strict=True):
        np.testing.assert_array_equal(a, -5 * b)


def test_gradients_that_somebody_holds_stay_as_they_are():
    """Those of a backward are the saved arrays themselves, unless they are locked or held."""
    _, saved = fused.forward(*arrays(90, 50, 7))
    kept = [a.copy() for a in saved]
    held = list(saved)
    for dy in (3, 1, 2):
        got = fused.backward(np.float32(dy), saved)
        for a, right, own in zip((got[0], got[1], got[3]), kept, held, strict=True):
            assert a is not own and a.flags.writeable
            np.testing.assert_array_equal(a, np.float32(dy) * right)
    del held, own
    got = fused.backward(np.float32(2), saved)
    assert got[1] is saved[1] and got[3] is saved[2] and np.shares_memory(got[0], saved[0])
    np.testing.assert_array_equal(got[1], 2 * kept[1])


@pytest.mark.usefixtures("blocks_of_64_rows")
@pytest.mark.parametrize("in_debug", [False, True])
def test_never_all_logits_at_once(in_debug):
    """Forward takes the memory of one block and of the gradients; backward takes none, unless they are locked."""
    x, weight, targets, _ = arrays(640, 5000, 8, ignored=False)
    x, weight = (tg.Tensor(a, requires_grad=True) for a in (x, weight))
    all_logits, made = 640 * 5000 * 4, []

    def forward():
        made.append(F.linear_cross_entropy(x, weight, targets))

    forward()  # loads and compiles
    with tg.autograd.debug() if in_debug else contextlib.nullcontext():
        assert allocated(forward) < all_logits / 4
    loss = made.pop()
    assert loss.node.version.name == "numba"
    gradients = x.data.nbytes + weight.data.nbytes
    most = allocated(loss.backward)
    assert most > gradients if in_debug else most < gradients / 10


def test_a_gradient_that_is_there_gets_it_added():
    x, weight, targets, bias = (tg.Tensor(a, requires_grad=a.dtype == np.float32) for a in arrays(90, 50, 7))
    targets = targets.data
    for _ in range(2):
        F.linear_cross_entropy(x, weight, targets, linear_bias=bias).backward(np.float32(0.5))
    _, *right = as_one(x.data, weight.data, targets, bias.data)
    for a, b in zip((x, weight, bias), right, strict=True):
        np.testing.assert_allclose(a.grad, b, rtol=1e-6, atol=1e-9)
    x.grad = None
    (step,) = F.linear_cross_entropy(x, weight, targets, linear_bias=bias).backward_steps()
    assert step.op == "linear_cross_entropy" and (step.grads[0] == x.grad).all()


def test_targets_may_change_after_forward():
    x, weight, targets, bias = arrays(90, 50, 7)
    right = as_one(x, weight, targets, bias)
    y, saved = fused.forward(x, weight, targets, bias)
    targets[:] = 10**9
    x[:] = np.nan
    for a, b in zip((y, *fused.backward(np.float32(1), saved)), (*right[:3], None, right[3]), strict=True):
        assert a is b is None or (a == b).all()


@pytest.mark.parametrize("bad", [50, -1, 2**40])
def test_a_target_out_of_range_is_never_an_index(bad):
    x, weight, targets, bias = arrays(90, 50, 7)
    targets[5] = bad
    with pytest.raises(IndexError, match=f"linear_cross_entropy: .* got {bad} at position"):
        fused.forward(x, weight, targets, bias)
    with pytest.raises(ValueError, match="linear_cross_entropy: expected weight"):
        fused.forward(x, weight, targets[1:], bias)
