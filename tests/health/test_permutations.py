"""An XLNet's runs: healthy ones raise nothing, and one that sees nothing is told that it only counts tokens."""

import numpy as np
import pytest

from tests.health.test_provoked import line_of
from tinygrad_gpt.train.presets import PRESETS

SHAPE = dict(n_layer=2, n_head=2, n_embd=32, block_size=32, batch_size=16, steps=270, vocab=300)
NAMES = [name for name, preset in PRESETS.items() if preset.kind == "xlnet"]


def recipe(name):
    return PRESETS[name].model | PRESETS[name].train | SHAPE


@pytest.mark.parametrize("name", NAMES)
def test_presets(train, name):
    trained = train(preset=name, shape=recipe(name))
    assert trained.said == []
    seen = [row["health"] for row in trained.rows if "block_gradients" in row["health"]]
    assert len(seen) >= 5 and all(len(health["block_gradients"]) == 2 for health in seen)
    assert trained.rows[-1]["val_loss"] < trained.rows[0]["train_loss"]


def test_queries_that_see_nothing(train):
    def change(model):
        read = model.read
        model.read = lambda ids, *, mask, **given: read(ids, mask=np.zeros_like(mask), **given)

    trained = train(change, preset=NAMES[0], shape=recipe(NAMES[0]), lr=1e-2, steps=350, schedule="constant")
    assert "unigram" in trained.kinds, trained.rows[-1]
    assert "predictions make no use of context" in line_of(trained, "unigram")
