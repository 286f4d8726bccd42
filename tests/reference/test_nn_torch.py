"""Layers and modules beside PyTorch's: arguments and defaults, names, values, how they are printed."""

import inspect

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.reference

# name -> (its arguments, those that PyTorch has and we have not)
LAYERS = {
    "Linear": ((4, 3), {"device", "dtype"}),
    "Embedding": (
        (5, 3),
        {"max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze", "device", "dtype"},
    ),
    "LayerNorm": ((4,), {"device", "dtype"}),
    "Dropout": ((0.25,), set()),
    "Identity": ((), set()),
    "ReLU": ((), set()),
    "GELU": ((), set()),
    "SiLU": ((), set()),
    "Tanh": ((), set()),
    "Sigmoid": ((), set()),
    "Softmax": ((-1,), set()),
    "LogSoftmax": ((1,), set()),
    "Flatten": ((), set()),
    "RMSNorm": ((4,), {"device", "dtype"}),
}


def arguments(function) -> list[tuple]:
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in found if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]


@pytest.mark.parametrize("name", LAYERS)
def test_arguments_and_defaults_are_pytorch_s(name):
    if name == "Identity":  # any arguments
        return
    theirs = arguments(getattr(torch.nn, name).__init__)
    assert arguments(getattr(nn, name).__init__) == [given for given in theirs if given[0] not in LAYERS[name][1]]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_and_says_what_pytorch_s_does(name):
    given = LAYERS[name][0]
    ours, theirs = getattr(nn, name)(*given), getattr(torch.nn, name)(*given)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs).replace(", inplace=False", "")
    ours.eval(), theirs.eval()
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    x = np.array([[0, 4], [2, 2]]) if name == "Embedding" else x
    y = ours(x)
    np.testing.assert_allclose(getattr(y, "data", y), theirs(torch.from_numpy(x)).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "BCEWithLogitsLoss"])
def test_a_loss_has_pytorch_s_names_and_defaults_and_value(name):
    ours, theirs = [inspect.signature(getattr(m, name).__init__).parameters for m in (nn, torch.nn)]
    assert {p: q.default for p, q in ours.items()} == {
        p: q.default for p, q in theirs.items() if p not in ("size_average", "reduce")
    }
    x, y = np.random.default_rng(0).standard_normal((2, 4, 3))
    y = np.array([0, 2, 1, 2]) if name in ("CrossEntropyLoss", "NLLLoss") else y
    value = getattr(torch.nn, name)()(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert getattr(nn, name)()(x, y).item() == pytest.approx(value)


def test_the_settings_of_layer_norm():
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    for given in ((4, 0.5), (4, 1e-3, False), ([4], 1e-5, True, False), (4, 1e-5, False, True)):
        ours, theirs = nn.LayerNorm(*given), torch.nn.LayerNorm(*given)
        assert repr(ours) == repr(theirs)
        assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
        np.testing.assert_allclose(ours(x).data, theirs(torch.from_numpy(x)).detach().numpy(), atol=1e-6)


def nets(module, parameter, tensor):
    """The same model, written for either library."""

    class Block(module.Module):
        def __init__(self):
            super().__init__()
            self.norm = module.LayerNorm(4)
            self.net = module.Sequential(module.Linear(4, 8), module.GELU(), module.Linear(8, 4, bias=False))
            self.register_buffer("mask", tensor)

        def forward(self, x):
            return x + self.net(self.norm(x)) * self.mask

    class Net(module.Module):
        def __init__(self):
            super().__init__()
            self.scale = parameter
            self.layers = module.ModuleDict(
                {"embed": module.Embedding(5, 4), "blocks": module.ModuleList([Block() for _ in range(2)])}
            )
            self.head = module.Linear(4, 5, bias=False)
            self.head.weight = self.layers["embed"].weight

        def forward(self, ids):
            x = self.layers["embed"](ids) * self.scale
            for block in self.layers["blocks"]:
                x = block(x)
            return self.head(x)

    return Net()


def test_a_model_written_for_pytorch_has_the_same_names_and_values():
    values = np.arange(4, dtype=np.float32)
    ours = nets(nn, nn.Parameter(np.ones(4, np.float32)), tg.tensor(values))
    theirs = nets(torch.nn, torch.nn.Parameter(torch.ones(4)), torch.from_numpy(values))
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})  # both names of the tie
    for what in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        mine, other = [[name for name, _ in getattr(net, what)()] for net in (ours, theirs)]
        assert sorted(mine) == sorted(other), what
    assert set(theirs.state_dict()) - set(ours.state_dict()) == {"head.weight", "layers.blocks.1.mask"}  # shared ones
    for settings in (dict(prefix="net"), dict(remove_duplicate=False), dict(recurse=False)):
        mine, other = [[name for name, _ in net.named_parameters(**settings)] for net in (ours, theirs)]
        assert sorted(mine) == sorted(other), settings
    ids = np.array([[0, 4, 2]])
    y, z = ours(ids), theirs(torch.from_numpy(ids))
    np.testing.assert_allclose(y.data, z.detach().numpy(), atol=1e-5)
    y.sum().backward()
    z.sum().backward()
    grads = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad, grads[name], rtol=1e-4, atol=1e-5)


