"""New Tensors: of numbers, random ones, like another one; conversions, and what the result is on the tape."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.array import set_default_dtype


@pytest.fixture
def float64_by_default():
    set_default_dtype(np.float64)
    yield
    set_default_dtype(np.float32)


@pytest.mark.parametrize("make", [tg.zeros, tg.ones, tg.rand, tg.randn])
def test_sizes_stand_alone_or_in_a_tuple(make):
    for made in (make(2, 3), make((2, 3)), make([2, 3]), make(np.int64(2), 3)):
        assert made.shape == (2, 3) and made.dtype == np.float32 and not made.requires_grad
    assert make(()).shape == () and make(0).shape == (0,)
    assert make(3, dtype=tg.float64, requires_grad=True, device="cpu").requires_grad
    for wrong in [(), (2.5,), ("2",), ((2, None),)]:
        with pytest.raises(TypeError, match=rf"^{make.__name__}: expected "):
            make(*wrong)
    with pytest.raises(ValueError, match=rf"^{make.__name__}: expected sizes >= 0"):
        make(2, -1)


def test_what_they_hold():
    assert tg.zeros(2).tolist() == [0, 0] and tg.ones(2, dtype=tg.int64).tolist() == [1, 1]
    assert tg.full((2,), 7).dtype == np.int64 and tg.full((2,), 7.0).dtype == np.float32
    assert tg.full((), True).dtype == bool and tg.full(3, 0.5).tolist() == [0.5] * 3
    assert tg.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]] and tg.eye(2).shape == (2, 2)
    assert tg.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1] and tg.linspace(3, 4, 1).tolist() == [3]
    for got, right in [
        (tg.arange(4), np.arange(4)),
        (tg.arange(1, 4), np.arange(1, 4)),
        (tg.arange(5, 1, -2), np.arange(5, 1, -2)),
        (tg.arange(0, 1, 0.25), np.arange(0, 1, 0.25, np.float32)),
        (tg.arange(3, dtype=tg.float32), np.arange(3, dtype=np.float32)),
        (tg.arange(0), np.arange(0)),
    ]:
        assert got.dtype == right.dtype
        np.testing.assert_array_equal(got, right)
    for wrong in [(1, 4, -1), (4, 1), (1, 2, 0)]:
        with pytest.raises(ValueError, match=r"^arange: expected a step that leads from"):
            tg.arange(*wrong)


def test_the_default_dtype_is_that_of_new_floats(float64_by_default):
    made = [tg.zeros(2), tg.ones(2), tg.rand(2), tg.randn(2), tg.eye(2), tg.full((2,), 0.5), tg.linspace(0, 1, 2)]
    assert {x.dtype for x in made} == {np.dtype(np.float64)} and (tg.arange(2) / 2).dtype == np.float64


def test_random_numbers_can_be_repeated():
    def drawn():
        tg.manual_seed(5)
        return [tg.rand(3), tg.randn(3), tg.randint(9, (20,)), tg.randperm(9), tg.multinomial(tg.ones(9), 4)]

    first, second = drawn(), drawn()
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert (tg.rand(3) != first[0]).any()


def test_random_numbers_are_distributed_as_said():
    tg.manual_seed(1)
    u, n, i = tg.rand(20_000), tg.randn(20_000), tg.randint(2, 5, (20_000,))
    assert u.min().item() >= 0 and u.max().item() < 1 and abs(u.mean().item() - 0.5) < 0.01
    assert abs(n.mean().item()) < 0.03 and abs(n.std().item() - 1) < 0.02
    assert sorted(set(i.tolist())) == [2, 3, 4] and i.dtype == np.int64
    assert sorted(tg.randperm(50).tolist()) == list(range(50)) != tg.randperm(50).tolist()
    for wrong in [(5,), (5, 3), (1, 2, 3, (4,))]:
        with pytest.raises(TypeError, match=r"^randint: expected"):
            tg.randint(*wrong)
    with pytest.raises(ValueError, match=r"^randint: expected low < high, got 5 and 5"):
        tg.randint(5, 5, (1,))
    with pytest.raises(TypeError, match=r"^rand: expected float32 or float64 as dtype, got int64"):
        tg.rand(2, dtype=tg.int64)


@pytest.mark.parametrize("replacement", [False, True])
def test_indices_are_drawn_as_likely_as_their_weights(replacement):
    tg.manual_seed(2)
    weights = np.float32([[1, 0, 3, 6], [2, 2, 0, 0]])
    first = np.array([tg.multinomial(weights, 2, replacement).data for _ in range(3000)])  # (3000, 2, 2)
    shares = np.array([np.bincount(first[:, row, 0], minlength=4) / 3000 for row in (0, 1)])
    np.testing.assert_allclose(shares, weights / weights.sum(1, keepdims=True), atol=0.04)
    again = (first[:, :, 0] == first[:, :, 1]).mean()
    assert again > 0.2 if replacement else again == 0
    assert tg.tensor(weights[0]).multinomial(1).shape == (1,)


def test_weights_that_cannot_be_drawn_from():
    for weights, n in [([0.0, 0.0], 1), ([1.0, -1.0], 1), ([1.0, float("nan")], 1), ([1.0, 0.0], 2), ([1, 2], 1)]:
        with pytest.raises(ValueError, match=r"^multinomial: expected "):
            tg.multinomial(weights, n)


def test_like_another_one():
    x = tg.tensor(np.ones((2, 3)), requires_grad=True)
    for made in (tg.zeros_like(x), tg.ones_like(x), tg.full_like(x, 2), tg.rand_like(x), tg.randn_like(x)):
        assert made.shape == (2, 3) and made.dtype == np.float64 and not made.requires_grad
    assert tg.zeros_like([1, 2]).dtype == np.int64 and tg.ones_like(x, dtype=tg.float32).dtype == np.float32
    with pytest.raises(TypeError, match=r"^rand: expected float32 or float64 as dtype"):
        tg.rand_like(tg.arange(3))


def test_from_numpy_shares_the_memory():
    array = np.ones(3, np.float32)
    assert tg.from_numpy(array).data is array
    with pytest.raises(TypeError, match=r"^from_numpy: expected a NumPy array, got \[1.0\]"):
        tg.from_numpy([1.0])


def test_a_clone_is_a_copy_with_a_gradient():
    for array in (np.float32(2), np.float32([[1, 2], [3, 4]]).T):
        x = tg.tensor(array, requires_grad=True)
        y = x.clone()
        assert not np.shares_memory(x.data, y.data) and (y == x).all()
        (y * 3).sum().backward()
        np.testing.assert_array_equal(x.grad, np.full_like(x.data, 3))


def test_conversions():
    x = tg.tensor([1.7, 0.0, -2.5])
    assert x.long().tolist() == x.int().tolist() == [1, 0, -2] and x.long().dtype == np.int64 != x.int().dtype
    assert x.bool().tolist() == [True, False, True] and x.double().dtype == np.float64
    assert x.type(tg.int64).dtype == x.type_as(tg.arange(2)).dtype == np.int64
    assert x.to(tg.arange(2)).dtype == np.int64 and x.cpu() is x
    p = tg.tensor([1.0], requires_grad=True)
    assert not p.long().requires_grad  # integers have no gradient in PyTorch either
    with pytest.raises(TypeError, match=r"^to: this Tensor requires a gradient, and none flows back from float64"):
        p.double()


# --- dtypes that meet --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_of_the_other_precision_takes_the_tensors(dtype):
    other = np.float64 if dtype == np.float32 else np.float32
    x = tg.tensor(np.ones((2, 2), dtype), requires_grad=True)
    constant = np.full((2, 2), 0.5, other)
    for y in (x + constant, constant * x, x @ constant, x / other(3), x - np.pi, tg.where(x > 0, x, constant)):
        assert y.dtype == dtype
    for y in (tg.functional.linear(constant, x), tg.functional.layer_norm(x, 2, constant[0]), tg.cat([x, constant])):
        assert y.dtype == dtype
    ((x * constant).sum() * np.float64(2)).backward()
    assert x.grad.dtype == dtype and (x.grad == 1).all()


def test_two_tensors_of_two_precisions_are_an_error():
    a, b = tg.ones(2), tg.ones(2, dtype=tg.float64)
    for call in (lambda: a + b, lambda: b @ a, lambda: tg.where(a > 0, a, b), lambda: tg.cat([a, b])):
        with pytest.raises(TypeError, match="float32 and float64 don't mix"):
            call()


def test_integers_become_floats_beside_floats():
    n, x = tg.arange(3), tg.ones(3, requires_grad=True)
    for y in (n * 0.5, 0.5 + n, n / 2, n / n.clone().masked_fill(n == 0, 1), n - np.float32(1)):
        assert y.dtype == np.float32
    (n * x).sum().backward()
    assert x.grad.tolist() == [0, 1, 2]
    assert (x + np.arange(3)).dtype == ((x > 0) * x).dtype == np.float32
    for y, right in [(n + 1, [1, 2, 3]), (2 * n, [0, 2, 4]), (1 - n, [1, 0, -1]), (-n, [0, -1, -2])]:
        assert y.dtype == np.int64 and y.tolist() == right
    assert tg.maximum(n, 1).tolist() == [1, 1, 2] and abs(n - 2).tolist() == [2, 1, 0]
    assert (n > 0).sum().item() == 2 and (n > 0).sum().dtype == np.int64 and n.sum().dtype == np.int64
    assert n.max().item() == 2 and n.min().item() == 0 and n.amax(0).item() == 2


# --- places, booleans --------------------------------------------------------------------------------------------

X = np.float32([[1, 5, 5], [3, 2, -4]])


def test_where_the_largest_stands():
    x = tg.tensor(X, requires_grad=True)
    assert x.argmax().item() == 1 and x.argmin().item() == 5
    assert x.argmax(1).tolist() == [1, 0] and x.argmin(dim=0).tolist() == [0, 1, 1]
    assert x.argmax(-1, True).tolist() == [[1], [0]] and x.argmax(axis=0, keepdims=True).shape == (1, 3)
    assert x.argmax(keepdim=True).shape == (1, 1) and tg.tensor(3.0).argmax(0).item() == 0
    assert x.argmax().dtype == np.int64 and not x.argmax().requires_grad
    with pytest.raises(TypeError, match=r"^argmax: expected one axis"):
        x.argmax((0, 1))


def test_the_gradient_of_max_along_an_axis_goes_where_the_index_points():
    x = tg.tensor(X, requires_grad=True)
    values, indices = x.max(1)
    assert values.tolist() == [5, 3] and indices.tolist() == [1, 0]
    values.sum().backward()
    assert x.grad.tolist() == [[0, 1, 0], [1, 0, 0]]
    x.grad = None
    x.max(axis=1).sum().backward()  # as amax: a tie shares
    assert x.grad.tolist() == [[0, 0.5, 0.5], [1, 0, 0]]
    assert x.min(0).indices.tolist() == [0, 1, 1] and x.min(dim=1, keepdim=True).values.tolist() == [[1], [-4]]
    assert tg.tensor(2.0).max(0).values.item() == 2


def test_any_and_all():
    x = tg.tensor(X) > 1
    assert x.any().item() is True and x.all().item() is False
    assert x.any(dim=0).tolist() == [True] * 3 and x.all(1, keepdim=True).tolist() == [[False], [False]]
    assert x.all(axis=0).tolist() == [False, True, False] and tg.tensor([1.0, 0.0]).any() and bool(x.any())


# --- NumPy ---------------------------------------------------------------------------------------------------------


def test_numpy_takes_a_tensor_without_gradient():
    x = tg.tensor(X)
    assert np.asarray(x) is x.data and np.array(x) is not x.data and np.asarray(x, np.float64).dtype == np.float64
    np.testing.assert_array_equal(np.where(x > 2, x, 0), np.where(X > 2, X, 0))
    assert np.array([tg.tensor(1.0), tg.tensor(2.0)]).tolist() == [1, 2] and tg.tensor([x, x]).shape == (2, 2, 3)
    with pytest.raises(TypeError, match=r"would lose the gradient.*x\.numpy\(\)"):
        np.asarray(tg.tensor(X, requires_grad=True) * 2)
    with pytest.raises(TypeError, match=r"on the GPU.*x\.numpy\(\)"):
        np.asarray(tg.Tensor(StrictArray(X)))


def test_tensors_index():
    x = tg.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(x[x > 2].data, X[X > 2])
    np.testing.assert_array_equal(x[tg.tensor([1, 0]), tg.tensor([0, 2])].data, X[[1, 0], [0, 2]])
    np.testing.assert_array_equal(X[np.asarray(x > 2)], X[X > 2])


# --- requires_grad -----------------------------------------------------------------------------------------------


def test_requires_grad_can_be_set():
    x = tg.tensor(X)
    assert x.requires_grad_() is x and x.requires_grad
    y = x * 2
    with pytest.raises(RuntimeError, match=r"^requires_grad_: only a leaf's.*x\.detach\(\)"):
        y.requires_grad_(False)
    assert not x.requires_grad_(False).requires_grad
    with pytest.raises(TypeError, match="only float32 and float64 Tensors can require gradients"):
        tg.arange(3).requires_grad_()


def test_modes_as_in_pytorch():
    x = tg.tensor(X, requires_grad=True)
    with tg.no_grad():
        assert not (x * 2).requires_grad and not tg.is_grad_enabled()
        with tg.enable_grad():
            assert (x * 2).requires_grad
        with tg.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad

    @tg.inference_mode()
    def f():
        return x * 2

    assert not f().requires_grad and tg.is_grad_enabled()
    tg.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    tg.set_grad_enabled(mode=True)
    assert (x * 2).requires_grad
    with pytest.raises(TypeError, match=r"^set_grad_enabled: expected True or False as mode"):
        tg.set_grad_enabled("yes")


def test_everything_at_the_top_is_functionals():
    for name in set(tg.__all__) & set(tg.functional.__all__):
        assert getattr(tg, name) is getattr(tg.functional, name)
    assert tg.long == tg.int64 == np.int64 and tg.zeros(1, dtype=tg.bool).dtype == tg.bool and tg.float32 == np.float32
