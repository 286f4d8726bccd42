"""Small real runs: a piece of real text, a small model, a few seconds."""

import dataclasses
import io
from pathlib import Path

import pytest

from tests.train.conftest import *  # noqa: F403 - its fixtures, too
from tinygrad_gpt.data import open_corpus
from tinygrad_gpt.train.any_run import choose_settings, start
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.reporter import Reporter

ENGLISH = 60_000  # characters
SHAPE = dict(n_layer=2, n_head=2, n_embd=32, block_size=32, batch_size=8, warmup=20, steps=200)
FEW = dict(eval_tokens=2000, eval_interval=0, checkpoint_interval=0, sample_tokens=0)


@dataclasses.dataclass
class Trained:
    folder: Path
    said: list[str]  # the health check's lines
    rows: list[dict]

    @property
    def kinds(self) -> set[str]:
        """What was found, by the lines of metrics.jsonl."""
        return {finding["kind"] for row in self.rows for finding in row["health"].get("findings", [])}


@pytest.fixture(scope="session")
def english(tmp_path_factory):
    """A text file with order to learn, and little enough of it to be read in no time."""
    path = tmp_path_factory.mktemp("english") / "english.txt"
    text = "".join(open_corpus("python-docs").train(ENGLISH))[:ENGLISH]
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.fixture
def train(english, tmp_path):
    """train(change=None, preset="tiny", **settings) -> Trained. `change` is called with the model before its first
    step."""

    def train(change=lambda model: None, preset="tiny", shape=SHAPE, **given):
        number = len(list(tmp_path.glob("run*")))
        settings = choose_settings(preset, FEW | shape | {"corpus": str(english)} | given)
        run = start(settings, tmp_path / f"run{number}")
        change(run.model)
        said = io.StringIO()
        run.train(Reporter(said))
        lines = [line for line in said.getvalue().splitlines() if line.startswith("health")]
        return Trained(run.folder.path, lines, read_metrics(run.folder.metrics))

    return train
