"""A GPT trained side by side with the same GPT written in PyTorch: equal losses, gradients and parameters.

Relative error is measured tensor by tensor: max |ours - theirs| / max |theirs|.

Agreement at initialisation proves little, since biases are 0 and norms are 1 there. So every parameter is random, and
three AdamW updates with clipping and weight decay lie between the first comparison and the last.
"""

from itertools import product

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.optim import AdamW, clip_grad_norm, decay_matrices

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.reference


TOLERANCE = {np.float64: 1e-10, np.float32: 2e-5}
LR, BETAS, DECAY, MAX_NORM = 3e-3, (0.9, 0.99), 0.1, 0.5
# AdamW divides every element of a gradient by its own size, rounding errors included where there is nothing else (the
# gradient of key biases is 0). In float32 a larger eps keeps those from moving parameters by whole steps of lr.
EPS = {np.float64: 1e-8, np.float32: 1e-5}
B, V = 3, 61

MODELS = [
    dict(norm=norm, tied=tied, bias=bias, activation=activation)
    for (norm, tied, bias), activation in zip(
        product(("pre", "post"), (True, False), (True, False)), ("gelu_tanh", "gelu") * 4, strict=True
    )
]
MODELS += [
    dict(norm="pre", tied=True, bias=True, activation="gelu"),
    dict(norm="pre", tied=True, bias=True, activation="relu"),
]


def random_model(dtype, **settings) -> GPT:
    """A GPT whose every parameter is random, biases and norms too, with weights large enough to matter."""
    model = GPT(GPTConfig(V, block_size=70, n_layer=2, n_head=3, n_embd=48, **settings)).to(dtype)
    rng = np.random.default_rng(7)
    for name, p in model.named_parameters():
        if p.ndim == 1:
            p.data[...] = rng.normal(1.0 if name.endswith("norm.weight") else 0.0, 0.3, p.shape)
        else:
            p.data[...] = rng.normal(0.0, 0.15, p.shape)
    return model


def torch_loss(p: dict, config: GPTConfig, ids, targets):
    """The same model in PyTorch, from a dictionary of its parameters."""
    from torch.nn import functional as F

    def linear(name, x):
        return F.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p.get(f"{name}.bias"))

    def attention(name, x):
        b, t, c = x.shape
        q, k, v = (
            y.view(b, t, config.n_head, c // config.n_head).transpose(1, 2)
            for y in linear(f"{name}.qkv", x).split(c, dim=-1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return linear(f"{name}.out", y.transpose(1, 2).reshape(b, t, c))

    def feed_forward(name, x):
        x = linear(f"{name}.up", x)
        if config.activation == "relu":
            x = F.relu(x)
        else:
            x = F.gelu(x, approximate="tanh" if config.activation == "gelu_tanh" else "none")
        return linear(f"{name}.down", x)

    x = p["token_embedding.weight"][ids] + p["position_embedding.weight"][: ids.shape[1]]
    for i in range(config.n_layer):
        block = f"blocks.{i}"
        if config.norm == "pre":
            x = x + attention(f"{block}.attention", norm(f"{block}.attention_norm", x))
            x = x + feed_forward(f"{block}.feed_forward", norm(f"{block}.feed_forward_norm", x))
        else:
            x = norm(f"{block}.attention_norm", x + attention(f"{block}.attention", x))
            x = norm(f"{block}.feed_forward_norm", x + feed_forward(f"{block}.feed_forward", x))
    if config.norm == "pre":
        x = norm("final_norm", x)
    logits = F.linear(x, p["token_embedding.weight" if config.tied else "head.weight"])
    return F.cross_entropy(logits.view(-1, config.vocab_size), targets.reshape(-1))


def relative(ours, theirs) -> float:
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def versions_used(loss) -> set[str]:
    """Run backward; the names of the versions that ran for the op the kernels matter most for."""
    return {step.version for step in loss.backward_steps() if step.op == "attention"}


def compare(dtype, version: str, t: int, **settings) -> dict[str, float]:
    """The worst relative errors of three training steps."""
    model = random_model(dtype, **settings)
    ours = AdamW(decay_matrices(model.named_parameters(), DECAY), LR, BETAS, EPS[dtype])
    p = {name: torch.from_numpy(a.copy()).requires_grad_() for name, a in model.state_dict().items()}
    groups = [
        {"params": [x for x in p.values() if x.ndim >= 2], "weight_decay": DECAY},
        {"params": [x for x in p.values() if x.ndim < 2], "weight_decay": 0.0},
    ]
    theirs = torch.optim.AdamW(groups, LR, BETAS, EPS[dtype])
    rng = np.random.default_rng(8)
    worst = {"loss": 0.0, "norm": 0.0, "gradient": 0.0, "parameter": 0.0}

    def note(what, error):
        worst[what] = max(worst[what], error)

    for _ in range(3):
        ids = rng.integers(0, V, (B, t + 1))
        x, y = ids[:, :-1], ids[:, 1:]
        ours.zero_grad()
        loss = model.loss(x, y)
        assert loss.dtype == dtype
        assert versions_used(loss) == {version}
        theirs.zero_grad()
        their_loss = torch_loss(p, model.config, torch.from_numpy(x), torch.from_numpy(y))
        their_loss.backward()

        note("loss", relative(loss.data, their_loss))
        for name, parameter in model.named_parameters():
            note("gradient", relative(parameter.grad, p[name].grad))
        norm = clip_grad_norm(model.parameters(), MAX_NORM)
        their_norm = torch.nn.utils.clip_grad_norm_(p.values(), MAX_NORM)
        assert norm > MAX_NORM
        note("norm", relative(norm, their_norm))
        ours.step()
        theirs.step()
        for name, array in model.state_dict().items():
            note("parameter", relative(array, p[name]))
    return worst


def test_the_tolerance_would_notice_an_error_in_one_small_gradient():
    a = torch.linspace(-1, 1, 101, dtype=torch.float64)
    b = a.numpy().copy()
    b[50] += 1e-9
    assert relative(a.numpy(), a) == 0 and relative(b, a) > TOLERANCE[np.float64]


@pytest.mark.parametrize(("version", "t"), [("reference", 37), ("default", 37), ("default", 70)])
@pytest.mark.parametrize("settings", MODELS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_three_steps_of_training_agree_with_pytorch(dtype, settings, t, version):
    if version == "default":
        worst = compare(dtype, registry.versions("attention")[0].name, t, **settings)
    else:
        with tg.using("reference"):
            worst = compare(dtype, "reference", t, **settings)
    assert max(worst.values()) <= TOLERANCE[dtype], worst
