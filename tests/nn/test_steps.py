"""The Steps of a backward walk say in which module each op ran, and are printed as one line."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt.models import GPT, GPT1ForClassification, GPTConfig
from tinygrad_gpt.modes import running
from tinygrad_gpt.nn import LayerNorm, Linear, Module, ReLU, Sequential
from tinygrad_gpt.recompute import recompute

IDS = np.random.default_rng(0).integers(0, 7, (2, 5))


def model(**settings) -> GPT:
    tg.manual_seed(3)
    return GPT(GPTConfig(**dict(vocab_size=7, block_size=6, n_layer=2, n_head=2, n_embd=8) | settings))


def paths(loss, *ops) -> list[str | None]:
    return [step.path for step in loss.backward_steps() if not ops or step.op in ops]


def x(*shape) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def test_a_step_is_a_line():
    with tg.using("reference"):
        lines = [str(step) for step in model().loss(IDS, IDS).backward_steps()]
    assert lines[0] == "cross_entropy[reference] in GPT: dy () -> logits (2, 5, 7)"
    assert (
        "layer_norm[reference] in blocks.0.attention_norm: dy (2, 5, 8) -> x (2, 5, 8), weight (8,), bias (8,)" in lines
    )
    assert "linear[reference] in head: dy (2, 5, 7) -> x (2, 5, 8), weight (7, 8)" in lines
    several = next(line for line in lines if line.startswith("add_layer_norm"))
    assert several == (
        "add_layer_norm[reference] in blocks.1: dy (2, 5, 8), (2, 5, 8) "
        "-> x (2, 5, 8), residual (2, 5, 8), weight (8,), bias (8,)"
    )
    assert not any("\n" in line for line in lines)


def test_a_step_outside_of_modules():
    a = tg.tensor([1.0, 2.0], requires_grad=True)
    with tg.using("reference"):
        steps = list(F.concatenate([a * a, a]).sum().backward_steps())
    assert [step.path for step in steps] == [None] * 3
    assert [str(step) for step in steps] == [
        "sum[reference]: dy () -> x (4,)",
        "concatenate[reference]: dy (4,) -> arrays[0] (2,), arrays[1] (2,)",
        "mul[reference]: dy (2,) -> a (2,), b (2,)",
    ]
    assert repr(steps[0]) == str(steps[0])


def test_the_path_is_as_the_model_that_was_called_names_it():
    net = Sequential(Linear(4, 4), Sequential(ReLU(), Linear(4, 2)))
    assert paths(net(x(3, 4)).sum()) == [None, "1.1", "1.0", "0"]
    assert paths(net[1](x(3, 4)).sum(), "linear") == ["1"]
    classifier = GPT1ForClassification(model(norm="post"), 3)
    loss = classifier.loss(IDS, np.array([4, 4]), np.array([0, 2])).total
    found = paths(loss, "linear")
    assert found[0] in ("score", "body.head") and "body.blocks.0.attention.qkv" in found


def test_a_loss_of_one_s_own_counts_as_a_call():
    class Net(Module):
        def __init__(self):
            self.parts = [Linear(2, 2), LayerNorm(2)]

        def loss(self, x):
            """Says what it does."""
            for part in self.parts:
                x = part(x)
            return (x * x).sum()

    net = Net()
    assert paths(net.loss(x(3, 2))) == ["", "", "parts.1", "parts.0"]
    assert Net.loss.__name__ == "loss" and Net.loss.__doc__ == "Says what it does."


def test_a_module_that_the_model_does_not_hold():
    class Net(Module):
        def forward(self, x):
            return Linear(2, 2)(x)

    net = Net()
    (step, *_) = net(x(3, 2)).backward_steps(x(3, 2))
    assert step.path is None and " in Linear: dy (3, 2)" in str(step)


def test_after_an_error_nothing_runs():
    net = Sequential(Linear(4, 4))
    with pytest.raises(ValueError):
        net(x(3, 5))
    with pytest.raises(IndexError):
        model().loss(IDS + 100, IDS)
    assert not running.modules and paths(net(x(3, 4)).sum()) == [None, "0"]


def test_a_thread_has_its_own_modules():
    net, other, seen = Sequential(Linear(4, 4)), Linear(4, 4), []

    class Waits(Module):
        def forward(self, x):
            thread = threading.Thread(target=lambda: seen.extend(paths(other(x).sum(), "linear")))
            thread.start()
            thread.join()
            return net(x)

    assert paths(Waits()(x(3, 4)).sum(), "linear") == [None]
    assert seen == [""]


def test_a_recomputed_block_is_one_step_of_the_model_around_it():
    class Net(Module):
        def __init__(self):
            self.part = Linear(4, 4)

        def forward(self, x):
            return recompute(self.part, x)

    (step,) = Net()(tg.tensor(x(3, 4), requires_grad=True)).backward_steps(x(3, 4))
    assert step.path == "" and str(step).startswith("recompute[again] in Net: dy (3, 4) -> input")


def test_graphs_are_freed_at_once():
    net = Sequential(Linear(4, 4), Linear(4, 4))
    gc.collect()
    gc.disable()
    try:
        y = net(x(3, 4))
        node = weakref.ref(y.node)
        del y
        assert node() is None
        z = net(x(3, 4)).sum()
        made, module = z.node.edges[0].node, weakref.ref(net)
        z.backward()
        assert made.within is None
        del net
        assert module() is None, "a graph that backward has walked holds no module"
    finally:
        gc.enable()
