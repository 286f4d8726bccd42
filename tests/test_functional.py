"""Operators and methods of Tensor: which op they call, numbers and arrays on either side, dtypes, iteration."""

import inspect
import math
import operator

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import registry

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]], np.float32)


def tensor():
    return Tensor(X.copy(), requires_grad=True)


OPERATORS = {
    "x + x": (lambda x: x + x, 2 * X),
    "x + 2": (lambda x: x + 2, X + 2),
    "2 + x": (lambda x: 2 + x, X + 2),
    "x - 2.5": (lambda x: x - 2.5, X - 2.5),
    "2 - x": (lambda x: 2 - x, 2 - X),
    "x * 3": (lambda x: x * 3, X * 3),
    "3 * x": (lambda x: 3 * x, X * 3),
    "x / 4": (lambda x: x / 4, X / 4),
    "1 / x": (lambda x: 1 / x, 1 / X),
    "-x": (lambda x: -x, -X),
    "x ** 2": (lambda x: x**2, X**2),
    "2 ** x": (lambda x: 2**x, 2**X),
    "array + x": (lambda x: X + x, 2 * X),
    "array - x": (lambda x: np.ones(3, np.float32) - x, 1 - X),
    "array * x": (lambda x: X * x, X * X),
    "array / x": (lambda x: X / x, np.ones_like(X)),
    "array @ x": (lambda x: X.T @ x, X.T @ X),
    "x @ array": (lambda x: x @ X.T, X @ X.T),
    "NumPy scalar * x": (lambda x: np.float64(0.5) * x, X / 2),
    "x * NumPy scalar": (lambda x: x * np.float64(0.5), X / 2),
    "x ** NumPy scalar": (lambda x: x ** np.float64(2), X**2),
    "0-d Tensor * x": (lambda x: Tensor(2.0) * x, X * 2),
    "x += 1": (lambda x: x.__add__(1), X + 1),
    "x[0]": (lambda x: x[0], X[0]),
    "x[:, ::2]": (lambda x: x[:, ::2], X[:, ::2]),
    "x[x > 0]": (lambda x: x[x > 0], X[X > 0]),
    "x[-1, None]": (lambda x: x[-1, None], X[-1, None]),
    "x.T": (lambda x: x.T, X.T),
    "x.mT": (lambda x: x.mT, X.T),
    "x.t()": (lambda x: x.t(), X.T),
    "x.transpose(1, 0)": (lambda x: x.transpose(1, 0), X.T),
    "x.transpose(-2, np.int64)": (lambda x: x.transpose(-2, np.int64(1)), X.T),
    "x.permute(1, 0)": (lambda x: x.permute(1, 0), X.T),
    "x.permute((1, 0))": (lambda x: x.permute((1, 0)), X.T),
    "x.swapaxes(-1, 0)": (lambda x: x.swapaxes(-1, 0), X.T),
    "x.reshape(3, -1)": (lambda x: x.reshape(3, -1), X.reshape(3, 2)),
    "x.reshape((6,))": (lambda x: x.reshape((6,)), X.ravel()),
    "x.reshape(array)": (lambda x: x.reshape(np.array([3, 2])), X.reshape(3, 2)),
    "x.reshape(NumPy integers)": (lambda x: x.reshape(np.int64(3), np.int32(2)), X.reshape(3, 2)),
    "x.permute([1, 0])": (lambda x: x.permute([np.int64(1), np.int64(0)]), X.T),
    "x.sum([0, 1])": (lambda x: x.sum([0, 1]), X.sum()),
    "x.sum(array)": (lambda x: x.sum(np.array(1)), X.sum(1)),
    "x.sum(keepdims=1)": (lambda x: x.sum(0, keepdims=1), X.sum(0, keepdims=True)),
    "x.sum(keepdims=np.True_)": (lambda x: x.sum(0, keepdims=np.True_), X.sum(0, keepdims=True)),
    "softmax(axis=np.int64)": (lambda x: F.softmax(x, np.int64(0)), np.exp(X) / np.exp(X).sum(0)),
    "softmax(axis=Tensor)": (lambda x: F.softmax(x, Tensor(0)), np.exp(X) / np.exp(X).sum(0)),
    "split by np.int64": (lambda x: F.split(x, np.int64(1), 1)[1], X[:, 1:2]),
    "split by an array": (lambda x: F.split(x, np.array([1, 2]), -1)[1], X[:, 1:]),
    "split, the rest": (lambda x: x.split(2, dim=1)[1], X[:, 2:]),
    "chunk": (lambda x: x.chunk(3, 1)[1], X[:, 1:2]),
    "chunk, the rest": (lambda x: x.chunk(np.int64(2), axis=-1)[1], X[:, 2:]),
    "cat": (lambda x: F.cat([x, x], dim=1), np.hstack([X, X])),
    "stack": (lambda x: F.stack([x, x], 1), np.stack([X, X], 1)),
    "stack, last": (lambda x: F.stack((x, x), dim=-1), np.stack([X, X], -1)),
    "x.view(3, 2)": (lambda x: x.view(3, 2), X.reshape(3, 2)),
    "x.view of x.T": (lambda x: x.T.view(-1), X.T.ravel()),
    "x.squeeze()": (lambda x: x[:, None].squeeze(), X),
    "x.squeeze(1)": (lambda x: x[:, None].squeeze(1), X),
    "x.squeeze(0)": (lambda x: x.squeeze(0), X),
    "x.unsqueeze(-1)": (lambda x: x.unsqueeze(-1), X[..., None]),
    "x.unsqueeze(0)": (lambda x: x.unsqueeze(dim=0), X[None]),
    "x.flatten()": (lambda x: x.flatten(), X.ravel()),
    "x.flatten(1)": (lambda x: x[None].flatten(1), X.reshape(1, 6)),
    "x.flatten(0, 1)": (lambda x: x[..., None].flatten(0, 1), X.reshape(6, 1)),
    "x.ravel()": (lambda x: x.ravel(), X.ravel()),
    "x.expand(4, -1, 3)": (lambda x: x.expand(4, -1, 3), np.broadcast_to(X, (4, 2, 3))),
    "x.repeat(2, 1, 3)": (lambda x: x.repeat(2, 1, 3), np.tile(X, (2, 1, 3))),
    "x.clone()": (lambda x: x.clone(), X),
    "x.sum().clone()": (lambda x: x.sum().clone(), X.sum()),
    "x.float()": (lambda x: x.float(), X),
    "x.contiguous()": (lambda x: x.T.contiguous(), X.T),
    "x.masked_fill": (lambda x: x.masked_fill(x > 0, 7), np.where(X > 0, np.float32(7), X)),
    "x.masked_fill(array)": (
        lambda x: x.masked_fill(X > 0, float("-inf")).tanh(),
        np.tanh(np.where(X > 0, -np.inf, X)),
    ),
    "x.tril()": (lambda x: x.tril(), np.tril(X)),
    "x.triu(1)": (lambda x: x.triu(1), np.triu(X, 1)),
    "x.add": (lambda x: x.add(2).mul(x).sub(x).div(2).neg().pow(2), ((X + 2) * X - X) ** 2 / 4),
    "concatenate(axis=np.int64)": (lambda x: F.concatenate([x, x], np.int64(1)), np.hstack([X, X])),
    "concatenate of a generator": (lambda x: F.concatenate(row for row in [x, x]), np.vstack([X, X])),
    "x[Tensor:Tensor]": (lambda x: x[Tensor(0) : Tensor(1), np.int64(0) :], X[:1]),
    "x[list of Tensors]": (lambda x: x[[Tensor(1), Tensor(0)]], X[[1, 0]]),
    "x[[]]": (lambda x: x[[]], X[[]]),
    "x.broadcast_to(list)": (lambda x: x.broadcast_to([2, 2, 3]), np.broadcast_to(X, (2, 2, 3))),
    "x.reshape(6)": (lambda x: x.reshape(6), X.ravel()),
    "x.broadcast_to": (lambda x: x.broadcast_to((2, 2, 3)), np.broadcast_to(X, (2, 2, 3))),
    "x.sum()": (lambda x: x.sum(), X.sum()),
    "x.sum(0)": (lambda x: x.sum(0), X.sum(0)),
    "x.sum(np.int64(0))": (lambda x: x.sum(np.int64(0)), X.sum(0)),
    "x.mean(-1, keepdims)": (lambda x: x.mean(-1, keepdims=True), X.mean(-1, keepdims=True)),
    "x.sum(dim=0)": (lambda x: x.sum(dim=0), X.sum(0)),
    "x.sum(0, True)": (lambda x: x.sum(0, True), X.sum(0, keepdims=True)),
    "x.mean(keepdim)": (lambda x: x.mean(dim=-1, keepdim=True), X.mean(-1, keepdims=True)),
    "x.max()": (lambda x: x.max(), X.max()),
    "x.max(1)": (lambda x: x.max(1).values, X.max(1)),
    "x.max(dim, keepdim)": (lambda x: x.max(dim=0, keepdim=True)[0], X.max(0, keepdims=True)),
    "x.max(axis=1)": (lambda x: x.max(axis=1), X.max(1)),
    "x.max(x * 2)": (lambda x: x.max(x * 2), np.maximum(X, 2 * X)),
    "x.min()": (lambda x: x.min(), X.min()),
    "x.min(1)": (lambda x: x.min(1).values, X.min(1)),
    "x.min(axis)": (lambda x: x.min(axis=(0, 1), keepdims=True), X.min(keepdims=True)),
    "x.min(other)": (lambda x: x.min(other=x * 2), np.minimum(X, 2 * X)),
    "x.amax(1)": (lambda x: x.amax(1), X.max(1)),
    "x.amin(keepdim)": (lambda x: x.amin(dim=(0, 1), keepdim=True), X.min(keepdims=True)),
    "x.var()": (lambda x: x.var(), X.var(ddof=1)),
    "x.var(correction)": (lambda x: x.var(1, correction=0), X.var(1)),
    "x.exp()": (lambda x: x.exp(), np.exp(X)),
    "(x * x).log()": (lambda x: (x * x).log(), np.log(X * X)),
    "(x * x).sqrt()": (lambda x: (x * x).sqrt(), np.abs(X)),
    "x.tanh()": (lambda x: x.tanh(), np.tanh(X)),
    "x.sigmoid()": (lambda x: x.sigmoid(), 1 / (1 + np.exp(-X))),
    "abs(x)": (abs, np.abs(X)),
    "x.abs()": (lambda x: x.abs(), np.abs(X)),
    "+x": (lambda x: +x, X),
    "x + list": (lambda x: operator.add(x, [1.0, 2.0, 3.0]), X + np.arange(1, 4)),
    "tuple * x": (lambda x: (1, 2, 3) * x, X * [1, 2, 3]),
    "x * 10**30": (lambda x: x * 10**30, X * np.float32(1e30)),
    "10**30 / x": (lambda x: 10**30 / x, np.float32(1e30) / X),
    "x ** 10**30": (lambda x: x.sigmoid() ** 10**30, np.zeros_like(X)),
    "x.relu()": (lambda x: x.relu(), np.maximum(X, 0)),
    "x.softmax()": (lambda x: x.softmax(), np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
    "where with a number": (lambda x: F.where(X > 0, x, 0), np.where(X > 0, X, 0)),
    "maximum with a number": (lambda x: F.maximum(0.5, x), np.maximum(X, 0.5)),
    "eps as a NumPy scalar": (
        lambda x: F.layer_norm(x, 3, np.ones(3, np.float32), eps=np.float64(1e9)),
        (X - X.mean(-1, keepdims=True)) / math.sqrt(1e9),
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_and_methods(name):
    function, right = OPERATORS[name]
    x = tensor()
    y = function(x)
    assert isinstance(y, Tensor)
    assert y.dtype == np.float32
    assert y.shape == np.shape(right)
    np.testing.assert_allclose(y.data, right, rtol=1e-5, atol=1e-7)
    y.backward(np.ones_like(y.data))
    assert x.grad.dtype == np.float32


def test_every_op_has_its_function():
    for op in registry.op_names():
        assert callable(getattr(F, op)), op
        assert getattr(F, op).__doc__, op


def test_comparisons_give_boolean_tensors():
    x = tensor()
    for got, right in [(x > 0, X > 0), (x <= x, X <= X), (x < X, X < X), (x > 0, X > 0), (x >= 0.5, X >= 0.5)]:
        assert isinstance(got, Tensor) and got.dtype == bool and not got.requires_grad
        np.testing.assert_array_equal(got, right)
    np.testing.assert_array_equal(x == 3, X == 3)
    np.testing.assert_array_equal(x != X, X != X)
    assert (x == None) is False  # noqa: E711 - what has no elements to compare is simply not equal
    assert (x == "text") is False


def test_tensors_are_keys_by_identity():
    a, b = tensor(), tensor()
    assert {a: 1, b: 2}[a] == 1
    assert len({a, b, a}) == 2


def test_iteration_is_over_the_first_axis_and_ends():
    x = tensor()
    rows = list(x)
    assert len(rows) == 2
    (rows[0] + rows[1] * 2).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1, 1, 1], [2, 2, 2]])
    _, b = x
    np.testing.assert_array_equal(b.data, X[1])


