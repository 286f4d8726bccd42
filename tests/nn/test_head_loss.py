"""A model's loss, whose logits need not exist whole: when it is one op, and that nothing else changes."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.test_strict_array import strict
from tinygrad_gpt import functional as F
from tinygrad_gpt import nn
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.nn.head_loss import head_loss
from tinygrad_gpt.ops import linear_cross_entropy as op
from tinygrad_gpt.precision import using_matmul_precision

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 70, 8)).astype(np.float32)
TARGETS = rng.integers(0, 50, (2, 70))
TARGETS[0, ::3] = -100


@pytest.fixture
def small_blocks(monkeypatch):
    """What is large for a model of this file's size."""
    monkeypatch.setattr(op, "BLOCK", 1000)


def head(**more):
    tg.manual_seed(3)
    return nn.Linear(8, 50, **more)


def op_of(loss) -> str:
    return loss.node.version.op


def step(**settings):
    """Loss and gradients of a head, and the op that the loss came from."""
    layer, x = head(), tg.Tensor(X, requires_grad=True)
    layer.bias.data[:] = np.linspace(-1, 1, 50)
    loss = head_loss(layer, x, TARGETS, **settings)
    name = op_of(loss)
    loss.backward()
    return name, [loss.data, x.grad, layer.weight.grad, layer.bias.grad]


@pytest.mark.parametrize("settings", [{}, {"reduction": "sum"}, {"label_smoothing": 0.1}, {"ignore_index": 7}], ids=str)
def test_the_same_numbers_either_way(settings, monkeypatch):
    targets = np.where(TARGETS == -100, 7, TARGETS) if "ignore_index" in settings else TARGETS
    monkeypatch.setattr(f"{__name__}.TARGETS", targets)
    name, right = step(**settings)
    assert name == "cross_entropy"
    monkeypatch.setattr(op, "BLOCK", 1000)
    name, got = step(**settings)
    assert name == "linear_cross_entropy"
    for a, b in zip(got, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_few_logits_are_two_ops():
    assert op_of(head_loss(head(), tg.Tensor(X), TARGETS)) == "cross_entropy"


@pytest.mark.usefixtures("small_blocks")
def test_where_it_is_one_op_and_where_not():
    x = tg.Tensor(X)
    assert op_of(head_loss(head(), x, TARGETS)) == "linear_cross_entropy"
    assert op_of(head_loss(head(bias=False), x, TARGETS.tolist())) == "linear_cross_entropy"
    assert op_of(head_loss(head(), x, TARGETS, reduction="none")) == "cross_entropy"
    with tg.no_grad():
        assert head_loss(head(), x, TARGETS).node is None
    for part in ("linear", "cross_entropy", "matmul", "log_softmax"):
        with tg.using(**{part: "reference"}):
            assert op_of(head_loss(head(), x, TARGETS)) != "linear_cross_entropy"
    with tg.using("reference"):
        assert op_of(head_loss(head(), x, TARGETS)) == "cross_entropy"
    for precision in ("bfloat16", "tf32"):
        with using_matmul_precision(precision):
            assert op_of(head_loss(head(), x, TARGETS)) == "cross_entropy"
            assert op_of(F.linear_cross_entropy(x, head().weight, TARGETS)) == "cross_entropy"


@pytest.mark.usefixtures("small_blocks")
def test_another_layer_in_the_place_of_the_head_runs():
    class Scaled(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2.0

    loss = head_loss(Scaled(8, 50), tg.Tensor(X), TARGETS)
    assert op_of(loss) == "cross_entropy"


@pytest.mark.usefixtures("small_blocks")
def test_arrays_that_no_kernel_takes_are_two_ops():
    layer = head()
    layer.weight.data, layer.bias.data = strict((layer.weight.data, layer.bias.data))
    layer.weight.requires_grad = True
    assert op_of(head_loss(layer, tg.Tensor(strict(X)), TARGETS)) == "cross_entropy"


def test_a_pair_of_ones_own_runs_whatever_the_size():
    version = tg.register("linear_cross_entropy", op.forward, op.backward)
    try:
        loss = head_loss(head(), tg.Tensor(X), TARGETS)
        assert str(loss.node.version) == "linear_cross_entropy[yours]"
    finally:
        tg.unregister(version)


def test_targets_that_are_none():
    with pytest.raises(TypeError, match="cross_entropy: expected integer targets"):
        head_loss(head(), tg.Tensor(X), X)


# --- in a model --------------------------------------------------------------------------------------------------


def gpt(**more):
    tg.manual_seed(1)
    return GPT(GPTConfig(vocab_size=97, block_size=40, n_layer=2, n_head=2, n_embd=8, **more))


IDS = rng.integers(0, 97, (4, 41))


def gradients(model, accumulate=1):
    for ids in np.split(IDS, accumulate):
        loss = model.loss(ids[:, :-1], ids[:, 1:]) / float(accumulate)
        loss.backward()
    return [p.grad for p in model.parameters()]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("way", ["", "accumulated", "recomputed", "in debug mode"])
def test_gradients_of_a_gpt(tied, way, monkeypatch):
    def run():
        model = gpt(tied=tied)
        model.recompute = way == "recomputed"
        if way == "in debug mode":
            with tg.autograd.debug():
                return gradients(model)
        return gradients(model, 2 if way == "accumulated" else 1)

    right = run()
    monkeypatch.setattr(op, "BLOCK", 1000)
    assert op_of(gpt().loss(IDS[:, :-1], IDS[:, 1:])) == "linear_cross_entropy"
    for a, b in zip(run(), right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_a_step_of_backward_names_the_model():
    model = gpt()
    first, *_ = model(IDS[:, :-1]), model.loss(IDS[:, :-1], IDS[:, 1:])
    steps = [str(s) for s in model.loss(IDS[:, :-1], IDS[:, 1:]).backward_steps()]
    assert steps[0].startswith("linear_cross_entropy[numba]") and first.shape == (4, 40, 97)


@pytest.mark.usefixtures("small_blocks")
def test_whoever_watches_sees_the_logits():
    model = gpt()
    with model.watching("head") as seen:
        model.loss(IDS[:, :-1], IDS[:, 1:]).backward()
    assert seen["head"].output.shape == (4, 40, 97)
