"""A Tensor as a Python object: one of a single element is a number, it can be copied, and what it cannot do it says."""

import copy
import operator
import pickle
import re

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt import functional as F
from tinygrad_gpt import habits, nn, optim
from tinygrad_gpt.autograd import Tensor

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]], np.float32)


def leaf():
    return Tensor(X.copy(), requires_grad=True)


# --- a number ----------------------------------------------------------------------------------------------------


def test_one_element_is_formatted_as_its_number():
    loss = (leaf() * 0 + 1.23456).mean()
    assert f"{loss:.4f}" == "1.2346" and f"{loss:>8.1f}" == "     1.2" and f"{loss:.1e}" == "1.2e+00"
    assert f"{Tensor([[2.5]]):.2f}" == "2.50" and f"{Tensor(3):d}" == "3"
    assert f"{loss}" == str(loss) == repr(loss)
    assert f"{Tensor(StrictArray(np.float32(2.5))):.2f}" == "2.50"
    with pytest.raises(ValueError, match=r"format '\.4f': expected a Tensor with one element, got shape \(2, 3\)"):
        f"{leaf():.4f}"


def test_an_integer_is_an_index():
    assert [10, 20, 30][Tensor(1)] == 20 and list(range(Tensor(3))) == [0, 1, 2] and "abc"[: Tensor(2)] == "ab"
    for x in (Tensor(1.0), Tensor([True])):
        with pytest.raises(TypeError, match=r"expected an integer as index or size, got Tensor of "):
            [10, 20][x]


def test_round_gives_a_python_number():
    assert round(Tensor(2.567), 1) == 2.6 and round(Tensor(2.567)) == 3
    with pytest.raises(ValueError, match="round: expected a Tensor with one element"):
        round(leaf())


def test_a_value_is_in_a_tensor_where_an_element_equals_it():
    assert 4 in leaf() and np.float32(-1.5) in leaf() and 7.0 not in leaf()
    assert "a" not in leaf() and None not in leaf()


def test_comparisons_take_what_arithmetic_takes():
    np.testing.assert_array_equal(leaf() == [1.0, -2.0, 0.0], X == [1, -2, 0])
    np.testing.assert_array_equal(leaf() < (1, 1, 1), X < 1)
    assert not (leaf() > 10**30).any() and (leaf() < 10**30).all()


# --- copies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_leaf_can_be_copied(again):
    x = leaf()
    x.grad = np.ones_like(X)
    y = again(x)
    assert type(y) is Tensor and y.requires_grad and y.is_leaf
    assert (y.data == X).all() and (y.grad == 1).all()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_graph_is_not_copied(again):
    y = leaf() * 2
    y.retain_grad()
    with pytest.raises(TypeError, match=r"cannot be copied or pickled: take x\.detach\(\)"):
        again(y)
    again(y.detach())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_models_and_optimisers_can_be_copied(again):
    layers = nn.Module()
    layers.first = nn.Linear(3, 2)
    layers.second = nn.Linear(3, 2, weight=layers.first.weight)
    made = again(layers)
    assert made.second.weight is made.first.weight is not layers.first.weight
    assert (made.first.weight.data == layers.first.weight.data).all()
    made.first.weight.data += 1
    assert (made.first.weight.data != layers.first.weight.data).all()
    optimizer = again(optim.AdamW(layers.parameters(), lr=0.5))
    assert optimizer.lr == 0.5 and len(optimizer.params) == 3


# --- what it does not do -----------------------------------------------------------------------------------------


PART = r"cannot be changed in part.*functional\.where.*no_grad\(\)"


def test_parts_cannot_be_assigned_to():
    def assign(x):
        x[0] = 1

    def assign_in_place(x):
        x[0] += 1

    def delete(x):
        del x[0]

    for change in (assign, assign_in_place):
        for x in (leaf(), Tensor(X), leaf() * 2):  # X: somebody else holds that array
            before = x.numpy().copy()
            of_a_leaf = change is assign_in_place and x.is_leaf and x.requires_grad  # x[0] is a view of it
            said = (RuntimeError, "or a view of one") if of_a_leaf else (TypeError, PART)
            with pytest.raises(said[0], match=said[1]):
                change(x)
            assert (x.data == before).all()
    with pytest.raises(TypeError, match=r"^del x\[\.\.\.\]: a Tensor keeps its shape"):
        delete(tg.zeros(3))