def test_iterating_over_a_number_is_an_error():
    with pytest.raises(TypeError, match=r"without axes.*item"):
        list(Tensor(1.0))


def test_a_tensor_of_one_element_is_a_number():
    x = Tensor(2.5)
    assert (float(x), int(x), bool(x), bool(Tensor([0.0]))) == (2.5, 2, True, False)
    with pytest.raises(ValueError, match=r"one element, got shape \(2, 3\)"):
        bool(tensor())
    with pytest.raises(ValueError, match="one element"):
        float(tensor())


def test_numpy_functions_are_refused_and_not_taken_apart():
    for function in (np.asarray, np.linalg.norm, lambda x: np.concatenate([x, x])):
        with pytest.raises(TypeError, match=r"x\.numpy\(\)"):
            function(tensor())
    for function in (np.exp, np.mean):
        with pytest.raises(TypeError):
            function(tensor())


def test_sides_that_are_no_numbers_are_refused():
    for side in ("text", None, {}):
        with pytest.raises(TypeError, match=f"expected Tensors, arrays or numbers, got .*{type(side).__name__}"):
            tensor() + side
        with pytest.raises(TypeError, match=f"expected Tensors, arrays or numbers, got .*{type(side).__name__}"):
            side * tensor()


def test_a_number_takes_the_dtype_of_the_other_side():
    for dtype in (np.float32, np.float64):
        assert (Tensor(X.astype(dtype)) + 0.1).dtype == dtype
        assert (0.1 * Tensor(X.astype(dtype))).dtype == dtype


