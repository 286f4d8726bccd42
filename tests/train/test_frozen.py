"""Frozen Parameters: p.requires_grad = False. They stay as they are, bit for bit, and everything else goes on."""

import io

import numpy as np
import pytest

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays
from tinygrad_gpt import random_stream
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.nn import Linear
from tinygrad_gpt.optim import SGD, Adam, AdamW, grad_norm
from tinygrad_gpt.tasks.arrays import Windows
from tinygrad_gpt.tensor import Tensor
from tinygrad_gpt.train import Reporter, TrainConfig, begin, reopen

SHAPE = GPTConfig(5, 6, n_layer=2, n_head=2, n_embd=8, dropout=0.1, tied=False)
IDS = np.random.default_rng(0).integers(5, size=200)
FROZEN = ("token_embedding.weight", "position_embedding.weight", "blocks.0.attention.qkv.bias")


def frozen_model(names=FROZEN):
    random_stream.manual_seed(1)
    model = GPT(SHAPE)
    for name, p in model.named_parameters():
        p.requires_grad = name not in names
    return model


def task(model, config):
    like = model.token_embedding.weight.data
    return Windows(IDS, IDS[:50], 6, like, batch_size=config.batch_size, accumulate=config.accumulate)


@pytest.mark.long
@pytest.mark.parametrize("how", [{}, {"accumulate": 2}, {"recompute": True}], ids=["plain", "accumulate", "recompute"])
def test_they_stay_as_they_are_and_a_resumed_run_is_exact(how, tmp_path):
    config = TrainConfig(steps=8, batch_size=4, lr=1e-2, warmup=2, log_interval=2, checkpoint_interval=3, **how)
    model = frozen_model()
    before = {name: a.copy() for name, a in model.state_dict().items()}
    whole = begin(task(model, config), model, config, tmp_path / "whole")
    assert whole.train(Reporter(io.StringIO()))
    for name, a in model.state_dict().items():
        assert (a == before[name]).all() == (name in FROZEN), name
    saved = arrays_of(whole.folder)
    assert {n.removeprefix("model.") for n in saved if n.startswith("model.")} == set(before)
    assert not [name for name in saved if name.startswith("optimizer.") and name.endswith(FROZEN)]

    stopped = begin(task(model, config), frozen_model(), config, tmp_path / "stopped")
    assert not stopped.train(StopsAt(4))
    other = frozen_model()
    again = reopen(stopped.folder, task(other, config), other, config)
    assert again.trainer.step == 4 and again.train(Reporter(io.StringIO()))
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))


def test_gradients_do_not_flow_into_them_and_their_norm_is_that_of_the_others():
    model, free = frozen_model(), frozen_model(())
    x, y = IDS[:6][None], IDS[1:7][None]
    for m in (model, free):
        m.eval().loss(x, y).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == list(FROZEN)
    rest = [p for name, p in free.named_parameters() if name not in FROZEN]
    assert grad_norm(model.parameters()) == pytest.approx(grad_norm(rest), rel=1e-6)


def test_how_many_there_are():
    model = frozen_model()
    frozen = 5 * 8 + 6 * 8 + 3 * 8
    assert model.num_parameters(False) == frozen
    assert model.num_parameters() == model.num_parameters(True) + frozen == frozen_model(()).num_parameters()


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_optimisers_leave_them_as_they_are(make):
    layer = Linear(2, 3)
    layer.bias.requires_grad = False
    before = {name: a.copy() for name, a in layer.state_dict().items()}
    optimizer = make(layer.parameters(), lr=0.1)
    layer(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    optimizer.step()
    assert (layer.bias.numpy() == before["bias"]).all() and (layer.weight.numpy() != before["weight"]).all()


def test_one_that_is_frozen_later_stays_from_then_on():
    layer = Linear(2, 3)
    optimizer = AdamW(layer.parameters(), lr=0.1)
    for frozen in (False, True):
        layer.bias.requires_grad = not frozen
        before = layer.bias.numpy().copy()
        optimizer.zero_grad()
        layer(Tensor(np.ones((1, 2), np.float32))).sum().backward()
        optimizer.step()
        assert (layer.bias.numpy() == before).all() == frozen
