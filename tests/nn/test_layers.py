"""Layers against the same thing composed from NumPy, and what their constructors make and refuse."""

import math
import re

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt.check import gradcheck
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.nn import Block, Dropout, Embedding, FeedForward, LayerNorm, Linear, Module, Parameter


def randomised(module: Module, seed: int = 0) -> Module:
    """The module in float64 with every parameter random, those that begin as 0 or 1 too."""
    rng = np.random.default_rng(seed)
    for p in module.to(np.float64).parameters():
        p.data[...] = rng.normal(0.3, 0.5, p.shape)
    return module


def x(*shape) -> np.ndarray:
    return np.random.default_rng(9).standard_normal(shape)


def normalised(y: np.ndarray, norm: LayerNorm) -> np.ndarray:
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + norm.eps)
    return y * norm.weight.data + (0 if norm.bias is None else norm.bias.data)


def affine(y: np.ndarray, layer: Linear) -> np.ndarray:
    return y @ layer.weight.data.T + (0 if layer.bias is None else layer.bias.data)


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    layer = randomised(Linear(4, 3, bias))
    np.testing.assert_allclose(layer(x(2, 5, 4)).data, affine(x(2, 5, 4), layer), rtol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(bias):
    """T-14: the variance is divided by the number of channels, not by one less, and eps is under the root."""
    layer = randomised(LayerNorm(4, 0.1, bias=bias))
    np.testing.assert_allclose(layer(x(2, 5, 4)).data, normalised(x(2, 5, 4), layer), rtol=1e-12)


def test_embedding():
    layer = Embedding(5, 3)
    ids = np.array([[4, 0], [4, 2]])
    assert (layer(ids).data == layer.weight.data[ids]).all()
    with pytest.raises(IndexError, match=re.escape("0 .. 4")):
        layer(np.array([5]))


def test_dropout_drops_in_training_only():
    layer = Dropout(0.25)
    ones = tg.Tensor(np.ones((100, 100)))
    y = layer(ones).data
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert (layer(ones).data != y).any(), "a new mask each time"
    assert layer.eval()(ones) is ones
    assert Dropout(0.0)(ones) is ones


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("bias", [True, False])
def test_feed_forward(activation, bias):
    erf = np.vectorize(math.erf)
    functions = {
        "relu": lambda h: np.maximum(h, 0),
        "gelu": lambda h: 0.5 * h * (1 + erf(h / math.sqrt(2))),
        "gelu_tanh": lambda h: 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3))),
    }
    layer = randomised(FeedForward(4, 7, activation=activation, bias=bias))
    expected = affine(functions[activation](affine(x(2, 5, 4), layer.up)), layer.down)
    np.testing.assert_allclose(layer(x(2, 5, 4)).data, expected, rtol=1e-10, atol=1e-12)
    assert FeedForward(4).up.weight.shape == (16, 4)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_a_feed_forward_runs_as_one_op_unless_the_user_chose_a_gelu_or_a_linear(activation):
    layer = randomised(FeedForward(4, 7, activation=activation))

    def graph():
        """The ops after `up`, with their versions' names, and the gradient of up's weight."""
        layer.zero_grad()
        steps = list(layer(x(2, 5, 4)).backward_steps(x(2, 5, 4)))
        return [step.op for step in steps[:-1]], [step.version for step in steps[:-1]], layer.up.weight.grad

    ops, _, one_op = graph()
    assert ops == ["gelu_linear"]
    with tg.using("reference"):
        assert graph()[:2] == (["gelu_linear"], ["reference"])
    for chosen in ("gelu", "linear"):
        with tg.using(**{chosen: "reference"}):
            ops, versions, two_ops = graph()
            assert ops == ["linear", "gelu"] and versions[ops.index(chosen)] == "reference"
            np.testing.assert_allclose(two_ops, one_op, rtol=1e-10, atol=1e-12)
        own = registry.reference(chosen)
        version = tg.register(chosen, own.forward, own.backward)
        try:
            ops, versions, two_ops = graph()
            assert ops == ["linear", "gelu"] and versions[ops.index(chosen)] == "yours"
            np.testing.assert_allclose(two_ops, one_op, rtol=1e-10, atol=1e-12)
        finally:
            tg.unregister(version)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_feed_forward_drops_hidden_channels_after_the_activation_and_in_training_only(activation):
    layer, plain = (randomised(FeedForward(4, 50, activation=activation, dropout=p)) for p in (0.5, 0.0))
    np.testing.assert_allclose(layer.eval()(x(2, 5, 4)).data, plain(x(2, 5, 4)).data, rtol=1e-10)
    layer.train()
    with layer.watching("dropout", "down") as seen:
        y = layer(x(2, 5, 4))
    with plain.watching("up") as before:
        plain(x(2, 5, 4))
    hidden = F.relu(before["up"].output) if activation == "relu" else F.gelu(before["up"].output)
    dropped = seen["dropout"].output.data
    assert 0.3 < (dropped[hidden.data != 0] == 0).mean() < 0.7
    np.testing.assert_allclose(dropped[dropped != 0], 2 * hidden.data[dropped != 0], rtol=1e-10)
    np.testing.assert_allclose(y.data, affine(dropped, layer.down), rtol=1e-10)


