"""The benchmark of a Transformer-XL's memory: it measures the same weights, and goes on where it was stopped."""

import json
import sys

import memory
import numpy as np
import pytest

from tests.helpers import process_settings
from tinygrad_gpt import random_stream
from tinygrad_gpt.models.transformer_xl import TransformerXL, TransformerXLConfig

TINY = "--train n_layer=1 --train n_head=2 --train n_embd=8 --train batch_size=4 --train sample_tokens=0 --steps 3"


@pytest.fixture
def shakespeare(tmp_path, monkeypatch):
    """A text under that name, short enough to be read in no time."""
    text = "".join(np.random.default_rng(0).choice(list("abcdefgh \n"), size=6000))
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("tinygrad_gpt.train.text_run.open_corpus", lambda name, **how: open_file(tmp_path, text))
    monkeypatch.setattr("tinygrad_gpt.train.saved_runs.open_corpus", lambda name, **how: open_file(tmp_path, text))
    monkeypatch.chdir(tmp_path)
    with process_settings():
        yield


def open_file(folder, text):
    from tinygrad_gpt.data import open_corpus

    (folder / "text.txt").write_text(text, encoding="utf-8", newline="")
    corpus = open_corpus(str(folder / "text.txt"))
    corpus.name = "shakespeare"
    return corpus


def run(monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["memory.py", *arguments.split()])
    memory.main()


@pytest.mark.long
def test_it_trains_measures_and_reuses_what_it_trained(shakespeare, tmp_path, monkeypatch, capsys):
    run(monkeypatch, f"--seeds 2 {TINY} --json first.json")
    said = capsys.readouterr().out
    records = json.loads((tmp_path / "first.json").read_text(encoding="utf-8"))
    assert [r["seed"] for r in records] == [1, 2] and {r["steps"] for r in records} == {3}
    assert "| memory 256 |" in said and "| place | 1 | 2 to 4 |" in said
    for r in records:
        assert list(r["measured"]) == ["0", "64", "256"] and len(r["measured"]["64"]["nats_by_place"]) == 64
        bits = [r["measured"][m]["bits_per_character"] for m in r["measured"]]
        assert len({*bits}) == 3 and all(2 < b < 5 for b in bits)
    run(monkeypatch, f"--seeds 2 {TINY} --json again.json")
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    assert [r["measured"] for r in again] == [r["measured"] for r in records]
    assert "step 3/3" not in capsys.readouterr().out, "it trained again"


def test_a_model_that_segments_change_is_not_measured(monkeypatch):
    random_stream.manual_seed(1)
    model = TransformerXL(TransformerXLConfig(7, d_model=8, n_layer=2, n_head=2, init_std=0.5)).eval()
    tokens = np.random.default_rng(0).integers(0, 7, 400)
    memory.validate(model, tokens)
    lost = lambda before, x, length: np.concatenate([before, x[:, 1:]], axis=1)  # noqa: E731
    monkeypatch.setattr("tinygrad_gpt.models.transformer_xl.remembered", lost)
    with pytest.raises(SystemExit, match="other losses than one long reading"):
        memory.validate(model, tokens)


def test_places_and_settings():
    measured = {str(m): {"bits_per_character": 2.0 - m / 1000, "nats_by_place": [*range(64)]} for m in memory.MEMORIES}
    made = {"window": 64, "memory": 64, "clamp": 128}
    r = {"seed": 1, "parameters": 9, "steps": 3, "trained_with": made, "characters": 99, "measured": measured}
    said = memory.table([r, r])
    assert "| memory 64 | 1.9360 | 1.9360 | 1.9360 ± 0.0000 | 0.0640 ± 0.0000 |" in said
    assert "| memory 0 | 0.0000 | 2.0000 | 9.5000 | 23.5000 | 47.5000 |" in said
    assert memory.as_settings(["memory=128", "lr=1e-3", "same_length=True"]) == dict(
        memory=128, lr=1e-3, same_length=True
    )
    with pytest.raises(SystemExit, match="--train wants NAME=VALUE"):
        memory.as_settings(["memmory=3"])
