"""x += y and x[...] = y: where a Tensor changes in place, as PyTorch's does, and where it does not."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import nn
from tinygrad_gpt.autograd import Tensor

CHANGES = {
    "+=": lambda x, y: x.__iadd__(y),
    "-=": lambda x, y: x.__isub__(y),
    "*=": lambda x, y: x.__imul__(y),
    "/=": lambda x, y: x.__itruediv__(y),
}


def test_a_hand_written_update_changes_the_parameters():
    model = nn.Linear(3, 2)
    arrays = [p.data for p in model.parameters()]
    before = [a.copy() for a in arrays]
    model(tg.ones(4, 3)).sum().backward()
    with tg.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
    for p, array, was in zip(model.parameters(), arrays, before, strict=True):
        assert p.data is array and p.requires_grad and p.is_leaf and isinstance(p, nn.Parameter)
        assert np.array_equal(array, was - np.float32(0.1) * p.grad) and (array != was).all()


@pytest.mark.parametrize("symbol", CHANGES)
def test_without_gradients_a_leaf_changes_in_place(symbol):
    x = tg.tensor([1.0, 2.0, 4.0], requires_grad=True)
    array, wanted = x.data, eval(f"a {symbol[0]} 2", {"a": x.data.copy()})
    with tg.no_grad():
        assert CHANGES[symbol](x, 2) is x
    assert x.data is array and np.array_equal(array, wanted)


def test_integers_and_booleans_too():
    n, b = tg.tensor([5, 7]), tg.tensor([True, False])
    first, second = n, b
    n //= 2
    n *= n
    n %= 7
    b &= tg.tensor([False, True])
    b |= tg.tensor([False, True])
    b ^= tg.tensor([True, True])
    assert first is n and n.tolist() == [4, 2] and second is b and b.tolist() == [True, False]
    with pytest.raises(TypeError, match=r"\+=: the result would be float32 and x is int64: write x = x \+ y"):
        n += 0.5


@pytest.mark.parametrize("symbol", CHANGES)
def test_a_leaf_that_requires_a_gradient_is_refused(symbol):
    for x in (tg.ones(2, requires_grad=True), nn.Parameter(np.ones(2, np.float32))):
        with pytest.raises(RuntimeError, match=r"a leaf that requires a gradient cannot be changed.*with no_grad\(\)"):
            CHANGES[symbol](x, 2)
        assert x.tolist() == [1, 1]


@pytest.mark.parametrize("view", [lambda w: w[0], lambda w: w.T, lambda w: w.reshape(6)[:3]])
def test_so_is_a_view_of_one(view):
    """Inside no_grad, for an evaluation, the same line would change the weight."""
    w = tg.ones(2, 3, requires_grad=True)
    h = view(w)
    with pytest.raises(RuntimeError, match=r"\(or a view of one\)"):
        h += 1
    h = view(w * 2)
    h += 1  # a view of what was computed


def test_a_computed_tensor_becomes_a_new_one():
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    y = old = w * w
    y += 1
    y *= w
    assert old.tolist() == [1, 4] and y.tolist() == [2, 10]
    y.sum().backward()
    assert w.grad.tolist() == [4, 13]  # 3 w² + 1


def test_a_graph_that_holds_a_leaf_keeps_its_numbers():
    w, x = tg.ones(2, requires_grad=True), tg.ones(2)
    y, old = w * x, x
    x += 1
    assert old.tolist() == [1, 1] and x.tolist() == [2, 2]
    y.sum().backward()
    assert w.grad.tolist() == [1, 1]
    x = tg.ones(2)
    x += w  # a gradient flows
    assert x.requires_grad


def test_an_array_of_somebody_else_is_not_changed_where_a_graph_may_hold_it():
    a = np.ones(2, np.float32)
    x = Tensor(a)
    x += 1
    assert a.tolist() == [1, 1] and x.tolist() == [2, 2]
    mine = other = tg.ones(2)
    mine += 1
    assert mine is other and other.tolist() == [2, 2]


def test_what_does_not_fit_is_refused():
    x = tg.ones(2)
    with tg.no_grad():
        with pytest.raises(ValueError, match=r"\+=: expected what fits x of shape \(2,\).*\(3, 2\)"):
            x += tg.ones(3, 2)
        wide = tg.ones(1).expand(3)
        for change in (lambda: wide.__iadd__(1), lambda: wide.__setitem__(0, 1)):
            with pytest.raises(RuntimeError, match=r"its elements share memory.*x\.clone\(\)"):
                change()
    w = tg.ones(2, requires_grad=True)
    with tg.debug():
        y = w * tg.tensor([1.0, 2.0])
        with tg.no_grad(), pytest.raises(RuntimeError, match=r"read-only"):
            w += 1
    y.sum().backward()


@tg.no_grad()
def test_logits_of_which_few_are_kept():
    """As nanoGPT's generate does it, of a view too."""
    both = tg.tensor([[[0.0, 0, 0], [3.0, 1, 2]]])
    logits = both[:, -1, :]
    v, _ = tg.topk(logits, 2)
    logits[logits < v[:, [-1]]] = -float("inf")
    assert logits.tolist() == [[3, -np.inf, 2]] and both[0, 1].tolist() == logits[0].tolist()
    w = tg.ones(2, 2, requires_grad=True)
    w[0] = 0
    w[1] += 4
    assert w.tolist() == [[0, 0], [5, 5]] and w.requires_grad


def test_a_view_that_alone_is_left_of_its_memory_can_be_changed():
    logits = (tg.ones(1, 2, 3) * 2)[:, -1]
    logits[0, 1] = 7
    assert logits.tolist() == [[2, 7, 2]]