def test_blocks_put_their_norms_where_they_say():
    def halves(block):
        return lambda y: block.attention(tg.Tensor(y)).data, lambda y: block.feed_forward(tg.Tensor(y)).data

    start = x(2, 5, 6)
    block = randomised(Block(6, 2, norm="pre", causal=True))
    attention, feed_forward = halves(block)
    middle = start + attention(normalised(start, block.attention_norm))
    expected = middle + feed_forward(normalised(middle, block.feed_forward_norm))
    np.testing.assert_allclose(block(tg.Tensor(start)).data, expected, rtol=1e-10)

    block = randomised(Block(6, 2, norm="post", causal=True))
    attention, feed_forward = halves(block)
    middle = normalised(start + attention(start), block.attention_norm)
    expected = normalised(middle + feed_forward(middle), block.feed_forward_norm)
    np.testing.assert_allclose(block(tg.Tensor(start)).data, expected, rtol=1e-10)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_with_a_source_looks_at_it_between_attention_and_feed_forward(norm):
    block, source = randomised(Block(6, 2, norm=norm, causal=True, c_source=4)), tg.Tensor(x(2, 7, 4))
    y, mask = x(2, 5, 6), np.tri(2, 7, 3, dtype=bool)[:, np.newaxis, np.newaxis]  # 4 and 5 positions of the source
    parts = [
        (block.attention_norm, lambda y: block.attention(tg.Tensor(y))),
        (block.cross_attention_norm, lambda y: block.cross_attention(tg.Tensor(y), source, mask=mask)),
        (block.feed_forward_norm, lambda y: block.feed_forward(tg.Tensor(y))),
    ]
    for layer_norm, part in parts:
        y = y + part(normalised(y, layer_norm)).data if norm == "pre" else normalised(y + part(y).data, layer_norm)
    found = block(tg.Tensor(x(2, 5, 6)), source, source_mask=mask)
    np.testing.assert_allclose(found.data, y, rtol=1e-9)
    read = block(tg.Tensor(x(2, 5, 6)), block.cross_attention.read(source), source_mask=mask)
    np.testing.assert_array_equal(read.data, found.data)


def test_a_block_and_its_source_go_together():
    with pytest.raises(ValueError, match=r"^Block: made without a source \(see c_source\), got one$"):
        Block(6, 2)(tg.Tensor(x(2, 5, 6)), tg.Tensor(x(2, 7, 4)))
    with pytest.raises(ValueError, match=r"made for cross-attention .* got none as source"):
        randomised(Block(6, 2, c_source=4))(tg.Tensor(x(2, 5, 6)))


def test_a_block_drops_both_of_its_branches_and_never_the_residual_stream():
    block = randomised(Block(6, 2, dropout=0.5))
    for half in (block.attention, block.feed_forward):  # constant outputs, so that what dropout did can be seen
        last = half.out if half is block.attention else half.down
        last.weight.data[...], last.bias.data[...] = 0.0, 1.0
    added = block(tg.Tensor(x(2, 50, 6))).data - x(2, 50, 6)
    assert set(np.unique(added.round(9))) == {0.0, 2.0, 4.0}
    np.testing.assert_allclose(block.eval()(tg.Tensor(x(2, 50, 6))).data - x(2, 50, 6), 2.0)


