"""Products of bfloat16 numbers: right for the rounded operands, near for the others, and only where asked for."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.kernels.test_against_reference import normal
from tests.kernels.test_bfloat16_product import assert_sums_right, exact, rounded
from tinygrad_gpt import functional as F
from tinygrad_gpt import optim, precision
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba import gelu_linear, linear
from tinygrad_gpt.kernels.numba.product import registers
from tinygrad_gpt.kernels.numba.product.bfloat16 import missing, product
from tinygrad_gpt.models import GPT, GPTConfig

needs_dot_products = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(autouse=True)
def precision_as_it_was():
    with tg.using_matmul_precision(precision.matmul_precision()):
        yield


@needs_dot_products
def test_rounding_is_to_the_nearest_and_at_a_tie_to_the_even():
    bits = np.arange(0x3F7F_7000, 0x3F81_9000, 0x800, dtype=np.uint32)  # around 1, ties among them
    x = np.concatenate([bits.view(np.float32), -bits.view(np.float32), [0.0, 3e38, 2.0**-126, 1e30]]).astype(np.float32)
    assert len(np.unique(rounded(x))) < len(x)
    one = np.ones((1, 1), np.float32)
    assert np.array_equal(product(x[:, None], False, one, False)[:, 0], rounded(x))
    assert np.array_equal(product(one, False, x[None], False)[0], rounded(x))


@needs_dot_products
def test_numbers_below_the_least_normal_one_count_as_0():
    tiny = np.full((1, 1), 1e-39, np.float32)
    assert product(tiny, False, np.full((1, 1), 1e30, np.float32), False)[0, 0] == 0


def layer(x, weight, bias=None, dy=None):
    """y, dx, dweight and dbias of linear in bfloat16."""
    y, saved = linear.forward(x, weight, bias, precision="bfloat16")
    return y, *linear.backward(normal(y.shape, np.float32, 9) if dy is None else dy, saved)


SHAPES = [((7, 5), 3), ((2, 3, 5), 4), ((5,), 3), ((3, 1), 1), ((33, 65), 17), ((521, 65), 67), ((67, 300), 401)]


@needs_dot_products
@pytest.mark.parametrize("shape, c_out", SHAPES)
def test_forward_and_backward_multiply_rounded_numbers(shape, c_out):
    c = shape[-1]
    x, weight, bias = normal(shape, np.float32), normal((c_out, c), np.float32, 1), normal(c_out, np.float32, 2)
    y, dx, dweight, dbias = layer(x, weight, bias)
    dy = normal(y.shape, np.float32, 9)
    x_rows, dy_rows = x.reshape(-1, c), dy.reshape(-1, c_out)
    assert_sums_right(y.reshape(-1, c_out), *exact(x_rows, weight.T, bias), c)
    assert_sums_right(dx.reshape(-1, c), *exact(dy_rows, weight), c_out)
    assert_sums_right(dweight, *exact(dy_rows.T, x_rows), len(x_rows))
    np.testing.assert_allclose(dbias, dy_rows.sum(axis=0), rtol=1e-5, atol=1e-6)  # never rounded
    assert (y.shape, dx.shape, dbias.shape) == ((*shape[:-1], c_out), shape, (c_out,))
    assert layer(x, weight)[3] is None


@needs_dot_products
def test_near_the_float32_layer():
    """Each factor is off by at most 2⁻⁸ of itself, so each term by 2⁻⁷, and sums of random signs by less than half."""
    x, weight, bias = normal((200, 300), np.float32), normal((100, 300), np.float32, 1), normal(100, np.float32, 2)
    reference = registry.reference("linear")
    right_y, saved = reference.forward(x, weight, bias)
    right = (right_y, *reference.backward(normal(right_y.shape, np.float32, 9), saved))
    for got, wanted in zip(layer(x, weight, bias), right, strict=True):
        assert np.linalg.norm(got - wanted) <= 2**-8 * np.linalg.norm(wanted)
    assert np.linalg.norm(layer(x, weight, bias)[0] - right_y) >= 2**-12 * np.linalg.norm(right_y), (
        "nothing was rounded"
    )


@needs_dot_products
@pytest.mark.parametrize("rows, c_in, c_out", [(0, 5, 3), (3, 0, 4), (3, 5, 0), (0, 0, 0)])
def test_empty(rows, c_in, c_out):
    bias = normal(c_out, np.float32, 2)
    y, dx, dweight, dbias = layer(normal((rows, c_in), np.float32), normal((c_out, c_in), np.float32), bias)
    assert np.array_equal(y, np.broadcast_to(bias, (rows, c_out)) if c_in == 0 else np.empty((rows, c_out)))
    assert dx.shape == (rows, c_in) and not dx.any()
    assert dweight.shape == (c_out, c_in) and not dweight.any()
    assert dbias.shape == (c_out,)


@needs_dot_products
def test_arrays_that_are_not_contiguous_or_locked():
    x, weight = normal((20, 2, 66), np.float32).swapaxes(0, 1)[..., ::2], normal((66, 17), np.float32, 1).T[:, ::2]
    dy = np.broadcast_to(normal(17, np.float32, 3), (2, 20, 17))
    weight.flags.writeable = False
    plain = layer(x.copy(), weight.copy(), None, dy.copy())
    for got, right in zip(layer(x, weight, None, dy)[:3], plain[:3], strict=True):
        assert got.tobytes() == right.tobytes()


@needs_dot_products
@pytest.mark.parametrize("k", [1, 16, 33])  # at the edge of what is packed, and inside
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_visible(bad, k):
    payloads = np.array([0x7F80_0001, 0xFFFF_FFFF], np.uint32).view(np.float32) if np.isnan(bad) else [bad, bad]
    for value in (bad, *payloads):
        x, weight = np.abs(normal((20, k), np.float32)) + 1, np.abs(normal((18, k), np.float32, 1)) + 1
        x[3, k // 2] = value
        y, dx, dweight, _ = layer(x, weight)
        assert (np.isnan(y[3]) if np.isnan(bad) else y[3] == bad).all()
        assert np.isfinite(np.delete(y, 3, axis=0)).all() and np.isfinite(dx).all()
        assert not np.isfinite(dweight[:, k // 2]).any()
    large = np.full((8, 1), 3.4e38, np.float32)  # nearer to 2¹²⁸ than to any bfloat16
    assert np.isposinf(layer(large, np.ones((1, 1), np.float32))[0]).all()


@needs_dot_products
@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_gelu_linear_rounds_for_its_products_and_nowhere_else(approximate):
    x, weight, bias = normal((33, 65), np.float32), normal((17, 65), np.float32, 1), normal(17, np.float32, 2)
    dy = normal((33, 17), np.float32, 9)
    y, saved = gelu_linear.forward(x, weight, bias, approximate=approximate, precision="bfloat16")
    dx, dweight, dbias = gelu_linear.backward(dy, saved)
    h, saved_by_gelu = registry.reference("gelu").forward(x, approximate=approximate)
    right_y, dh, *right = layer(h, weight, bias, dy)
    right = (right_y, registry.reference("gelu").backward(dh, saved_by_gelu)[0], *right)
    # h may differ in its last bit, and then be rounded to the next bfloat16, 2⁻⁸ away: for few of its numbers
    for got, wanted in zip((y, dx, dweight, dbias), right, strict=True):
        assert np.linalg.norm(got - wanted) <= 1e-4 * np.linalg.norm(wanted)
    with tg.using_matmul_precision("bfloat16"):
        y = F.gelu_linear(tg.Tensor(x, requires_grad=True), weight, bias, approximate=approximate)
        assert y.node.version.name == "bfloat16"


# --- choice ------------------------------------------------------------------------------------------------------

X, WEIGHT = normal((9, 6), np.float32), normal((4, 6), np.float32, 1)


def reason(*arrays):
    """What `explain` says about the version, and the name of the one that runs."""
    lines = dict(line.strip().split(": ", 1) for line in tg.explain("linear", *arrays).splitlines()[1:])
    return lines["bfloat16"], next(name for name, why in lines.items() if why == "runs")


def test_float32_unless_asked_for():
    assert reason(X, WEIGHT) == ("the precision of matrix products is float32", "numba")
    assert precision.matmul_precision() == "float32"
    with pytest.raises(ValueError, match="expected one of float32, tf32, bfloat16, got 'float16'"):
        tg.set_matmul_precision("float16")
    with tg.using_matmul_precision("bfloat16"):
        assert precision.matmul_precision() == "bfloat16"
        with pytest.raises(KeyError), tg.using_matmul_precision("float32"):
            raise KeyError
        assert precision.matmul_precision() == "bfloat16"
    assert precision.matmul_precision() == "float32"


@needs_dot_products
def test_where_it_runs_and_where_not():
    tg.set_matmul_precision("bfloat16")
    assert reason(X, WEIGHT) == ("runs", "bfloat16")
    assert reason(X[:1], WEIGHT) == ("for one row the weight is read once, which packing it would do alone", "numba")
    assert reason(X.astype(np.float64), WEIGHT.astype(np.float64)) == ("rounds float32, not float64", "numba")
    with tg.using("numba"):
        assert reason(X, WEIGHT) == ("set aside by using(...)", "numba")


def test_without_the_instructions_float32_runs(monkeypatch):
    monkeypatch.setattr(registers, "_features", lambda: frozenset({"avx2", "avx512f"}))
    tg.set_matmul_precision("bfloat16")
    why = "this processor has no dot product of bfloat16 numbers (AVX512_BF16)"
    assert reason(X, WEIGHT) == (why, "numba") and registry.cannot_round("bfloat16") == why


@needs_dot_products
def test_backward_goes_the_way_the_forward_came():
    x, weight = tg.Tensor(X, requires_grad=True), tg.Tensor(WEIGHT, requires_grad=True)
    with tg.using_matmul_precision("bfloat16"):
        y = tg.functional.linear(x, weight)
    assert y.node.version.name == "bfloat16"
    y.backward(np.ones_like(y.data))
    assert np.array_equal(weight.grad, layer(X, WEIGHT, None, np.ones_like(y.data))[2])


# --- a whole GPT -------------------------------------------------------------------------------------------------


def gradients(name):
    """Loss, gradients by parameter's name, and logits of a small GPT, the same for each precision."""
    tg.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=50, block_size=20, n_layer=2, n_head=2, n_embd=32))
    ids = np.random.default_rng(0).integers(50, size=(3, 21))
    with tg.using_matmul_precision(name):
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
    return model, loss.item(), {name: p.grad for name, p in model.named_parameters()}


@needs_dot_products
def test_gradients_of_a_gpt_are_near_those_in_float32():
    _, loss, exact_gradients = gradients("float32")
    _, rounded_loss, rounded_gradients = gradients("bfloat16")
    assert rounded_loss != loss and rounded_loss == pytest.approx(loss, rel=2**-9)
    for name, right in exact_gradients.items():
        got = rounded_gradients[name]
        assert got.dtype == np.float32
        assert np.linalg.norm(got - right) <= 2**-6 * np.linalg.norm(right), name


@needs_dot_products
def test_an_update_moves_float32_weights():
    """By less than bfloat16 could tell apart: weights and what AdamW keeps are not rounded."""
    model, _, _ = gradients("bfloat16")
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    optim.AdamW(model.parameters(), lr=1e-7, weight_decay=0.0).step()
    weight = dict(model.named_parameters())["blocks.0.feed_forward.up.weight"].data
    old = before["blocks.0.feed_forward.up.weight"]
    assert weight.dtype == np.float32 and (weight != old).mean() > 0.9
    assert np.abs(weight - old).max() < 1.1e-7
