"""Numbers at the edge: large logits, saturated functions, rows without a single score, and the error function."""

import math
import warnings

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.ops._erf import erf


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf(dtype):
    x = np.concatenate([np.linspace(-8, 8, 4001), np.logspace(-12, 0, 200)]).astype(dtype)
    right = np.array([math.erf(v) for v in x.astype(np.float64)])
    got = erf(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, right, rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(erf(-x), -got)


def test_erf_of_infinity():
    assert erf(np.array([-np.inf, 0.0, np.inf])).tolist() == pytest.approx([-1, 0, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_softmax_of_large_logits(shift, dtype):
    x = Tensor((np.array([[0.0, 1.0, -2.0]]) + shift).astype(dtype), requires_grad=True)
    right = np.exp([0.0, 1.0, -2.0]) / np.sum(np.exp([0.0, 1.0, -2.0]))
    tolerance = 1e-6 if dtype == np.float64 or shift == 0 else 1e-3  # float32 has 1e-3 left beside 1e4
    np.testing.assert_allclose(F.softmax(x).data[0], right, rtol=tolerance)
    np.testing.assert_allclose(F.log_softmax(x).data[0], np.log(right), rtol=tolerance)
    loss = F.cross_entropy(x, np.array([2]))
    assert loss.item() == pytest.approx(-math.log(right[2]), rel=tolerance)
    loss.backward()
    np.testing.assert_allclose(x.grad[0], right - [0, 0, 1], rtol=tolerance)


def test_cross_entropy_of_hopeless_logits_is_finite():
    """A probability of e^-20000 underflows; its logarithm does not."""
    z = Tensor(np.array([[1e4, -1e4]], np.float32), requires_grad=True)
    loss = F.cross_entropy(z, np.array([1]))
    assert loss.item() == 2e4
    loss.backward()
    assert z.grad.tolist() == [[1, -1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_functions(dtype):
    x = Tensor(np.array([-1000, -90, 90, 1000], dtype), requires_grad=True)
    for function, right in [
        (F.sigmoid, [0, 0, 1, 1]),
        (F.tanh, [-1, -1, 1, 1]),
        (F.silu, [0, 0, 90, 1000]),
        (lambda x: F.gelu(x, approximate="tanh"), [0, 0, 90, 1000]),
        (lambda x: F.gelu(x, approximate="none"), [0, 0, 90, 1000]),
    ]:
        x.grad = None
        y = function(x)
        np.testing.assert_allclose(y.data, right, rtol=1e-6, atol=1e-30)
        y.sum().backward()
        assert np.all(np.isfinite(x.grad))


def test_sigmoid_keeps_its_digits_far_to_the_left():
    assert F.sigmoid(Tensor(-50.0, dtype=np.float64)).item() == pytest.approx(math.exp(-50), rel=1e-14)


def attention_inputs(tq, tk, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [Tensor(rng.standard_normal((2, 3, t, 4)).astype(dtype), requires_grad=True) for t in (tq, tk, tk)]


@pytest.mark.parametrize("kind", ["boolean", "added"])
def test_attention_of_a_query_that_sees_nothing(kind):
    """Output 0, and no gradient from it or to it."""
    mask = np.ones((5, 7), bool)
    mask[2] = False
    mask = mask if kind == "boolean" else np.where(mask, 0.0, -np.inf)
    q, k, v = attention_inputs(5, 7)
    y = F.attention(q, k, v, mask)
    assert np.all(y.data[:, :, 2] == 0)
    assert np.all(y.data[:, :, 1] != 0)
    dy = np.zeros(y.shape)
    dy[:, :, 2] = 1
    y.backward(dy)
    for x in (q, k, v):
        assert np.all(x.grad == 0)


def test_causal_attention_of_more_queries_than_keys():
    q, k, v = attention_inputs(6, 4)
    y = F.attention(q, k, v, causal=True)
    assert np.all(y.data[:, :, :2] == 0)
    np.testing.assert_allclose(y.data[:, :, 2], v.data[:, :, 0])


def test_causal_attention_with_a_cache_is_the_last_rows_of_the_whole():
    q, k, v = attention_inputs(7, 7)
    whole = F.attention(q, k, v, causal=True).data
    for new in (1, 3):
        last = F.attention(q[:, :, -new:], k, v, causal=True).data
        np.testing.assert_allclose(last, whole[:, :, -new:], rtol=1e-12)


def test_causal_attention_does_not_see_the_future():
    q, k, v = attention_inputs(5, 5)
    before = F.attention(q, k, v, causal=True).data
    k.data[:, :, 3:] = 100
    v.data[:, :, 3:] = -100
    after = F.attention(q, k, v, causal=True).data
    np.testing.assert_array_equal(before[:, :, :3], after[:, :, :3])
    assert np.all(before[:, :, 3:] != after[:, :, 3:])


def test_attention_of_no_keys_and_of_no_queries():
    q, k, v = attention_inputs(3, 0)
    y = F.attention(q, k, v)
    assert y.shape == (2, 3, 3, 4)
    assert np.all(y.data == 0)
    y.sum().backward()
    assert np.all(q.grad == 0)
    assert k.grad.shape == (2, 3, 0, 4)
    assert F.attention(*attention_inputs(0, 3), causal=True).shape == (2, 3, 0, 4)


def test_attention_of_large_scores():
    q, k, v = attention_inputs(3, 5, np.float32)
    y = F.attention(q, k, v, scale=1e4)
    best = np.argmax(q.data @ k.data.swapaxes(2, 3), axis=-1)
    np.testing.assert_allclose(y.data, np.take_along_axis(v.data, best[..., None], axis=2), rtol=1e-5)
    y.sum().backward()
    assert np.all(np.isfinite(q.grad))