# --- gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_gradient_of_a_block_is_right_for_its_input_and_every_parameter(norm):
    block = randomised(Block(6, 2, norm=norm, causal=True, hidden=7))
    own = dict(block.named_parameters())

    def run(start, *values):
        return with_parameters(block, own, values)(start)

    gradcheck(run, x(2, 5, 6), *[p.data.copy() for p in own.values()])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_gradient_of_a_block_with_a_source_is_right_for_both_and_every_parameter(norm):
    block = randomised(Block(6, 2, norm=norm, causal=True, hidden=7, activation="tanh", c_source=4))
    own, mask = dict(block.named_parameters()), np.tri(2, 3, 1, dtype=bool)[:, np.newaxis, np.newaxis]

    def run(start, source, *values):
        return with_parameters(block, own, values)(start, source, source_mask=mask)

    gradcheck(run, x(2, 5, 6), x(2, 3, 4), *[p.data.copy() for p in own.values()])


def with_parameters(block: Module, own: dict, values) -> Module:
    """The block with each of its parameters replaced by the Tensor given for it."""
    for name, value in zip(own, values, strict=True):
        *path, last = name.split(".")
        place = block
        for part in path:
            place = getattr(place, part)
        vars(place)[last] = value  # a Tensor, which the Module itself would refuse
    return block


# --- constructors ------------------------------------------------------------------------------------------------


def test_new_layers_keep_the_variance_and_follow_the_seed():
    tg.manual_seed(5)
    layer = Linear(400, 300)
    assert layer.weight.data.std() == pytest.approx(400**-0.5, rel=0.02) and not layer.bias.data.any()
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert Embedding(300, 200).weight.data.std() == pytest.approx(1, rel=0.02)
    tg.manual_seed(5)
    assert (Linear(400, 300).weight.data == layer.weight.data).all()
    norm = LayerNorm(3)
    assert norm.weight.data.tolist() == [1, 1, 1] and norm.bias.data.tolist() == [0, 0, 0]


def test_a_standard_deviation_changes_the_size_of_the_numbers_only():
    def drawn(make):
        tg.manual_seed(4)
        return make().weight.data

    usual = drawn(lambda: Linear(16, 300))
    assert (drawn(lambda: Linear(16, 300, std=0.125)) == usual * np.float32(0.5)).all()  # usual: 1/√16
    assert (drawn(lambda: Embedding(30, 40, std=0.5)) == drawn(lambda: Embedding(30, 40)) * np.float32(0.5)).all()


def test_what_a_block_adds_to_the_residual_stream_has_its_own_standard_deviation():
    tg.manual_seed(4)
    block = Block(64, 2, std=0.02, residual_std=0.005)
    wide, narrow = (block.attention.qkv, block.feed_forward.up), (block.attention.out, block.feed_forward.down)
    for layers, std in ((wide, 0.02), (narrow, 0.005)):
        assert all(abs(layer.weight.data.std() / std - 1) < 0.05 for layer in layers)


def test_no_bias_means_none_anywhere():
    assert Linear(2, 3, bias=False).bias is None and LayerNorm(3, bias=False).bias is None
    names = [name for name, _ in Block(6, 2, bias=False).named_parameters()]
    assert len(names) == 6 and not any("bias" in name for name in names)


def test_a_linear_layer_can_share_a_weight():
    embedding = Embedding(5, 3)
    head = Linear(3, 5, bias=False, weight=embedding.weight)
    head(x(1, 3).astype(np.float32)).sum().backward()
    assert embedding.weight.grad is not None
    with pytest.raises(ValueError, match=r"\(5, 3\)"):
        Linear(3, 5, weight=Parameter(np.ones((3, 5))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dropout(1.0), "p < 1"),
        (lambda: Dropout(-0.1), "0 <= p"),
        (lambda: FeedForward(4, activation="swish"), "gelu_tanh"),
        (lambda: Block(4, 2, norm="both"), "pre or post"),
        (lambda: Block(4, 3), "3 heads"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_block_adds_and_normalises_in_one_op_unless_the_user_chose_an_add_or_a_layer_norm():
    block = randomised(Block(4, 2, norm="pre", causal=True))

    def graph():
        """The ops, and the gradient of the first layer norm's weight, which all of backward leads to."""
        block.zero_grad()
        ops = [step.op for step in block(x(2, 5, 4)).backward_steps(x(2, 5, 4))]
        return ops, block.attention_norm.weight.grad

    ops, one_op = graph()
    assert ops.count("add_layer_norm") == 1 and ops.count("layer_norm") == 1
    for chosen in ("add", "layer_norm"):
        with tg.using(**{chosen: "reference"}):
            ops, two_ops = graph()
            assert ops.count("add_layer_norm") == 0 and ops.count("layer_norm") == 2
            np.testing.assert_allclose(two_ops, one_op, rtol=1e-10, atol=1e-12)