def test_parts_of_a_new_tensor_can_be_assigned_to():
    x = tg.zeros(2, 3)
    x[0] = 5
    x[:, 1] = tg.tensor([1.0, 2.0])
    x[x > 4] = -1
    x[1, tg.tensor([0, 2])] = [3, 4]
    x[1] += 1
    assert x.tolist() == [[-1, 1, -1], [4, 3, 5]]
    w = tg.ones(2, 3, requires_grad=True)
    y = w * x  # from here on the graph holds x
    with pytest.raises(TypeError, match="cannot be changed in part where a graph may hold it"):
        x[0] = 1
    y.sum().backward()
    assert w.grad.tolist() == [[-1, 1, -1], [4, 3, 5]]
    view = x[0]
    with pytest.raises(TypeError, match="cannot be changed in part"):
        x[0] = 1
    with pytest.raises(TypeError, match="cannot be changed in part"):
        view[0] = 1
    del view, y
    x[0] = 7
    with pytest.raises(TypeError, match="cannot be changed in part"):
        x[0] = w[0]
    assert x[0].tolist() == [7, 7, 7]


ABSENT = {
    "divmod": divmod,
    "<<": lambda x, y: x << y,
    ">>": lambda x, y: x >> y,
}


@pytest.mark.parametrize("symbol", ABSENT)
def test_operators_that_are_not_there_say_so(symbol):
    for y in (2, leaf(), True):
        with pytest.raises(TypeError, match=rf"^{re.escape(symbol)}: Tensors do not have it, .* x\.numpy\(\)"):
            ABSENT[symbol](leaf(), y)
    with pytest.raises(TypeError, match="Tensors do not have it"):
        ABSENT[symbol](2, leaf())


@pytest.mark.parametrize("symbol", ["&", "|", "^"])
def test_booleans_and_integers_are_combined(symbol):
    combine = {"&": operator.and_, "|": operator.or_, "^": operator.xor}[symbol]
    for a, b in [(X > 0, X < 3), (np.array([1, 2, 12]), np.array([3, 5, 4])), (np.array([True]), np.array([6, 7]))]:
        for left, right in [(Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))]:
            got = combine(left, right)
            assert isinstance(got, Tensor) and got.dtype == combine(a, b).dtype
            np.testing.assert_array_equal(got, combine(a, b))
    for left, right in [(leaf(), X > 0), (X > 0, leaf()), (leaf(), 2), (True, leaf())]:
        with pytest.raises(
            TypeError, match=rf"^{re.escape(symbol)}: expected booleans or integers, got float32 .*\(x > 0"
        ):
            combine(left, right)
    np.testing.assert_array_equal(~(leaf() > 0), X <= 0)
    with pytest.raises(TypeError, match=r"^~: expected booleans or integers"):
        ~leaf()


