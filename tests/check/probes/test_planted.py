"""Each mistake, planted in a small model, is found by its probe, which names it; and the other probes stay silent."""

import html
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.check.probes.small import CONFIG, Attention, Block, Small, with_attention, with_block, with_model
from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.check import mistakes
from tinygrad_gpt.check.probes import probe
from tinygrad_gpt.models import GPTConfig
from tinygrad_gpt.nn import Linear


@pytest.fixture(autouse=True)
def seeded():
    before = random_stream.random_state()
    random_stream.manual_seed(1)
    yield
    random_stream.set_random_state(before)


def normalised_over_the_batch(self, x):
    """The positions, which are the same in all rows, go with the mean."""
    d = x - x.mean(axis=0, keepdims=True)
    x = x + self.attention(self.ln_1(d))
    return x + self.down(F.gelu(self.up(self.ln_2(x))))


def ln_1_twice(self, x):
    x = x + self.attention(self.ln_1(x))
    return x + self.down(F.gelu(self.up(self.ln_1(x))))


def cut(self, x):
    x = x + self.attention(self.ln_1(x))
    return x + self.down(F.gelu(Tensor(self.up(self.ln_2(x)).data)))


class WithMore(Small):
    def __init__(self):
        super().__init__()
        self.more = Linear(CONFIG.n_embd, CONFIG.n_embd)


class WithoutPositions(Small):
    def __init__(self):
        super().__init__()
        self.positions = None

    def embedded(self, ids):
        return self.tokens(ids)


class Unscaled(Attention):
    def __init__(self, config):
        super().__init__(config)
        self.scale = 1.0


class WideUnscaled(Small):
    block_class = type("Block", (Block,), {"attention_class": Unscaled})

    def __init__(self):
        super().__init__(GPTConfig(17, block_size=12, n_layer=1, n_head=1, n_embd=96))


class OverTheRootOfC(Attention):
    def __init__(self, config):
        super().__init__(config)
        self.scale = config.n_embd**-0.5


def small_weights(attention):
    """A model whose weights are so small that no attention looks anywhere in particular."""

    class Model(Small):
        block_class = type("Block", (Block,), {"attention_class": attention})

        def __init__(self):
            super().__init__()
            for name, p in self.named_parameters():
                if p.ndim == 2 and "attention" in name:
                    p.data *= 0.02 / p.data.std()

    return Model


def norms_after(self, x):
    x = self.ln_1(x + self.attention(x))
    return self.ln_2(x + self.down(F.gelu(self.up(x))))


class NormsElsewhere(Small):
    """Its config says that norms stand after each half; they stand before it."""

    def __init__(self):
        super().__init__(replace(CONFIG, norm="post"))


def shifting(by):
    """A loss that shifts labels, which are shifted already, once more or back."""

    def loss(self, ids, targets):
        if by == 1:
            return F.cross_entropy(self(ids)[:, :-1], targets[:, 1:])
        return F.cross_entropy(self(ids)[:, 1:], targets[:, :-1])

    return loss


def rows_by_reshape(self, ids):
    b, t = ids.shape
    return Small.embedded(self, ids).reshape(t, b, -1).transpose(0, 1)


def positions_of_rows(self, ids):
    return self.tokens(ids) + self.positions.weight[: len(ids)].reshape(len(ids), 1, -1)


MODELS = {  # model, the probes that fail, and the mistake that the first of them names first
    "mask off by one": (with_attention(mask=lambda self, t: np.tri(t, k=1, dtype=bool)), {"P2"}, "A13"),
    "mask dropped": (with_attention(mask=lambda self, t: np.ones((t, t), bool)), {"P2"}, "A14"),
    "mask turned": (with_attention(mask=lambda self, t: np.tri(t, dtype=bool).T), {"P2"}, None),
    "masked after the softmax": (
        with_attention(weights=lambda self, scores, mask: F.where(mask, F.softmax(scores), 0.0)),
        {"P2", "P12"},
        None,
    ),
    "softmax over queries": (
        with_attention(weights=lambda self, scores, mask: F.softmax(F.where(mask, scores, -np.inf), dim=-2)),
        {"P2", "P12"},
        None,
    ),
    "heads by reshape": (
        with_attention(split=lambda self, x: x.reshape(len(x), self.n_head, x.shape[1], -1)),
        {"P2"},
        "A12",
    ),
    "scores without a scale": (WideUnscaled, {"P12"}, "A11"),
    "no scale, small weights": (small_weights(Unscaled), {"P12"}, "A11"),
    "a scale of 1/√C, small weights": (small_weights(OverTheRootOfC), {"P12"}, "A11"),
    "norms after each half": (with_block(forward=norms_after), {"P17"}, "N14"),
    "norms before each half": (NormsElsewhere, {"P17"}, "N14"),
    "labels shifted twice": (with_model(loss=shifting(1)), {"P15"}, "T01"),
    "labels not shifted": (with_model(loss=shifting(-1)), {"P15"}, "T02"),
    "rows by reshape": (with_model(embedded=rows_by_reshape), {"P2", "P3"}, None),
    "norm over the batch": (with_block(forward=normalised_over_the_batch), {"P3", "P4"}, "T03"),
    "positions of rows": (with_model(embedded=positions_of_rows), {"P3", "P4"}, "M04"),
    "no positions": (WithoutPositions, {"P4"}, "M05"),
    "dropout in evaluation": (with_model(scores=lambda self, x: Small.scores(self, F.dropout(x, 0.1))), {"P6"}, "D05"),
    "a wide table": (with_model(std=1.0), {"P1"}, "M08"),
    "a part that is not used": (WithMore, {"P11"}, "T19"),
    "ln_1 twice": (with_block(forward=ln_1_twice), {"P11"}, "N15"),
    "a cut graph": (with_block(forward=cut), {"P11"}, None),
    "a share of a tied table": (
        with_model(scores=lambda self, x: F.linear(x, self.tokens.weight.detach())),
        {"P11"},
        "M06",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_mistake_in_the_model(name):
    model, probes, mistake = MODELS[name]
    report = probe(model(), steps=0)
    assert {one.id for one in report.failures} == probes, str(report)
    if mistake:
        assert report.failures[0].mistakes[0] == mistake
        assert f"\n  {mistake}: {mistakes.by_id(mistake).sentence}. Look: " in str(report)


def test_the_model_without_mistakes():
    report = probe(Small())
    assert report.ok, str(report)
    assert {one.id for one in report.verdicts if one.ok} >= {
        f"P{n}" for n in (1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 15, 17)
    }


def test_a_report_in_a_notebook_says_the_same():
    report = probe(with_attention(mask=lambda self, t: np.tri(t, k=1, dtype=bool))(), steps=0)
    drawn = report._repr_html_()
    assert html.unescape(re.sub("<.*?>", "", drawn)) == str(report) and "<span" in drawn
