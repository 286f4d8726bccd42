"""Each derived op beside the simple version, composed from smaller ops: the same values and the same gradients.

The simple ones are what one would write first; their gradients come from the tape, not from a derivation of ours.
"""

import math

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.random_stream import keep_mask

rng = np.random.default_rng(0)
normal = rng.standard_normal


def agree(fast, simple, *arrays, tolerance=1e-12):
    """Both functions give the same outputs and gradients, in float64, for one random upstream gradient."""
    results = []
    dy = None
    for function in (fast, simple):
        inputs = [Tensor(a.copy(), requires_grad=True) for a in arrays]
        y = function(*inputs)
        dy = normal(y.shape) if dy is None else dy
        y.backward(dy)
        results.append([y.data] + [x.grad for x in inputs])
    for got, right in zip(*results, strict=True):
        np.testing.assert_allclose(got, right, rtol=tolerance, atol=tolerance)


def one_hot(ids, size):
    return (np.asarray(ids)[..., None] == np.arange(size)).astype(np.float64)


def simple_softmax(x, axis=-1):
    e = x.exp()
    return e / e.sum(axis, keepdims=True)


def test_sub():
    agree(F.sub, lambda a, b: a + -b, normal((2, 3, 5)), normal((3, 1)))


def test_div():
    agree(F.div, lambda a, b: a * b**-1, normal((2, 3, 5)), 2 + rng.random(5))


def test_maximum():
    agree(F.maximum, lambda a, b: F.where(a > b, a, b), normal((2, 3, 5)), normal((3, 1)))


def test_where():
    condition = rng.random((2, 1, 5)) < 0.5
    agree(
        lambda a, b: F.where(condition, a, b),
        lambda a, b: a * condition.astype(float) + b * (1.0 - condition),
        normal((3, 1)),
        normal(5),
    )


def test_pow():
    agree(lambda x: x**3, lambda x: x * x * x, normal((3, 5)))
    agree(lambda x: x**-1.5, lambda x: (x.log() * -1.5).exp(), 0.5 + rng.random((3, 5)))


def test_sqrt():
    agree(F.sqrt, lambda x: x**0.5, 0.5 + rng.random((3, 5)))


def test_log_undoes_exp():
    agree(lambda x: x.exp().log(), lambda x: x * 1.0, normal((3, 5)))


def test_tanh():
    agree(F.tanh, lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()), normal((3, 5)))


def test_sigmoid():
    agree(F.sigmoid, lambda x: 1 / (1 + (-x).exp()), normal((3, 5)))


def test_silu():
    agree(F.silu, lambda x: x / (1 + (-x).exp()), normal((3, 5)))


def test_the_absolute_value_has_no_gradient_at_zero():
    x = Tensor([-2.0, 0.0, -0.0, 3.0], requires_grad=True)
    abs(x).backward(np.float32([1, 5, 5, 2]))
    assert x.grad.tolist() == [-1, 0, 0, 2]


def test_relu():
    agree(F.relu, lambda x: F.maximum(x, 0), normal((3, 5)))


def test_gelu_tanh():
    def simple(x):
        return 0.5 * x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())

    agree(lambda x: F.gelu(x, approximate="tanh"), simple, normal((3, 5)))


