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
    assert list(tree.parameters())[1] is tree.listed[0].b
    assert tree.num_parameters() == 12


def test_a_tied_parameter_counts_once_under_its_first_name():
    tree = Tree()
    tree.tied = tree.listed[0].a
    tree.listed[1][0].b = tree.first
    names = [name for name, _ in tree.named_parameters()]
    assert names == [n for n in TREE_NAMES if n != "listed.1.0.b"]
    assert len(list(tree.parameters())) == 8 and list(tree.state_dict()) == names


def test_a_parameter_is_a_tensor_that_wants_gradients():
    p = numbers(1.0, 2.0)
    (p * p).sum().backward()
    assert isinstance(p, tg.Tensor) and p.grad.tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match="float"):
        Parameter(np.arange(3))


def test_train_and_eval_reach_every_module_and_a_shared_one_once():
    tree = Tree()
    tree.again = tree.listed[0]
    assert len(list(tree.modules())) == 4
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


# --- PyTorch's habits ------------------------------------------------------------------------------------------------


class Careful(Module):
    """Calls super().__init__() first, as PyTorch asks for, and registers what it holds."""

    def __init__(self):
        super().__init__()
        self.add_module("inner", Linear(2, 3))
        self.register_parameter("scale", numbers(1.0))
        self.register_parameter("nothing", None)
        self.register_buffer("mask", tg.Tensor(np.tril(np.ones((3, 3), bool))))
        self.register_buffer("mean", np.zeros(3, np.float32))
        self.register_buffer("scratch", tg.Tensor(np.zeros(2)), persistent=False)

    def forward(self, x):
        return self.inner(x) * self.scale - self.mean


def test_what_is_registered_is_found_saved_loaded_and_moved():
    module = Careful()
    assert [name for name, _ in module.named_parameters()] == ["inner.weight", "inner.bias", "scale"]
    assert [name for name, _ in module.named_buffers()] == ["mask", "mean", "scratch"]
    assert list(module.state_dict()) == ["inner.weight", "inner.bias", "scale", "mask", "mean"]
    assert not any(buffer.requires_grad for buffer in module.buffers()) and isinstance(module.mean, tg.Tensor)
    module.double()
    assert module.mean.dtype == module.scale.dtype == np.float64 and module.mask.dtype == bool
    module.float()
    state = module.state_dict() | {"mean": [1, 2, 3]}
    assert str(Careful().load_state_dict(state)) == "<All keys matched successfully>"
    other = Careful()
    other.load_state_dict(state)
    assert other.mean.numpy().tolist() == [1, 2, 3] and other(np.ones((1, 2), np.float32)).shape == (1, 3)


def test_buffers_of_modules_inside_have_paths():
    module = Module()
    module.parts = [Careful(), Careful()]
    module.parts[1].mean = module.parts[0].mean
    names = ["parts.0.mask", "parts.0.mean", "parts.0.scratch", "parts.1.mask", "parts.1.scratch"]
    assert [name for name, _ in module.named_buffers()] == names and len(list(module.buffers())) == 5
    assert list(module.named_buffers(recurse=False)) == []
    assert "here.mask" in dict(module.parts[0].named_buffers(prefix="here", recurse=False))


def test_names_that_cannot_be_registered():
    module = Careful()
    for name in ("", "a.b", "forward", "training", 3):
        with pytest.raises(KeyError, match="Careful: expected a free name without dots, got"):
            module.add_module(name, Linear(1, 1))
    with pytest.raises(TypeError, match="Careful: expected a Parameter or None as p, got Tensor of"):
        module.register_parameter("p", tg.Tensor(np.ones(2)))
    with pytest.raises(TypeError, match="Careful: expected a Tensor or None as b, got 3"):
        module.register_buffer("b", 3)


def test_children_are_what_a_module_holds_itself():
    tree = Tree()
    assert [name for name, _ in tree.named_children()] == ["listed.0", "listed.1.0", "by_name.x"]
    tree.again = tree.listed[0]
    tree.listed[0].parent = tree
    assert list(tree.children()) == [tree.listed[0], tree.listed[1][0], tree.by_name["x"]]
    assert list(tree.listed[0].children()) == [tree]


def test_names_may_have_a_prefix_stop_at_the_module_and_repeat():
    tree = Tree()
    tree.tied = tree.listed[0].a
    tree.again = tree.listed[1][0]
    assert [name for name, _ in tree.named_parameters(prefix="model")] == [f"model.{name}" for name in TREE_NAMES]
    direct = ["first", "listed.2.0", "by_name.y", "tied"]
    assert [name for name, _ in tree.named_parameters(recurse=False)] == direct
    every = [name for name, _ in tree.named_parameters(remove_duplicate=False)]
    assert every == [*TREE_NAMES, "tied", "again.b", "again.a"]


def test_apply_calls_for_what_is_inside_first():
    tree, seen = Tree(), []
    tree.again = tree.listed[0]
    tree.by_name["x"].parent = tree
    assert tree.apply(seen.append) is tree
    assert seen == [tree.listed[0], tree.listed[1][0], tree.by_name["x"], tree]


