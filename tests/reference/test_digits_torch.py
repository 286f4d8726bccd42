"""Where digits are easily lost, no more of them are than by PyTorch: float32 versions of both against float64."""

import numpy as np
import pytest

from tests.digits import normal
from tinygrad_gpt.kernels import registry

torch = pytest.importorskip("torch")
TF = torch.nn.functional

pytestmark = pytest.mark.reference

ROWS, C = 16, 300
WEIGHT, BIAS = 1 + 0.1 * normal(C), normal(C, seed=1)
TARGETS = np.arange(ROWS) * 11
CASES = {
    "gelu": (TF.gelu, {"approximate": "none"}),
    "gelu, tanh": (lambda x: TF.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
    "silu": (TF.silu, {}),
    "sigmoid": (torch.sigmoid, {}),
    "tanh": (torch.tanh, {}),
    "softmax": (lambda x: torch.softmax(x, -1), {}),
    "log_softmax": (lambda x: torch.log_softmax(x, -1), {}),
    "var": (lambda x: x.var(-1, correction=0), {"axis": -1, "correction": 0}),
    "cross_entropy": (
        lambda x: TF.cross_entropy(x, torch.tensor(TARGETS), reduction="none"),
        {"reduction": "none"},
    ),
    "layer_norm": (
        lambda x: TF.layer_norm(x, (C,), torch.tensor(WEIGHT).to(x.dtype), torch.tensor(BIAS).to(x.dtype)),
        {},
    ),
}


def others(op: str, dtype) -> tuple:
    return {"cross_entropy": (TARGETS,), "layer_norm": (WEIGHT.astype(dtype), BIAS.astype(dtype))}.get(op, ())


@pytest.mark.parametrize("offset", [0, -6, 100, 1e4, 1e6])
@pytest.mark.parametrize("name", CASES)
def test_no_more_digits_are_lost_than_by_pytorch(name, offset):
    theirs, settings = CASES[name]
    op = name.split(",")[0]
    x = (normal(ROWS, C) + offset).astype(np.float32)

    def of_torch(x, dy=None):
        x = torch.tensor(x, requires_grad=True)
        y = theirs(x)
        dy = normal(*y.shape, seed=2).astype(np.float32) if dy is None else dy
        y.backward(torch.tensor(dy).to(y.dtype))
        return dy, [y.detach().numpy().astype(np.float64), x.grad.numpy().astype(np.float64)]

    dy, of_pytorch = of_torch(x)
    _, right = of_torch(x.astype(np.float64), dy)
    arrays = (x, *others(op, np.float32))
    for version in registry.versions(op):
        if version.name != "cuda" and version.why_not(*arrays, **settings) is None:
            y, saved = version.forward(*arrays, **settings)
            ours = [y, version.backward(dy, saved)[0]]
            for what, got, pytorch, exact in zip(("y", "dx"), ours, of_pytorch, right, strict=True):
                lost, allowed = np.abs(got - exact).max(), np.abs(pytorch - exact).max()
                one_unit = np.finfo(np.float32).eps * max(1.0, np.abs(exact).max())
                assert lost <= 1.5 * allowed + one_unit, f"{what} of {version}: {lost:.1e}, PyTorch's {allowed:.1e}"
