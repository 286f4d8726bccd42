"""A small text, small settings, and nothing left behind: no files outside the test's folder, no registered pairs."""

import io

import pytest

from tests.helpers import process_settings
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.text_settings import resolve

VERSE = "the quick brown fox jumps over the lazy dog, and again:\n"
SMALL = dict(n_layer=1, n_head=2, n_embd=8, block_size=8, batch_size=2, warmup=2, eval_tokens=64, sample_tokens=5)


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with process_settings():
        yield tmp_path


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(VERSE * 20, encoding="utf-8", newline="")
    return path


@pytest.fixture
def settings(text):
    """Settings of a run that takes well under a second; `settings(steps=3)` changes some."""

    def make(**given):
        return resolve("tiny", SMALL | {"corpus": str(text), "steps": 6, "checkpoint_interval": 2} | given)

    return make


@pytest.fixture
def reporter():
    """A reporter that writes to `reporter.said`."""
    said = io.StringIO()
    reporter = Reporter(said)
    reporter.said = said
    return reporter
