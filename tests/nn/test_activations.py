"""Functions as Modules: what they compute, how they are printed, and what they refuse."""

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt import nn

X = np.random.default_rng(0).standard_normal((2, 3, 4))
MODULES = {
    "Identity()": (nn.Identity(54, unused=1), lambda x: x),
    "ReLU()": (nn.ReLU(), F.relu),
    "GELU(approximate='none')": (nn.GELU(), lambda x: F.gelu(x, approximate="none")),
    "GELU(approximate='tanh')": (nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "SiLU()": (nn.SiLU(), F.silu),
    "Tanh()": (nn.Tanh(), F.tanh),
    "Sigmoid()": (nn.Sigmoid(), F.sigmoid),
    "Softmax(dim=1)": (nn.Softmax(1), lambda x: F.softmax(x, 1)),
    "Flatten(start_dim=1, end_dim=-1)": (nn.Flatten(), lambda x: F.reshape(x, (2, 12))),
    "LogSoftmax(dim=-1)": (nn.LogSoftmax(dim=-1), lambda x: F.log_softmax(x, -1)),
}


@pytest.mark.parametrize("said", MODULES)
def test_a_module_computes_its_function_and_says_its_settings(said):
    module, function = MODULES[said]
    y, expected = module(X), function(X)
    assert (np.asarray(getattr(y, "data", y)) == np.asarray(getattr(expected, "data", expected))).all()
    assert repr(module) == str(module) == said and not list(module.parameters())


def test_what_is_refused():
    for make in (nn.ReLU, nn.SiLU, lambda inplace: nn.Dropout(0.5, inplace)):
        with pytest.raises(TypeError, match="expected inplace=False, got True: no op writes to its input"):
            make(inplace=True)
    with pytest.raises(TypeError, match=r"Softmax: expected the axis as dim, got None"):
        nn.Softmax()
    with pytest.raises(ValueError, match='GELU: expected approximate="none" or "tanh", got \'fast\''):
        nn.GELU("fast")


def test_functional_is_at_pytorch_s_place():
    import tinygrad_gpt.nn.functional as G

    assert nn.functional is G and G.__all__ == F.__all__
    assert all(getattr(G, name) is getattr(F, name) for name in F.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing_like_it'"):
        G.nothing_like_it  # noqa: B018