def test_parameters_can_be_frozen_and_trained_again():
    tree = Tree()
    assert tree.listed[0].requires_grad_(False) is tree.listed[0]
    tree.first.requires_grad = False
    assert [name for name, _ in tree.named_parameters()] == TREE_NAMES, "frozen ones are still there"
    assert (tree.num_parameters(), tree.num_parameters(trained=True), tree.num_parameters(trained=False)) == (12, 8, 4)
    (tree.listed[0].a.sum() + tree.by_name["y"].sum()).backward()
    assert tree.listed[0].a.grad is None and tree.by_name["y"].grad is not None
    tree.requires_grad_()
    assert tree.num_parameters(trained=False) == 0
    assert not Parameter(np.ones(2), requires_grad=False).requires_grad
    assert not Parameter(np.ones(2), False).requires_grad


def test_a_module_or_parameter_at_a_path():
    tree = Tree()
    tree.tied = tree.first
    assert tree.get_submodule("listed.1.0") is tree.listed[1][0] and tree.get_submodule("") is tree
    assert tree.get_parameter("by_name.x.a") is tree.by_name["x"].a and tree.get_parameter("tied") is tree.first
    for wrong in ("listed.9", "listed.0.a", "listed"):
        with pytest.raises(AttributeError, match=f"Tree has no Module at '{wrong}'"):
            tree.get_submodule(wrong)
    with pytest.raises(AttributeError, match=r"Tree has no Parameter at 'listed.0'"):
        tree.get_parameter("listed.0")


def test_zero_grad_may_fill_with_zeros():
    layer = Linear(2, 3)
    layer.weight.grad = np.ones((3, 2), np.float32)
    layer.zero_grad(set_to_none=False)
    assert not layer.weight.grad.any() and layer.bias.grad is None


def test_loading_says_what_it_passed_over():
    layer = Linear(2, 3)
    keys = layer.load_state_dict({"weight": np.ones((3, 2)), "other": np.ones(9)}, strict=False)
    assert keys == (["bias"], ["other"]) and keys.missing_keys == ["bias"] and keys.unexpected_keys == ["other"]
    assert str(keys) == "IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['other'])"


def test_a_tied_parameter_is_loaded_under_any_of_its_names():
    model = Module()
    model.a, model.b = Linear(2, 2, bias=False), Linear(2, 2, bias=False)
    model.b.weight = model.a.weight
    one, two = np.ones((2, 2)), np.full((2, 2), 2.0)
    assert model.load_state_dict({"b.weight": one}) == ([], []) and (model.a.weight.data == 1).all()
    assert model.load_state_dict({"b.weight": two, "a.weight": two}) == ([], []) and (model.a.weight.data == 2).all()
    with pytest.raises(ValueError, match=r"b.weight and a.weight are one Parameter here, but differ in the state"):
        model.load_state_dict({"b.weight": one, "a.weight": two})


@pytest.mark.parametrize("name", ["register_forward_hook", "register_full_backward_hook", "register_forward_pre_hook"])
def test_hooks_are_refused_with_the_word(name):
    with pytest.raises(AttributeError, match=r"instead, use with model.watching\(path\) as seen"):
        getattr(Linear(1, 1), name)


def test_what_a_module_holds_comes_as_iterators():
    """As in PyTorch: next(model.parameters()).device is how one asks where a model is."""
    layer = tg.nn.Sequential(Linear(2, 3))
    layer.register_buffer("mean", np.zeros(1, np.float32))
    assert next(layer.parameters()).device == tg.device("cpu")
    assert next(layer.modules()) is layer and isinstance(next(layer.children()), Linear)
    assert next(layer.buffers()) is layer.mean
    given = layer.parameters()
    assert len(list(given)) == 2 and not list(given)


@pytest.mark.parametrize("value", [tg.ones(3, 2), np.ones((3, 2), np.float32), 1.0, Linear(2, 3)])
def test_a_parameter_is_not_silently_replaced(value):
    layer = Linear(2, 3)
    weight = layer.weight
    with pytest.raises(TypeError, match=r"Linear: expected a Parameter or None as weight, got.*nn\.Parameter\(x\)"):
        layer.weight = value
    assert layer.weight is weight
    layer.weight = other = Parameter(np.ones((3, 2), np.float32))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"] and layer.weight is other
    layer.bias = None
    assert list(layer.parameters()) == [other]


def test_a_buffer_stays_one():
    module = Module()
    module.register_buffer("mean", np.zeros(2, np.float32))
    for value in (tg.ones(2), np.ones(2, np.float32)):
        module.mean = value
        assert isinstance(module.mean, tg.Tensor) and list(module.state_dict()) == ["mean"]
        assert module.state_dict()["mean"].tolist() == [1, 1]
    with pytest.raises(TypeError, match=r"expected a Tensor or None as mean, got 0\.5"):
        module.mean = 0.5
    module.mean = None
    assert not list(module.buffers())