MODULE = [
    "add_module", "apply", "children", "eval", "float", "double", "get_parameter", "get_submodule", "load_state_dict",
    "named_buffers", "named_children", "named_parameters", "parameters", "register_buffer", "register_parameter",
    "requires_grad_", "train", "zero_grad",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULE)
def test_a_method_of_module_takes_pytorch_s_arguments(name):
    theirs = [given for given in arguments(getattr(torch.nn.Module, name)) if given[0] != "assign"]
    assert arguments(getattr(nn.Module, name)) == theirs


INIT = [
    "constant_", "zeros_", "ones_", "eye_", "uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_",
    "kaiming_uniform_", "kaiming_normal_", "orthogonal_", "calculate_gain",
]  # fmt: skip


@pytest.mark.parametrize("name", INIT)
def test_nn_init_takes_pytorch_s_arguments(name):
    theirs = [given for given in arguments(getattr(torch.nn.init, name)) if given[0] != "generator"]
    assert arguments(getattr(nn.init, name)) == theirs


SETTINGS = {
    "uniform_": dict(a=-1.0, b=3.0),
    "normal_": dict(mean=1.0, std=0.1),
    "trunc_normal_": dict(mean=0.5, std=1.0, a=-1.0, b=1.5),
    "xavier_uniform_": dict(gain=2.0),
    "xavier_normal_": dict(gain=0.5),
    "kaiming_uniform_": dict(a=5**0.5, mode="fan_out"),
    "kaiming_normal_": dict(nonlinearity="tanh"),
    "orthogonal_": dict(gain=2.0),
}


@pytest.mark.parametrize("settings", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_nn_init_draws_from_pytorch_s_distribution(name, settings):
    given = SETTINGS[name] if settings else {}
    tg.manual_seed(0)
    torch.manual_seed(0)
    ours = getattr(nn.init, name)(nn.Parameter(np.empty((300, 500), np.float32)), **given).data
    theirs = getattr(torch.nn.init, name)(torch.empty(300, 500), **given).numpy()
    where = [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99]
    np.testing.assert_allclose(np.quantile(ours, where), np.quantile(theirs, where), atol=0.03 * theirs.std() + 1e-9)
    assert abs(ours.std() / theirs.std() - 1) < 0.01


def test_gains_are_pytorch_s():
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))


@pytest.mark.parametrize("name", ["clip_grad_norm_", "clip_grad_value_"])
def test_clipping_is_pytorch_s(name):
    theirs = [given for given in arguments(getattr(torch.nn.utils, name)) if given[0] != "foreach"]
    assert arguments(getattr(nn.utils, name)) == theirs
    rng = np.random.default_rng(1)
    mine = [nn.Parameter(np.zeros(shape)) for shape in ((3, 4), (5,))]
    other = [torch.nn.Parameter(torch.zeros(p.shape, dtype=torch.float64)) for p in mine]
    for p, q in zip(mine, other, strict=True):
        p.grad = rng.standard_normal(p.shape)
        q.grad = torch.from_numpy(p.grad.copy())
    a, b = getattr(nn.utils, name)(mine, 0.7), getattr(torch.nn.utils, name)(other, 0.7)
    assert (a is None and b is None) or a.item() == pytest.approx(b.item())
    for p, q in zip(mine, other, strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)
