"""The composed functions: on arrays of a GPU, in float32, under both names of an axis, with numbers at the edge."""

import inspect
import math

import numpy as np
import pytest

from tests.strict_array import StrictArray
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.check import gradcheck

IDS = np.array([[2, 0, 1], [1, 1, 2]])
X = np.random.default_rng(0).standard_normal((2, 3))

FUNCTIONS = {
    "minimum": lambda x: F.minimum(x, x * 0.5 - 0.1),
    "minimum with a number": lambda x: F.minimum(0.2, x),
    "clamp": lambda x: F.clamp(x, max=0.2),
    "rsqrt": lambda x: F.rsqrt(x * x + 1.0),
    "softplus": lambda x: F.softplus(x, 2),
    "logsigmoid": F.logsigmoid,
    "std": F.std,
    "std, rows": lambda x: F.std(x, 1, correction=0, keepdim=True),
    "norm": F.norm,
    "norm, 1": lambda x: F.norm(x, 1, 0),
    "norm, inf": lambda x: F.norm(x, math.inf, -1),
    "norm, 3": lambda x: F.norm(x, 3, (0, 1)),
    "prod": lambda x: F.prod(x, 1),
    "cumsum": lambda x: F.cumsum(x, -1),
    "logsumexp": lambda x: F.logsumexp(x, (0, 1), keepdim=True),
    "normalize": F.normalize,
    "cosine_similarity": lambda x: F.cosine_similarity(x, x[::-1]),
    "outer": lambda x: F.outer(x[0], x[1]),
    "einsum": lambda x: F.einsum("ij,kj->ik", x, x),
    "gather": lambda x: F.gather(x, 1, IDS),
    "rel_shift": lambda x: F.rel_shift(x, 1, 3),
    "shift_rows": lambda x: F.shift_rows(x, np.arange(len(x)), 3),
    "sort": lambda x: F.sort(x, descending=True).values,
    "topk": lambda x: F.topk(x, 2, 1).values,
    "masked_fill": lambda x: F.masked_fill(x, np.asarray(IDS == 1, like=x.data), 7),
    "tril": F.tril,
    "triu": lambda x: F.triu(x, 1),
    "repeat_interleave": lambda x: F.repeat_interleave(x, 2, 1),
    "repeat_interleave, numbers": lambda x: F.repeat_interleave(x, [2, 0, 1], 1),
    "pad": lambda x: F.pad(x, (1, -1, 0, 2), value=0.5),
    "rms_norm": lambda x: F.rms_norm(x, 3, x[0]),
    "attention": lambda x: F.scaled_dot_product_attention(x, F.pad(x, (0, 0, 0, 1)), F.pad(x, (1, 0, 0, 1))),
    "attention, causal": lambda x: F.scaled_dot_product_attention(x[:1], x, x, is_causal=True),
    "attention, groups": lambda x: F.scaled_dot_product_attention(
        F.repeat_interleave(x[None, None], 2, 1), x[None, None], x[None, None], is_causal=True, enable_gqa=True
    ),
    "mse_loss": lambda x: F.mse_loss(x, x * 2.0),
    "l1_loss": lambda x: F.l1_loss(x, x * 2.0, reduction="sum"),
    "nll_loss": lambda x: F.nll_loss(x, [1, -100], x[0] * x[0]),
    "bce": lambda x: F.binary_cross_entropy_with_logits(x, F.sigmoid(x * 2.0), pos_weight=x[0] * x[0]),
    "kl_div": lambda x: F.kl_div(F.log_softmax(x, -1), F.softmax(x * 2.0, -1), reduction="batchmean"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name):
    gradcheck(FUNCTIONS[name], X)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_on_arrays_of_a_gpu_and_in_float32(name):
    results = []
    for make in (np.asarray, StrictArray):
        x = Tensor(make(X.astype(np.float32)), requires_grad=True)
        y = FUNCTIONS[name](x)
        y.backward(np.ones_like(y.data))
        assert y.dtype == x.grad.dtype == np.float32
        results.append((y.numpy(), Tensor(x.grad).numpy()))
    for got, right in zip(*results, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-6)


INTEGERS = {
    "cumsum": lambda x: F.cumsum(x, 1),
    "prod": F.prod,
    "clamp": lambda x: F.clamp(x, 1),
    "clamp, both": lambda x: F.clamp(x, 0, 1),
    "minimum": lambda x: F.minimum(x, 1),
    "gather": lambda x: F.gather(x, 1, x),
    "sort": lambda x: F.sort(x, 0, descending=True).values,
    "argsort": F.argsort,
    "topk": lambda x: F.topk(x, 2).indices,
    "one_hot": F.one_hot,
    "masked_fill": lambda x: F.masked_fill(x, x.data == 1, -1),
    "tril": F.tril,
    "repeat_interleave": lambda x: F.repeat_interleave(x, 2),
    "pad": lambda x: F.pad(x, (1, 0)),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_stay_integers(name):
    y, strict = (INTEGERS[name](Tensor(make(IDS))) for make in (np.asarray, StrictArray))
    assert y.dtype == np.int64 and isinstance(strict.data, StrictArray)
    np.testing.assert_array_equal(y.data, strict.numpy())


AXIS = {
    "cumsum": F.cumsum,
    "prod": F.prod,
    "logsumexp": F.logsumexp,
    "std": F.std,
    "norm": F.norm,
    "normalize": F.normalize,
    "cosine_similarity": lambda x, **how: F.cosine_similarity(x, x * 2.0 + 1.0, **how),
    "gather": lambda x, **how: F.gather(x, index=IDS % 2, **how),
    "argsort": F.argsort,
    "sort": lambda x, **how: F.sort(x, **how).values,
    "topk": lambda x, **how: F.topk(x, 2, **how).values,
    "repeat_interleave": lambda x, **how: F.repeat_interleave(x, 2, **how),
}


@pytest.mark.parametrize("name", AXIS)
def test_axis_is_another_name_of_dim(name):
    x = Tensor(X)
    for axis in (0, -1):
        np.testing.assert_array_equal(AXIS[name](x, dim=axis).data, AXIS[name](x, axis=axis).data)
    with pytest.raises(TypeError, match="dim= and axis= are two names"):
        AXIS[name](x, dim=0, axis=-1)
    with pytest.raises(ValueError, match="axis 2 is out of range"):
        AXIS[name](x, dim=2)


@pytest.mark.parametrize("name", ["prod", "logsumexp", "std", "norm"])
def test_keepdims_is_another_name_of_keepdim(name):
    function = getattr(F, name)
    for how in ({"keepdim": True}, {"keepdims": True}):
        assert function(X, dim=1, **how).shape == (2, 1)
    with pytest.raises(TypeError, match="keepdim= and keepdims= are two names"):
        function(X, dim=1, keepdim=True, keepdims=False)


@pytest.mark.parametrize("name", ["prod", "cumsum", "logsumexp", "std"])
def test_arguments_that_numpy_hands_on_are_refused(name):
    with pytest.raises(TypeError, match=rf"{name}: has no dtype=; np.{name} takes x.numpy\(\)"):
        getattr(F, name)(X, 0, dtype=np.float32)


def test_equal_elements_keep_their_order():
    x = np.array([[1.0, 2, 1, 2, 0]])
    assert F.argsort(x).data.tolist() == [[4, 0, 2, 1, 3]]
    assert F.argsort(x, descending=True).data.tolist() == [[1, 3, 0, 2, 4]]
    assert F.topk(x, 2).indices.data.tolist() == [[1, 3]] and F.topk(x, 5).indices.data.tolist() == [[1, 3, 0, 2, 4]]
    assert F.topk(x, 3, largest=False).indices.data.tolist() == [[4, 0, 2]]


def test_binary_cross_entropy_keeps_its_digits_where_the_answer_is_sure():
    """log(1 + e^-30) is 9e-14, which 1 + e^-30 does not hold in float32."""
    for x, t in ((30, 1), (-30, 0)):
        loss = F.binary_cross_entropy_with_logits(np.float32([x]), np.float32([t]))
        assert loss.item() == pytest.approx(math.exp(-30), rel=1e-6)


def test_logsumexp_is_blind_to_an_offset():
    x = Tensor(np.float32([[0, 1, -2]]) + np.float32(2**16), requires_grad=True)
    F.logsumexp(x, -1).sum().backward()
    e = np.exp([0.0, 1, -2])
    np.testing.assert_allclose(x.grad[0], e / e.sum(), rtol=1e-6)


def test_ignored_rows_of_nll_loss_count_for_nothing():
    x = Tensor(np.array([[-1.0, -2], [np.nan, -np.inf]]), requires_grad=True)
    loss = F.nll_loss(x, [1, -100])
    loss.backward()
    assert loss.item() == 2 and x.grad.tolist() == [[0, -1], [0, 0]]


def test_einsum_of_letters_that_look_alike_and_of_many_axes():
    x = np.arange(6.0).reshape(1, 2, 3)
    assert F.einsum("aAb->bA", x).data.tolist() == x[0].T.tolist()
    assert F.einsum("...", x).shape == (1, 2, 3) and F.einsum("a...->...a", x).shape == (2, 3, 1)
    assert F.einsum("...->", x).item() == 15


def test_small_functions_refuse_what_they_cannot_do():
    x = Tensor(np.ones(2), requires_grad=True)
    for name in ("sign", "floor", "ceil", "round"):
        with pytest.raises(TypeError, match=rf"{name}: its gradient would be 0 everywhere: write {name}\(x\.detach"):
            getattr(F, name)(x)
        with no_grad():
            getattr(F, name)(x)
    with pytest.raises(ValueError, match=r"dot: expected 1 and 1 axes, got \(2, 3\) and \(3,\)"):
        F.dot(F.ones(2, 3), F.ones(3))
    with pytest.raises(ValueError, match="mv: expected 2 and 1 axes"):
        F.mv(F.ones(3), F.ones(3))
    with pytest.raises(TypeError, match=r"pow: expected a number as exponent, got a Tensor: for x > 0 write exp"):
        F.pow(x, x)


def test_help_shows_a_flag_as_one():
    assert "keepdim: bool = False" in str(inspect.signature(F.sum))