def test_gelu_exact_has_the_value_of_the_definition():
    x = np.linspace(-5, 5, 41)
    right = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]
    np.testing.assert_allclose(F.gelu(x, approximate="none").data, right, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("axis", [None, 0, (0, 2)])
def test_mean(axis):
    x = normal((2, 3, 5))
    n = x.size // np.mean(x, axis=axis).size
    agree(lambda x: x.mean(axis), lambda x: x.sum(axis) / n, x)


@pytest.mark.parametrize("correction", [0, 1])
def test_var(correction):
    def simple(x):
        centred = x - x.mean(1, keepdims=True)
        return (centred * centred).sum(1) / (3 - correction)

    agree(lambda x: x.var(1, correction=correction), simple, normal((2, 3, 5)))


def test_max():
    x = normal((3, 5))
    agree(lambda x: x.amax(1), lambda x: x[np.arange(3), np.argmax(x.data, axis=1)], x)


def test_max_shares_the_gradient_between_ties():
    x = Tensor([[2.0, 1.0, 2.0], [0.0, 0.0, 0.0]], requires_grad=True)
    x.amax(1).sum().backward()
    np.testing.assert_allclose(x.grad, [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


def test_maximum_shares_the_gradient_of_a_tie():
    a, b = (Tensor([1.0, 2.0, 3.0], requires_grad=True), Tensor([1.0, 3.0, 2.0], requires_grad=True))
    F.maximum(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 0, 1]
    assert b.grad.tolist() == [0.5, 1, 0]


def test_relu_has_no_gradient_at_zero():
    x = Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    F.relu(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 1]


def test_broadcast_to():
    agree(lambda x: x.broadcast_to((2, 3, 5)), lambda x: x + np.zeros((2, 3, 5)), normal((3, 1)))


def test_split_is_slices():
    def fast(x):
        a, b, c = F.split(x, (4, 1, 2), 1)
        return a.sum() * b + c.sum()

    agree(fast, lambda x: x[:, :4].sum() * x[:, 4:5] + x[:, 5:].sum(), normal((3, 7)))


def test_concatenate_is_adding_into_zeros():
    left, right = np.eye(2, 5), np.eye(3, 5, k=2)
    agree(lambda a, b: F.concatenate([a, b], axis=1), lambda a, b: a @ left + b @ right, normal((4, 2)), normal((4, 3)))


def test_getitem_is_a_product_with_one_hot_rows():
    ids = [[3, 0], [3, 3]]
    agree(lambda x: x[np.array(ids)], lambda x: one_hot(ids, 4) @ x, normal((4, 5)))


def test_gather_is_getitem_of_pairs():
    index = np.array([[2, 0], [2, 2], [1, 4]])
    agree(lambda x: F.gather(x, 1, index), lambda x: x[np.arange(3)[:, None], index], normal((3, 5)))
    agree(
        lambda x: F.gather(x, 1, index[:, :1]),
        lambda x: (one_hot(index[:, :1], 5)[:, 0] * x).sum(1)[:, None],
        normal((3, 5)),
    )


@pytest.mark.parametrize("t, r, first, keys", [(4, 7, 3, 7), (4, 11, 4, 7), (3, 5, 9, 4), (5, 3, -1, 6), (1, 1, 0, 1)])
def test_rel_shift_is_picking_element_by_element(t, r, first, keys):
    """y[i, j] = x[i, first + j - i], once as an index and once as a sum over a table of ones and zeros."""
    i, j, c = np.ogrid[:t, :keys, :r]
    x = normal((2, 3, t, r))
    column = (first + j - i)[..., 0]
    there = (column >= 0) & (column < r)
    agree(
        lambda x: F.rel_shift(x, first, keys),
        lambda x: F.where(there, x[..., i[..., 0], np.where(there, column, 0)], 0.0),
        x,
    )
    agree(
        lambda x: F.rel_shift(x, first, keys),
        lambda x: F.einsum("bhic,ijc->bhij", x, (c == first + j - i).astype(float)),
        x,
    )


@pytest.mark.parametrize("shape", [(2, 1, 4), (1, 1, 4), (2, 3, 4), (2, 3, 1)])
def test_shift_rows_is_picking_element_by_element(shape):
    """y[i, j] = x[i, first[i] + j]; and rel_shift where each row begins one column before that of the row above it."""
    x, first = normal((2, 3, 4, 7)), np.random.default_rng(3).integers(-3, 9, shape)
    column = first[..., np.newaxis] + np.arange(6)
    there = (column >= 0) & (column < 7)
    index = np.broadcast_to(np.where(there, column, 0), (2, 3, 4, 6))
    agree(lambda x: F.shift_rows(x, first, 6), lambda x: F.where(there, F.gather(x, -1, index), 0.0), x)
    agree(lambda x: F.shift_rows(x, (5 - np.arange(4))[np.newaxis, np.newaxis], 6), lambda x: F.rel_shift(x, 5, 6), x)


def test_rel_shift_that_needs_no_zeros_moves_nothing():
    x = Tensor(normal((2, 3, 4, 11)))
    y = F.rel_shift(x, 4, 7)
    assert np.shares_memory(y.data, x.data) and y.data.strides[-2:] == (80, 8)


def test_cumsum_is_a_product_with_a_triangle():
    agree(lambda x: F.cumsum(x, 1), lambda x: x @ np.triu(np.ones((5, 5))), normal((2, 3, 5))[0])


@pytest.mark.parametrize("zeros", [(), (1,), (1, 2)])
def test_prod_is_a_chain_of_products(zeros):
    x = normal((3, 4))
    x[0, zeros] = 0
    agree(lambda x: F.prod(x, 1), lambda x: x[:, 0] * x[:, 1] * x[:, 2] * x[:, 3], x)


@pytest.mark.parametrize("axis", [0, (0, 2), None])
def test_logsumexp(axis):
    agree(lambda x: F.logsumexp(x, axis), lambda x: x.exp().sum(axis).log(), normal((2, 3, 5)))


def test_softplus():
    agree(F.softplus, lambda x: (1 + x.exp()).log(), normal((3, 5)))


def test_sin_and_cos():
    agree(lambda x: F.sin(x) * F.sin(x) + F.cos(x) * F.cos(x), lambda x: x * 0.0 + 1.0, normal((3, 5)))
    agree(lambda x: F.sin(x * 2.0), lambda x: 2.0 * F.sin(x) * F.cos(x), normal((3, 5)))


def test_clamp():
    agree(lambda x: F.clamp(x, -0.5, 0.8), lambda x: F.minimum(F.maximum(x, -0.5), 0.8), normal((3, 5)))


def test_einsum_is_a_sum_of_products():
    a, b, c = normal((2, 3)), normal((3, 4)), normal((2, 4, 5))
    # (2, 3, 4, 5) -> (5, 3)
    agree(
        lambda a, b, c: F.einsum("ij,jk,ikl->lj", a, b, c),
        lambda a, b, c: (a[:, :, None, None] * b[None, :, :, None] * c[:, None]).sum((0, 2)).T,
        a,
        b,
        c,
    )


def test_pytorchs_attention_is_ours_but_for_its_alignment():
    q, k, v = attention_inputs(3, 5)
    bottom = F.attention(q, k, v, causal=True).data
    top = F.scaled_dot_product_attention(q, k, v, is_causal=True).data
    np.testing.assert_allclose(top[:, :, 0], v.data[:, :, 0])
    np.testing.assert_allclose(bottom, F.scaled_dot_product_attention(q, k, v, np.tri(3, 5, 2, dtype=bool)).data)
    assert np.all(top[:, :, :2] != bottom[:, :, :2])


def test_dropout_of_pytorchs_attention_always_applies():
    q, k, v = attention_inputs(4, 4)
    ys = [F.scaled_dot_product_attention(q, k, v, None, p).data for p in (0.0, 0.5, 0.5)]
    assert np.all(ys[0] != ys[1]) and np.any(ys[1] != ys[2])


def test_matmul_is_a_sum_of_products():
    # (4, 2, 3, 1) * (4, 1, 3, 5) -> (4, 2, 3, 5) -> (4, 2, 5)
    agree(F.matmul, lambda a, b: (a[..., None] * b[:, None]).sum(-2), normal((4, 2, 3)), normal((4, 3, 5)))


def test_linear():
    agree(F.linear, lambda x, w, b: x @ w.T + b, normal((2, 3, 5)), normal((4, 5)), normal(4))
    agree(F.linear, lambda x, w: x @ w.T, normal((2, 3, 5)), normal((4, 5)))


@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_gelu_linear(approximate):
    def simple(x, *parameters):
        return F.linear(F.gelu(x, approximate), *parameters)

    def fused(x, *parameters):
        return F.gelu_linear(x, *parameters, approximate=approximate)

    agree(fused, simple, normal((2, 3, 5)), normal((4, 5)), normal(4))
    agree(fused, simple, normal((2, 3, 5)), normal((4, 5)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_cross_entropy(reduction):
    targets = np.array([[1, -100, 4], [0, 0, 2]])
    settings = {"reduction": reduction, "label_smoothing": 0.1}

    def simple(x, weight, bias=None):
        return F.cross_entropy(F.linear(x, weight, bias), targets, **settings)

    def fused(x, weight, bias=None):
        return F.linear_cross_entropy(x, weight, targets, linear_bias=bias, **settings)

    agree(fused, simple, normal((2, 3, 4)), normal((5, 4)), normal(5))
    agree(fused, simple, normal((2, 3, 4)), normal((5, 4)))


def test_embedding_is_a_product_with_one_hot_rows():
    ids = np.array([[1, 1, 4], [0, 1, 4]])
    agree(lambda w: F.embedding(ids, w), lambda w: one_hot(ids, 6) @ w, normal((6, 3)))


def test_layer_norm():
    def simple(x, weight, bias):
        mean = x.mean(-1, keepdims=True)
        return (x - mean) / (x.var(-1, correction=0, keepdims=True) + 1e-5).sqrt() * weight + bias

    agree(lambda x, *p: F.layer_norm(x, 5, *p), simple, normal((2, 3, 5)), normal(5), normal(5))


@pytest.mark.parametrize("used", ["both outputs", "the sum", "the norm"])
def test_add_layer_norm(used):
    share = {"both outputs": (0.3, 1.7), "the sum": (1, 0), "the norm": (0, 1)}[used]

    def together(outputs):
        parts = [k * y for k, y in zip(share, outputs, strict=True) if k]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def simple(x, residual, *parameters):
        s = x + residual
        return together((s, F.layer_norm(s, 5, *parameters)))

    def fused(*inputs):
        return together(F.add_layer_norm(*inputs))

    x, residual, weight, bias = (normal(shape) for shape in ((2, 3, 5), (2, 3, 5), 5, 5))
    if used == "the sum":  # and weight and bias get a gradient of zeros, or none
        agree(lambda a, b: fused(a, b, weight, bias), lambda a, b: simple(a, b, weight, bias), x, residual)
    else:
        agree(fused, simple, x, residual, weight, bias)
        agree(fused, simple, x, residual, weight)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis):
    agree(lambda x: F.softmax(x, axis), lambda x: simple_softmax(x, axis), normal((2, 3, 5)))
    agree(lambda x: F.log_softmax(x, axis), lambda x: simple_softmax(x, axis).log(), normal((2, 3, 5)))


def test_dropout():
    keep = keep_mask(77, (3, 5), 0.4, like=np.zeros(1))
    assert 0 < keep.sum() < keep.size
    agree(lambda x: apply("dropout", x, p=0.4, seed=77), lambda x: x * keep.astype(float) / 0.6, normal((3, 5)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy(reduction, smoothing):
    targets = np.array([[1, -100, 4], [0, 0, -100]])
    counts = targets != -100
    wanted = ((1 - smoothing) * one_hot(targets, 5) + smoothing / 5) * counts[..., None]

    def simple(logits):
        loss = -(simple_softmax(logits).log() * wanted).sum(-1)
        return loss if reduction == "none" else loss.sum() / (counts.sum() if reduction == "mean" else 1)

    def fast(logits):
        return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction=reduction)

    agree(fast, simple, normal((2, 3, 5)))


def attention_inputs(tq, tk):
    return [Tensor(normal((2, 3, t, 4)), requires_grad=True) for t in (tq, tk, tk)]


def simple_attention(q, k, v, mask=None, causal=False, scale=None, keep=None, dropout=0.0):
    """The definition, with a large negative number in place of -inf."""
    tq, tk = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) * (scale or 1 / math.sqrt(q.shape[3]))
    if mask is not None and not isinstance(mask, Tensor):
        scores = scores + np.where(mask, 0.0, -1e9)
    elif mask is not None:
        scores = scores + mask
    if causal:
        scores = scores + np.where(np.tri(tq, tk, tk - tq, dtype=bool), 0.0, -1e9)
    weights = simple_softmax(scores - scores.data.max(-1, keepdims=True))
    if keep is not None:
        weights = weights * keep.astype(float) / (1 - dropout)
    return weights @ v


QKV = (normal((2, 3, 4, 5)), normal((2, 3, 6, 5)), normal((2, 3, 6, 5)))


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal):
    agree(lambda *a: F.attention(*a, causal=causal), lambda *a: simple_attention(*a, causal=causal), *QKV)


def test_attention_with_a_scale():
    agree(lambda *a: F.attention(*a, scale=0.7), lambda *a: simple_attention(*a, scale=0.7), *QKV)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_with_a_boolean_mask(causal):
    mask = rng.random((2, 1, 4, 6)) < 0.6
    mask[..., 0] = True  # the simple version knows no empty rows
    fast = lambda *a: F.attention(*a, mask, causal=causal)  # noqa: E731
    agree(fast, lambda *a: simple_attention(*a, mask, causal=causal), *QKV)


def test_attention_with_an_added_mask():
    agree(F.attention, simple_attention, *QKV, normal((3, 1, 6)))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_with_dropout(causal):
    """The weights that are dropped are those of keep_mask over the linear index in (B, H, Tq, Tk)."""
    keep = keep_mask(2**40 + 1, (2, 3, 4, 6), 0.3, like=np.zeros(1))
    agree(
        lambda q, k, v: apply("attention", q, k, v, None, causal=causal, dropout=0.3, seed=2**40 + 1),
        lambda q, k, v: simple_attention(q, k, v, causal=causal, keep=keep, dropout=0.3),
        *QKV,
    )
