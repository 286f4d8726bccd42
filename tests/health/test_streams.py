"""A Transformer-XL's runs: healthy ones raise nothing, and what goes wrong in one is named as in any other."""

import numpy as np
import pytest

from tests.health.test_provoked import line_of
from tinygrad_gpt.health.snapshot import snapshot
from tinygrad_gpt.train.any_run import choose_settings, start
from tinygrad_gpt.train.presets import PRESETS

SHAPE = dict(n_layer=2, n_head=2, n_embd=32, window=32, memory=32, batch_size=8, steps=270)
NAMES = [name for name, preset in PRESETS.items() if preset.kind == "transformer-xl"]


def recipe(name):
    return PRESETS[name].model | PRESETS[name].train | SHAPE


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_presets(train, name):
    trained = train(preset=name, shape=recipe(name))
    assert trained.said == []
    assert [row["health"]["sees_future"] for row in trained.rows if "sees_future" in row["health"]] == [False] * 6


@pytest.mark.long
@pytest.mark.parametrize(
    "given", [dict(seed=2), dict(norm="pre"), dict(memory=0), dict(dropout=0.1, accumulate=2)], ids=str
)
def test_other_settings(train, given):
    assert train(preset=NAMES[0], shape=recipe(NAMES[0]), **given).said == []


@pytest.mark.long
def test_a_future_that_leaks(train):
    def change(model):
        for block in model.blocks:
            attend = block.attention.forward
            block.attention.forward = lambda *given, attend=attend, **how: attend(*given, **how | {"causal": False})

    trained = train(change, preset=NAMES[0], shape=recipe(NAMES[0]))
    assert "future" in trained.kinds
    assert "tokens that come after them" in line_of(trained, "future")


def test_a_snapshot_looks_into_each_block(english, tmp_path):
    given = {"corpus": str(english), "steps": 1, "eval_interval": 0, "sample_tokens": 0, "health": False}
    run = start(choose_settings(NAMES[0], recipe(NAMES[0]) | given), tmp_path / "run")
    run.trainer.train_step()
    seen = snapshot(run.model, run.task)
    assert len(seen["block_gradients"]) == 2 and np.min(seen["block_gradients"]) > 0
    assert seen["sees_future"] is False and 0 <= seen["accuracy"] <= 1
    run.close()
