"""What a Module holds, and how it is named, switched, saved and loaded."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.nn import Dropout, LayerNorm, Linear, Module, Parameter


def numbers(*values) -> Parameter:
    return Parameter(np.array(values, np.float32))


class Leaf(Module):
    def __init__(self):
        self.b = numbers(1.0)
        self.a = numbers(2.0, 3.0)


class Tree(Module):
    def __init__(self):
        self.first = numbers(0.0)
        self.size = 3
        self.constant = tg.Tensor(np.ones(2))
        self.listed = [Leaf(), [Leaf()], (numbers(4.0),)]
        self.by_name = {"x": Leaf(), "y": numbers(5.0)}
        self.missing = None


TREE_NAMES = [
    "first",
    "listed.0.b",
    "listed.0.a",
    "listed.1.0.b",
    "listed.1.0.a",
    "listed.2.0",
    "by_name.x.b",
    "by_name.x.a",
    "by_name.y",
]


def test_parameters_are_found_in_order_through_lists_tuples_and_dictionaries():
    tree = Tree()
    assert [name for name, _ in tree.named_parameters()] == TREE_NAMES
    assert tree.parameters()[1] is tree.listed[0].b
    assert tree.num_parameters() == 12


def test_a_tied_parameter_counts_once_under_its_first_name():
    tree = Tree()
    tree.tied = tree.listed[0].a
    tree.listed[1][0].b = tree.first
    names = [name for name, _ in tree.named_parameters()]
    assert names == [n for n in TREE_NAMES if n != "listed.1.0.b"]
    assert len(tree.parameters()) == 8 and list(tree.state_dict()) == names


def test_a_parameter_is_a_tensor_that_wants_gradients():
    p = numbers(1.0, 2.0)
    (p * p).sum().backward()
    assert isinstance(p, tg.Tensor) and p.grad.tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match="float"):
        Parameter(np.arange(3))


def test_train_and_eval_reach_every_module_and_a_shared_one_once():
    tree = Tree()
    tree.again = tree.listed[0]
    assert len(tree.modules()) == 4
    assert all(m.training for m in tree.modules())
    assert tree.eval() is tree
    assert not any(m.training for m in tree.modules())
    tree.train()
    assert all(m.training for m in tree.modules())
    tree.train(False)
    assert not tree.listed[1][0].training


def test_switching_one_model_leaves_another_alone():
    a, b = Dropout(0.5), Dropout(0.5)
    a.eval()
    assert b.training and not a.training


def test_zero_grad_forgets_every_gradient():
    tree = Tree()
    for p in tree.parameters():
        p.grad = np.ones_like(p.data)
    tree.zero_grad()
    assert all(p.grad is None for p in tree.parameters())


def test_to_converts_every_parameter_and_forgets_gradients():
    layer = Linear(2, 3)
    layer.weight.grad = np.ones((3, 2), np.float32)
    weight = layer.weight
    assert layer.to(np.float64) is layer
    assert layer.weight is weight and weight.dtype == layer.bias.dtype == np.float64 and weight.grad is None
    with pytest.raises(TypeError, match="float16"):
        layer.to(np.float16)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Leaf"):
        Leaf()(1)


# --- saving and loading ------------------------------------------------------------------------------------------


def test_a_state_goes_into_the_arrays_that_are_there_in_their_dtype():
    a, b = Linear(2, 3), Linear(2, 3).to(np.float64)
    arrays = [p.data for p in a.parameters()]
    a.load_state_dict(b.state_dict())
    assert all(p.data is array and p.dtype == np.float32 for p, array in zip(a.parameters(), arrays, strict=True))
    assert (a.weight.data == b.weight.data.astype(np.float32)).all()
    b.weight.data += 1
    assert (a.weight.data != b.weight.data.astype(np.float32)).all(), "loading must copy"


def test_a_state_that_does_not_fit_is_refused_whole_and_everything_wrong_is_listed():
    layer = Linear(2, 3)
    before = layer.weight.data.copy()
    state = {"weight": np.ones((2, 3)), "wieght": np.ones((3, 2))}
    with pytest.raises(ValueError) as error:
        layer.load_state_dict(state)
    message = str(error.value)
    assert "Linear" in message and "missing: bias" in message and "unexpected: wieght" in message
    assert "wrong shape: weight (expected (3, 2), got (2, 3))" in message
    with pytest.raises(ValueError):
        layer.load_state_dict({"weight": np.ones((3, 2))})
    assert (layer.weight.data == before).all()


def test_without_strict_names_may_differ_but_shapes_may_not():
    layer = Linear(2, 3)
    layer.load_state_dict({"weight": np.ones((3, 2)), "other": np.ones(9)}, strict=False)
    assert (layer.weight.data == 1).all()
    with pytest.raises(ValueError, match="wrong shape: bias") as error:
        layer.load_state_dict({"bias": np.ones(4)}, strict=False)
    assert "missing" not in str(error.value)


def test_a_state_comes_home_to_numpy_and_goes_back_to_another_kind_of_array():
    layer = LayerNorm(3)
    for p in layer.parameters():
        p.data = StrictArray(p.data)
    state = layer.state_dict()
    assert all(type(a) is np.ndarray for a in state.values())
    layer.load_state_dict({"weight": np.full(3, 5.0), "bias": state["bias"]})
    assert isinstance(layer.weight.data, StrictArray) and (layer.weight.numpy() == 5).all()


def test_evaluating_gives_every_module_its_own_mode_back():
    layers = [Dropout(0.5), Dropout(0.5)]

    class Pair(Module):
        def __init__(self):
            self.layers = layers

    pair = Pair()
    layers[1].eval()
    with pytest.raises(KeyError), pair.evaluating():
        assert not any(module.training for module in pair.modules())
        raise KeyError("whatever happens inside")
    assert [pair.training, *[layer.training for layer in layers]] == [True, True, False]