def test_a_number_is_not_cut_off_to_the_dtype_of_the_other_side():
    condition = np.array([True, False])
    assert F.where(condition, np.array([1, 2], np.int32), 0).dtype == np.int32
    assert F.where(condition, np.array([1, 2], np.int32), 0.5).data.tolist() == [1, 0.5]
    assert F.where(condition, condition, 2).data.tolist() == [1, 2]


def test_sizes_may_be_numpy_integers():
    assert Tensor(X).reshape(np.int64(6)).shape == F.reshape(X, np.int64(6)).shape == (6,)


def test_what_is_no_array_is_named():
    with pytest.raises(TypeError, match=r"linear: expected Tensors or arrays, got list: convert with tensor\(\)"):
        F.linear(X, [[1.0, 2.0, 3.0]])


def test_lists_are_taken_where_arrays_are():
    assert F.embedding([[0, 1]], X).shape == (1, 2, 3)
    assert F.cross_entropy(X, [0, 2]).shape == ()
    assert F.exp([0.0, 1.0]).dtype == np.float32
    assert F.concatenate([[1.0], [2.0]]).data.tolist() == [1, 2]


def test_split_gives_a_tuple():
    a, b, c = F.split(tensor(), 1, 1)
    assert (a.shape, b.shape, c.shape) == ((2, 1), (2, 1), (2, 1))
    _, rest = F.split(tensor(), [1, 2], axis=-1)
    assert rest.shape == (2, 2)