def test_integers_are_divided_with_a_remainder():
    n = Tensor([7, -7, 3])
    assert (n // 2).tolist() == [3, -4, 1] and (n % 5).tolist() == [2, 3, 3] and (7 % Tensor([4])).tolist() == [3]
    for call in (lambda: leaf() // 2, lambda: leaf() % 2, lambda: 2 // leaf(), lambda: n % 0.5):
        with pytest.raises(TypeError, match=r"^(//|%): Tensors have it for integers only, got float.* x\.numpy\(\)"):
            call()
    with pytest.raises(ZeroDivisionError, match=r"^%: expected no zeros"):
        n % 0


def test_size_is_a_number_that_can_be_called():
    x = leaf()
    assert x.size == 6 and isinstance(x.size, int) and x.numel() == 6 and x.dim() == 2
    assert x.size() == (2, 3) and x.size(0) == 2 and x.size(-1) == 3 and Tensor(1.0).size() == ()
    assert pickle.loads(pickle.dumps(x.size)) == 6
    with pytest.raises(IndexError, match="size: axis 2 is out of range"):
        x.size(2)


@pytest.mark.parametrize("name", habits.TENSOR)
def test_habits_of_pytorch_are_told_what_to_write(name):
    with pytest.raises(AttributeError, match=re.escape(f"instead, use {habits.TENSOR[name]}")):
        getattr(leaf(), name)
    assert not hasattr(leaf(), name) and not hasattr(Tensor, name)


def test_what_habits_name_is_there():
    """So that the advice is not for nothing: each attribute, function and class that it names exists."""
    tables = [table for name, table in vars(habits).items() if name.isupper()]
    named = " ".join(value for table in tables for value in table.values())
    places = {"functional.": F, "nn.": nn, "np.": np, "x.": leaf(), "model.": nn.Linear(1, 1)}
    places |= {"optimizer.": optim.SGD([leaf()], 0.1), "optim.": optim}
    for prefix, owner in places.items():
        names = re.findall(rf"(?<![\w.]){re.escape(prefix)}(\w+)", named)
        assert names, prefix
        for name in set(names) - {"name"}:  # model.name = ...
            assert hasattr(owner, name) or name == "requires_grad", f"{prefix}{name}"


def test_habits_elsewhere():
    for owner, name, advice in [
        (tg, "empty", "zeros"),
        (F, "swish", "functional.silu"),
        (nn, "ParameterList", "a list"),
        (nn.Linear(1, 1), "register_forward_hook", "with model.watching(path) as seen"),
        (optim.SGD([leaf()], 0.1), "state", "optimizer.slots"),
        (optim.lr_scheduler, "OneCycleLR", "optim.warmup_cosine"),
        (optim, "RMSprop", "optim.AdamW"),
        (nn, "Conv2d", "there are no convolutions"),
        (nn.utils, "rnn", "generate.pad_left"),
        (tg.autograd, "Function", "op(name, forward, backward)"),
        (tg, "autocast", "set_matmul_precision"),
    ]:
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'; instead, use .*{re.escape(advice)}"):
            getattr(owner, name)
        with pytest.raises(AttributeError, match="no attribute 'nothing_like_it'"):
            getattr(owner, "nothing_like_it")  # noqa: B009


@pytest.mark.parametrize(
    ("owner", "name", "meant"),
    [(nn, "LayerNrom", "LayerNorm"), (F, "sofmax", "softmax"), (tg, "zeroes", "zeros"), (optim, "AdamWW", "AdamW")],
)
def test_a_name_that_is_almost_right(owner, name, meant):
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}' \(did you mean {meant}\?\)"):
        getattr(owner, name)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: leaf().sum().backward(retain_graph=True), "no retain_graph: a graph is walked once"),
        (lambda: leaf().sum().backward(create_graph=True), "no create_graph: there are no second derivatives"),
        (lambda: F.relu(leaf(), inplace=True), "relu: no inplace=True"),
        (lambda: Tensor(2, 3), r"write zeros\(2, 3\)"),
        (lambda: leaf().type(), r"the one that x has is x\.dtype"),
    ],
)
def test_what_pytorch_takes_besides_is_refused_in_words(call, said):
    with pytest.raises(TypeError, match=said):
        call()
    leaf().sum().backward(retain_graph=False, create_graph=False)


# --- a Tensor where an array belongs: a slot cannot refuse it, so each error that follows says so ---------------------


def _after(name, use):
    def run():
        layer = nn.Linear(2, 2)
        optimizers = [optim.SGD(layer.parameters(), 0.1), optim.AdamW(layer.parameters())]
        layer(tg.ones(1, 2)).sum().backward()
        setattr(layer.weight, name, tg.ones(2, 2))
        return use(layer, optimizers)

    return run


