"""An XLNet's runs: healthy ones raise nothing."""

import io

import pytest

from tests.health.conftest import Trained
from tinygrad_gpt.train.any_run import choose_settings, start
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.reporter import Reporter

SHAPE = dict(n_layer=2, n_head=2, n_embd=32, block_size=32, batch_size=16, steps=270, vocab=300)
NAMES = [name for name, preset in PRESETS.items() if preset.kind == "xlnet"]


FEW = dict(eval_tokens=2000, eval_interval=0, checkpoint_interval=0)


@pytest.fixture
def train(english, tmp_path):
    """train(preset, **settings) -> Trained."""

    def train(preset, **given):
        settings = choose_settings(preset, SHAPE | FEW | {"corpus": str(english)} | given)
        run = start(settings, tmp_path / "run")
        said = io.StringIO()
        run.train(Reporter(said))
        lines = [line for line in said.getvalue().splitlines() if line.startswith("health")]
        return Trained(run.folder.path, lines, read_metrics(run.folder.metrics))

    return train


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_presets(train, name):
    trained = train(preset=name)
    assert trained.said == []
    seen = [row["health"] for row in trained.rows if "block_gradients" in row["health"]]
    assert len(seen) >= 5 and all(len(health["block_gradients"]) == 2 for health in seen)
    assert trained.rows[-1]["val_loss"] < trained.rows[0]["train_loss"]
