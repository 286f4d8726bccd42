"""Fused ops stand aside for a pair of their parts, and give the same numbers then."""

import functools

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt import nn
from tinygrad_gpt.generate import generate
from tinygrad_gpt.kernels import catalogue, registry
from tinygrad_gpt.models import GPT, GPTConfig

rng = np.random.default_rng(0)
normal = rng.standard_normal

PARTS = [(op, part) for op in registry.op_names() for part in catalogue.parts(op)]


def test_which_ops_are_made_of_others():
    assert {op: catalogue.parts(op) for op, _ in PARTS} == {
        "add_layer_norm": ("add", "layer_norm"),
        "attention": ("matmul", "softmax", "dropout"),
        "cross_entropy": ("log_softmax",),
        "gelu_linear": ("gelu", "linear"),
        "linear": ("matmul", "add"),
        "linear_cross_entropy": ("linear", "cross_entropy"),
    }


@pytest.fixture
def ran():
    """The ops that ran, by the references' own pairs."""
    versions, counts = [], {}

    def register(op):
        pair = registry.reference(op)

        def forward(*arrays, **settings):
            counts[op] = counts.get(op, 0) + 1
            return pair.forward(*arrays, **settings)

        versions.append(tg.register(op, forward, pair.backward, why_not=lambda *arrays, **settings: None))
        return counts

    yield register
    for version in versions:
        tg.unregister(version)


MASK = rng.random((2, 1, 5, 7)) < 0.6
MASK[0, 0, 2] = False  # a query that sees nothing
ADDED = np.where(rng.random((5, 7)) < 0.6, normal((5, 7)), -np.inf)
ADDED[3] = -np.inf
ATTENTION = {
    "plain": {},
    "causal": {"causal": True},
    "scaled": {"scale": 0.3},
    "masked": {"mask": MASK},
    "masked, causal": {"mask": MASK, "causal": True},
    "an added mask": {"mask": ADDED},
    "dropout": {"dropout": 0.4},
    "dropout, causal, masked": {"dropout": 0.4, "causal": True, "mask": MASK},
}