@pytest.mark.parametrize(
    "run",
    [
        _after("data", lambda layer, _: layer(tg.ones(1, 2))),
        _after("data", lambda layer, _: layer.weight + 1),
        _after("data", lambda layer, _: layer.weight.sum()),
        _after("data", lambda layer, optimizers: optimizers[0].step()),
        _after("data", lambda layer, optimizers: optimizers[1].step()),
        _after("grad", lambda layer, optimizers: optimizers[0].step()),
        _after("grad", lambda layer, optimizers: optimizers[1].step()),
        _after("grad", lambda layer, _: layer(tg.ones(1, 2)).sum().backward()),
        _after("grad", lambda layer, _: nn.utils.clip_grad_norm_(layer.parameters(), 1.0)),
    ],
)
def test_a_tensor_as_data_or_grad_is_named(run):
    with pytest.raises(
        TypeError, match=r"\.(data|grad) holds a Tensor, and should hold an array: write p\.data = x\.data"
    ):
        run()


def test_printing_one_names_it_too():
    x = tg.ones(2)
    x.data = tg.ones(2)
    assert repr(x).startswith("Tensor(.data holds a Tensor")


# --- arrays of other kinds ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_an_array():
    matrix = np.matrix(X)
    x = leaf()
    y = x * matrix
    assert type(y.data) is np.ndarray
    np.testing.assert_array_equal(y.data, X * X)
    y.backward(np.matrix(np.ones_like(X)))
    assert type(x.grad) is np.ndarray
    np.testing.assert_array_equal(x.grad, X)
    for made in (Tensor(matrix), tg.tensor(matrix), F.exp(matrix), F.linear(matrix, matrix), matrix + leaf()):
        assert type(made.data) is np.ndarray
    np.testing.assert_array_equal((Tensor(matrix) * Tensor(matrix)).data, X * X)
    assert Tensor(matrix)[0].shape == (3,)
    np.testing.assert_array_equal((leaf() == matrix), np.ones_like(X, bool))


def test_a_memory_map_keeps_its_memory(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    x = Tensor(mapped)
    assert type(x.data) is np.ndarray and np.shares_memory(x.data, mapped)


@pytest.mark.parametrize("use", [Tensor, tg.tensor, F.exp, lambda x: leaf() + x, lambda x: F.linear(leaf(), x)])
def test_hidden_values_do_not_come_to_light(use):
    masked = np.ma.masked_array(X, X > 0)
    with pytest.raises(TypeError, match=r"expected an array, got a masked one: .*x\.filled\("):
        use(masked)


def test_a_table_of_records_is_refused():
    table = np.rec.array([(1.0, 2)], dtype=[("a", float), ("b", int)])
    with pytest.raises(TypeError, match="expected float32, float64, integers or booleans, got "):
        Tensor(table)


def test_tensor_copies_arrays_of_other_libraries_too():
    class Other:
        array = X.copy()

        def __array__(self, dtype=None, copy=None):
            return self.array

    t = tg.tensor(Other())
    t.data[...] = 0
    assert (Other.array == X).all()


def test_an_integer_too_large_for_int64_acts_as_a_float():
    assert tg.tensor(10**30).dtype == tg.tensor([10**30, 1]).dtype == np.float32
    assert tg.tensor(10**30, dtype=np.float64).item() == 1e30
    assert F.maximum(leaf(), 10**30).data.max() == np.float32(1e30)
    for use in (tg.tensor, lambda n: leaf() * n, lambda n: leaf() < n, lambda n: leaf() ** n):
        with pytest.raises(ValueError, match=r"a number that a float can hold, got an integer of about 13\d\d digits"):
            use(21**1000)


def test_the_starting_gradient_may_be_a_tensor():
    for walk in (lambda y, g: y.backward(g), lambda y, g: list(y.backward_steps(g))):
        x = leaf()
        walk(x * 2, Tensor(X))
        np.testing.assert_array_equal(x.grad, 2 * X)
        x = leaf()
        walk(x.sum(), Tensor(3.0))
        np.testing.assert_array_equal(x.grad, np.full_like(X, 3))