def test_gradients_flow_through_some_outputs_of_a_split():
    x = tensor()
    F.chunk(x, 3, 1)[1].sum().backward()
    np.testing.assert_array_equal(x.grad, [[0, 1, 0], [0, 1, 0]])


def test_no_axes_are_all_axes_as_dim_and_none_as_axis():
    x = Tensor(np.arange(6.0).reshape(2, 3))
    for name in ("sum", "mean", "amax", "amin", "var", "std", "logsumexp", "prod"):
        function = getattr(F, name)
        assert function(x, ()).item() == function(x).item() == function(x, [], keepdim=True).item()
        assert function(x, (), keepdim=True).shape == (1, 1)
    assert F.norm(x, 2, ()).item() == F.norm(x).item()
    assert x.sum(axis=()).shape == (2, 3)
    assert F.any(x > 3, ()).shape == F.all(x > 3, dim=()).shape == (2, 3)


def test_small_unsigned_integers_as_pytorch_has_them():
    u = Tensor(np.array([1, 2, 250], np.uint8))
    for y, dtype, values in [
        (u.sum(), np.int64, 253),
        (u.prod(), np.int64, 500),
        (u.cumsum(0), np.int64, [1, 3, 253]),
        (u // 2, np.uint8, [0, 1, 125]),
        (u % 7, np.uint8, [1, 2, 5]),
        (2 // u, np.uint8, [2, 1, 0]),
        (u // Tensor([2, 2, 2]), np.int64, [0, 1, 125]),
        (2**u, np.uint8, [2, 4, 0]),
        (2 ** Tensor([1, 2]), np.int64, [2, 4]),
    ]:
        assert y.dtype == dtype and y.tolist() == values
    with pytest.raises(ValueError, match=r"pow: expected exponents >= 0 for the integer 2, got -1: write 2[.]0"):
        2 ** Tensor([1, -1])


def test_what_integers_cannot_hold_is_refused():
    u = Tensor(np.array([1, 2, 250], np.uint8))
    for call, name in [
        (lambda v: F.full_like(u, v), "full: expected a number that uint8 can hold as fill_value"),
        (lambda v: F.pad(u, (1, 1), value=v), "pad: expected a number that uint8 can hold as value"),
        (lambda v: F.full(3, v, dtype=np.uint8), "full: expected a number that uint8 can hold as fill_value"),
    ]:
        assert call(255.0).tolist()[0] == 255
        for value in (np.inf, -1, 256):
            with pytest.raises(ValueError, match=f"^{name}, got {value}"):
                call(value)
    with pytest.raises(ValueError, match="masked_fill: expected a number that uint8 can hold as value, got -1"):
        F.masked_fill(u, u > 1, -1)


def test_booleans_are_not_subtracted():
    mask = Tensor(np.array([True, False]))
    for call in (lambda: 1 - mask, lambda: mask - 1, lambda: mask - Tensor([1, 2]), lambda: mask - mask):
        with pytest.raises(TypeError, match="sub: booleans are not subtracted: write ~a, "):
            call()


def test_copies_are_copies_where_nothing_is_repeated():
    for shape, dims in (((2, 3), (1, 1)), ((2, 1), (1, 3)), ((1,), (2,)), ((), (1,))):
        x = Tensor(np.ones(shape), requires_grad=True)
        for y in (x.repeat(*dims), F.tile(x, dims), F.repeat_interleave(x, 1), F.pad(x, (0,) * 2 * x.ndim), x.clone()):
            before = y.numpy().copy()
            y.data.reshape(-1)[:1] = 7
            assert (x.data == 1).all() and (y.data != before).sum() == 1
            y.sum().backward()
    x = Tensor(np.arange(6.0).reshape(2, 3))
    for y in (F.repeat_interleave(x, 1, 0), F.pad(x, (-1, 0)), F.pad(Tensor(np.arange(3)), (0, 0))):
        y.data[...] = 9
    assert x.data.max() == 5


def test_floats_from_numpy_take_the_dtype_of_the_tensor():
    x = Tensor(np.random.default_rng(0).random((3, 4)).astype(np.float32), requires_grad=True)
    a, ids = np.random.default_rng(1).random((3, 4)), np.array([0, 1, 2])
    log_p = F.log_softmax(x, -1)
    for y, right in [
        (F.kl_div(log_p, a), F.kl_div(log_p, a.astype(np.float32))),
        (F.binary_cross_entropy_with_logits(x, a), F.binary_cross_entropy_with_logits(x, a.astype(np.float32))),
        (F.cosine_similarity(a, x), F.cosine_similarity(a.astype(np.float32), x)),
        (F.nll_loss(log_p, ids, weight=a[0]), F.nll_loss(log_p, ids, weight=a[0].astype(np.float32))),
        (F.stack([a, x]), F.stack([a.astype(np.float32), x])),
        (F.minimum(a, x), F.minimum(a.astype(np.float32), x)),
    ]:
        assert y.dtype == np.float32 and y.requires_grad and (y.data == right.data).all()
    for refused in (lambda: F.stack([x, Tensor(a)]), lambda: F.kl_div(log_p, Tensor(a)), lambda: x + Tensor(a)):
        with pytest.raises(TypeError, match="float32 and float64 don't mix"):
            refused()


def test_products_of_some_elements_may_be_larger_than_float32_has():
    for values in ([1e-20, 1e-20, 1e25, 1e25], [1e-30, 1e-30, 1e30, 1e25]):
        x = Tensor(np.array(values, np.float32), requires_grad=True)
        F.prod(x).backward()
        exact = x.data.astype(np.float64)
        np.testing.assert_allclose(x.grad, np.prod(exact) / exact, rtol=1e-6)


def test_the_gradient_at_nan_is_dy_or_nan():
    """As PyTorch's: what came to nan must not look like a 0 that was learned."""
    x = Tensor(np.array([[1, np.nan, 3], [5, 2, 5]]), requires_grad=True)
    for y, right in [
        (F.relu(x), [[1, 1, 1], [1, 1, 1]]),
        (F.maximum(x, 2.0), [[0, 1, 1], [1, 0.5, 1]]),
        (F.minimum(x, np.nan), [[1, 1, 1], [1, 1, 1]]),
        (F.amax(x, 1), [[np.nan] * 3, [0.5, 0, 0.5]]),
        (F.amin(x, 1), [[np.nan] * 3, [0, 1, 0]]),
    ]:
        x.grad = None
        y.sum().backward()
        np.testing.assert_array_equal(x.grad, right)


@pytest.mark.parametrize("shape, axes", [((100_000, 2), 0), ((3, 70_000, 2), (0, 1)), ((3, 70_000, 2), 1)])
def test_sums_of_many_rows_keep_their_digits(shape, axes):
    """0.1 is added many times: rounded each time, the sums would be wrong in the third digit."""
    x = Tensor(np.full(shape, 0.1, np.float32))
    n = np.prod([shape[a] for a in np.atleast_1d(axes)])
    row = Tensor(np.zeros([1 if a in np.atleast_1d(axes) else k for a, k in enumerate(shape)], np.float32), True)
    for y, right in [(x.sum(axes), n * np.float64(np.float32(0.1))), (x.mean(axes), 0.1)]:
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.data, right, rtol=5e-5)
    (row + x).backward(x.data)
    np.testing.assert_allclose(row.grad, n * 0.1, rtol=5e-5)
    assert x.sum(axes, keepdim=True).shape == row.shape


def test_signatures_say_false():
    assert "keepdim: bool = False" in str(inspect.signature(F.sum))