def result(function, *arrays):
    """Outputs and gradients, for one upstream gradient and one seed."""
    tg.manual_seed(7)
    inputs = [tg.Tensor(a, requires_grad=True) for a in arrays]
    ys = function(*inputs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    draw = np.random.default_rng(3)
    sum(F.sum(y * draw.standard_normal(y.shape)) for y in ys).backward()
    return [y.data for y in ys] + [x.grad for x in inputs]


def agree(function, *arrays, part):
    fused = result(function, *arrays)
    with tg.using(**{part: "reference"}):
        composed = result(function, *arrays)
    assert [a.dtype for a in composed] == [a.dtype for a in fused]
    for got, right in zip(composed, fused, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("part", catalogue.parts("attention"))
@pytest.mark.parametrize("settings", ATTENTION.values(), ids=ATTENTION)
def test_attention_from_its_parts(settings, part):
    q, k, v = normal((2, 3, 5, 4)), normal((2, 3, 7, 4)), normal((2, 3, 7, 4))
    agree(lambda q, k, v: F.attention(q, k, v, **settings), q, k, v, part=part)
    mask = settings.get("mask")
    if mask is not None and mask.dtype != bool:  # it has a gradient too
        finite = np.where(np.isfinite(mask), mask, 0.0)
        agree(lambda q, k, v, m: F.attention(q, k, v, m), q, k, v, finite, part=part)


@pytest.mark.parametrize("shapes", [(7, 4), (1, 5), (3, 0), (0, 3)], ids=str)
def test_attention_from_its_parts_with_queries_that_see_nothing_and_without_keys(shapes):
    tq, tk = shapes
    q, k, v = normal((2, 3, tq, 4)), normal((2, 3, tk, 4)), normal((2, 3, tk, 4))
    agree(lambda q, k, v: F.attention(q, k, v, causal=True), q, k, v, part="softmax")


def test_attention_from_its_parts_raises_what_attention_raises():
    q = normal((2, 3, 5, 4))
    with tg.using(softmax="reference"), pytest.raises(ValueError, match="attention: expected q of shape"):
        F.attention(q, q[:1], q)
    with tg.using(softmax="reference"), pytest.raises(ValueError, match="attention: expected a mask that broadcasts"):
        F.attention(q, q, q, np.ones((4, 5), bool))


def test_attention_weights_are_those_of_the_users_softmax():
    def uniform(x, *, axis=-1):
        return np.full_like(x, 1 / x.shape[axis]), x

    q = normal((1, 2, 3, 4))
    right = F.attention_weights(q, q, causal=True).data
    with tg.using(softmax="reference"):
        np.testing.assert_allclose(F.attention_weights(q, q, causal=True).data, right, rtol=1e-12)
    version = tg.register("softmax", uniform, lambda dy, x: 0 * x)
    try:
        assert np.all(F.attention_weights(q, q).data == 1 / 3)
        layer = nn.MultiHeadAttention(8, 2)
        with layer.watching("") as seen:
            layer(tg.Tensor(normal((1, 3, 8)).astype(np.float32)))
        assert np.all(seen[""].weights.data == np.float32(1 / 3))
    finally:
        tg.unregister(version)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_from_log_softmax(reduction, smoothing):
    targets = np.array([[1, -100, 4], [0, 0, 2]])
    agree(
        lambda x: F.cross_entropy(x, targets, label_smoothing=smoothing, reduction=reduction),
        normal((2, 3, 5)),
        part="log_softmax",
    )


def test_cross_entropy_from_log_softmax_raises_what_it_raises():
    with tg.using(log_softmax="reference"), pytest.raises(ValueError, match='expected reduction="mean"'):
        F.cross_entropy(normal((3, 5)), [0, 1, 2], reduction="median")


@pytest.mark.parametrize("part", ["matmul", "add", "gelu", "linear"])
def test_linear_layers_from_their_parts(part):
    x, weight, bias = normal((2, 3, 5)), normal((4, 5)), normal(4)
    for layer in (F.linear, functools.partial(F.gelu_linear, approximate="tanh")):
        agree(layer, x, weight, bias, part=part)
        agree(layer, x, weight, part=part)


@pytest.mark.parametrize("part", ["linear", "cross_entropy", "matmul", "log_softmax"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_cross_entropy_from_its_parts(reduction, part):
    targets = np.array([[1, -100, 4], [0, 0, 2]])

    def loss(x, weight, bias=None):
        settings = {"linear_bias": bias, "label_smoothing": 0.2, "reduction": reduction}
        return F.linear_cross_entropy(x, weight, targets, **settings)

    x, weight, bias = normal((2, 3, 4)), normal((5, 4)), normal(5)
    agree(loss, x, weight, bias, part=part)
    agree(loss, x, weight, part=part)


def test_linear_cross_entropy_from_its_parts_raises_what_it_raises():
    with tg.using(linear="reference"), pytest.raises(ValueError, match="linear_cross_entropy: expected targets of"):
        F.linear_cross_entropy(normal((3, 4)), normal((5, 4)), [0, 1])


@pytest.mark.parametrize("part", catalogue.parts("add_layer_norm"))
def test_add_layer_norm_from_its_parts(part):
    x, weight, bias = normal((2, 3, 5)), normal(5), normal(5)
    agree(lambda a, b, *more: F.add_layer_norm(a, b, *more), x, normal((2, 3, 5)), weight, bias, part=part)


def tiny_gpt(**more):
    tg.manual_seed(1)
    return GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8, dropout=0.1, **more))


@pytest.mark.parametrize("part", sorted({part for _, part in PARTS}))
def test_a_pair_for_a_part_runs_in_a_gpt(part, ran):
    """And the loss and the gradients are those without it."""
    ids = rng.integers(0, 11, (2, 9))

    def step():
        model = tiny_gpt()
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        return [loss.data] + [p.grad for p in model.parameters()]

    right, counts = step(), ran(part)
    for got, want in zip(step(), right, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-6)
    assert counts[part] == 2 if part == "softmax" else counts[part] >= 1


def test_a_softmax_of_ones_own_runs_when_text_is_generated_with_a_cache(ran):
    model = tiny_gpt()
    model.eval()
    without = list(generate(model, [1, 2, 3], max_new_tokens=4, temperature=0))
    counts = ran("softmax")
    assert list(generate(model, [1, 2, 3], max_new_tokens=4, temperature=0)) == without
    assert counts["softmax"] == 2 * 4  # layers, and tokens


def test_a_pair_for_the_whole_op_comes_before_its_parts(ran):
    q = normal((1, 2, 3, 4))
    counts = ran("softmax")
    ran("attention")
    F.attention(q, q, q)
    with tg.using(attention="reference"):
        F.attention(q, q, q)
    assert "softmax" not in counts


def test_parts_of_parts(ran):
    counts = ran("matmul")
    F.gelu_linear(normal((3, 5)), normal((4, 5)), approximate="none")
    assert counts == {"matmul": 1}
    with tg.using(linear="reference"):  # which the user chose, and which has no matmul in it
        F.gelu_linear(normal((3, 5)), normal((4, 5)), approximate="none")
    assert counts == {"matmul": 1}


def test_nobody_stands_aside_without_reason():
    x = tg.Tensor(normal((3, 5)), requires_grad=True)
    assert F.linear(x, normal((4, 5))).node.version.op == "linear"
    with tg.using("reference"):
        assert F.linear(x, normal((4, 5))).node.version.op == "linear"
    with tg.using(softmax="reference"):
        assert F.linear(x, normal((4, 5))).node.version.op == "linear"


def test_explain_says_that_an_op_is_made_of_its_parts():
    q = normal((1, 2, 3, 4))
    assert "made of its parts" not in tg.explain("attention", q, q, q)
    with tg.using(softmax="reference"):
        assert tg.explain("attention", q, q, q).splitlines()[-1] == (
            "  but functional.attention is made of its parts now: you chose a version of softmax"
        )
